"""Files that would take much time or memory to read if anything were without a limit.

Run by itself, compiles each of them in the place of a declaration, under hard limits of the operating system, naming it
first: one that breaks out ends the process, and the last line says which it was.
"""

import resource
import sys
from collections.abc import Iterator, Mapping

from gitopsd.compiler.front import compile_front
from gitopsd.model.excerpt import format_diagnostics
from tests.compiler.cases import GOLDEN, Case
from tests.contents import in_memory

CPU_SECONDS = 120
MEMORY_BYTES = 1 << 30
LONGEST_MESSAGE = 1_000
"""Of one diagnostic, in characters, without its excerpt."""

MEGABYTE = 1 << 20

CONTENTS: Mapping[str, bytes] = {
    "empty": b"",
    "a NUL": b"workflow: a\0b",
    "only NULs": b"\0" * MEGABYTE,
    "control characters": b"workflow: \x1b[31mred\x07",
    "escaped control characters in keys": b'"\\e[31m\\a\\0": 1\n"\\u202e": {"\\n": 2}\n',
    "invalid UTF-8": b"workflow: " + b"\xff" * MEGABYTE,
    "invalid UTF-8 at the end": b"a" * MEGABYTE + b"\xc3",
    "UTF-16": "workflow: orders\n".encode("utf-16"),
    "UTF-32": "workflow: orders\n".encode("utf-32"),
    "two byte order marks": "\ufeff\ufeffworkflow: orders".encode(),
    "old line breaks": "workflow: orders\x85steps: {}\u2028channels: {}\u2029".encode(),
    "carriage returns": b"workflow: orders\r\r\r\nsteps:\r  a: {}\r",
    "only line breaks": b"\n" * MEGABYTE,
    "only carriage returns": b"\r" * MEGABYTE,
    "only spaces": b" " * MEGABYTE,
    "only tabs": b"\t" * MEGABYTE,
    "tabs as indentation": b"steps:\n\ta:\n\t\tuse: b\n",
    "brackets": b"[" * MEGABYTE,
    "braces": b"{" * MEGABYTE,
    "braces with keys": b"{a: " * (MEGABYTE // 4),
    "closing brackets": b"]" * MEGABYTE,
    "dashes": b"- " * (MEGABYTE // 2),
    "dashes without spaces": b"-" * MEGABYTE,
    "question marks": b"? " * (MEGABYTE // 2),
    "colons": b": " * (MEGABYTE // 2),
    "documents": b"---\n" * (MEGABYTE // 4),
    "ends of documents": b"...\n" * (MEGABYTE // 4),
    "deep blocks": "".join(f"{' ' * depth}a:\n" for depth in range(1_400)).encode(),
    "exclamation marks": b"!" * MEGABYTE,
    "tags": b"!a " * (MEGABYTE // 3),
    "a long tag": b"a: !" + b"x" * MEGABYTE + b" 1",
    "a long anchor": b"a: &" + b"x" * MEGABYTE + b" 1",
    "anchors": b"".join(b"a%d: &a%d x\n" % (n, n) for n in range(50_000)),
    "a bomb of aliases": b"a0: &a0 [x, x]\n"
    + b"".join(b"a%d: &a%d [*a%d, *a%d]\n" % (n, n, n - 1, n - 1) for n in range(1, 60)),
    "an alias of itself": b"a: &a [*a]",
    "merge keys": b"a: {<<: {b: 1}}\n" * 10_000,
    "a directive": b"%YAML 9.9\n---\na: 1",
    "directives": b"%TAG !a! x:\n" * 80_000 + b"--- a",
    "unknown directives": b"%X a\n" * 200_000 + b"---\na: 1",
    "a long directive": b"%" + b"x" * MEGABYTE,
    "a key of a megabyte": b"? " + b"k" * MEGABYTE + b"\n: 1",
    "a key of a megabyte twice": b"? " + b"k" * (MEGABYTE // 2) + b"\n: 1\n? " + b"k" * (MEGABYTE // 2) + b"\n: 1\n",
    "a quoted key of a megabyte": b'"' + b"k" * MEGABYTE + b'": 1',
    "a key of escapes": b'? "' + b"\\e" * (MEGABYTE // 2) + b'"\n: 1\n',
    "a value of a megabyte": b"workflow: " + b"v" * MEGABYTE,
    "a block of a megabyte": b"workflow: |\n" + b"  v\n" * (MEGABYTE // 4),
    "a folded block": b"workflow: >\n" + b"  v\n\n" * (MEGABYTE // 5),
    "a value of escapes": b'workflow: "' + b"\\x41" * (MEGABYTE // 4) + b'"',
    "an unfinished quote": b"workflow: '" + b"v\n " * (MEGABYTE // 3),
    "an unfinished double quote": b'workflow: "' + b"\\n" * (MEGABYTE // 2),
    "a long comment": b"#" * MEGABYTE,
    "a number of a million digits": b"workflow: " + b"9" * MEGABYTE,
    "a fraction of a million digits": b"workflow: 0." + b"9" * MEGABYTE,
    "an exponent of a million digits": b"workflow: 1e" + b"9" * MEGABYTE,
    "a hexadecimal number of a million digits": b"workflow: 0x" + b"f" * MEGABYTE,
    "signs": b"workflow: " + b"+-" * (MEGABYTE // 2),
    "dots": b"workflow: " + b"." * MEGABYTE,
    "a key that stands often": b"a: 1\n" * (MEGABYTE // 5),
    "keys that stand twice": b"".join(b"k%d: 1\nk%d: 2\n" % (n, n) for n in range(45_000)),
    "keys that are not known": b"".join(b"k%d: 1\n" % n for n in range(90_000)),
    "names that are not names": b"workflow: a\nsteps:\n" + b"".join(b"  K%d: {use: x}\n" % n for n in range(55_000)),
    "values of a wrong type": b"workflow: a\nsteps:\n" + b"".join(b"  s%d: [1]\n" % n for n in range(70_000)),
    "names with control characters": b'workflow: a\nsteps: {"\\e[2J\\a": {use: "\\0"}}\n',
    "100,000 steps": b"workflow: orders\nsteps:\n" + b"".join(b"  s%d: {}\n" % n for n in range(100_000)),
    "steps of nothing": b"workflow: orders\nsteps:\n" + b"".join(b"  s%d:\n" % n for n in range(110_000)),
    "a flow sequence of many": b"[" + b"a," * (MEGABYTE // 2) + b"]",
    "a flow sequence of more": b"[" + b"a," * 1_000_000 + b"]",
    "a flow mapping of many": b"{" + b"".join(b"k%d," % n for n in range(140_000)) + b"}",
    "a channel with a long line": b"workflow: a\nchannels: {" + b" " * MEGABYTE + b"c: {transport: 5}}",
    "expressions": b"workflow: a\nchannels: {c: {transport: file-store, path: '" + b"${{a}}" * 150_000 + b"'}}",
    "an expression that doesn't end": b"workflow: a\nchannels: {c: {transport: file-store, path: '"
    + b"${{" * 300_000
    + b"'}}",
    "backslashes": b'workflow: "' + b"\\\\" * (MEGABYTE // 2) + b'"',
    "a mapping as a key": b"{" * 30 + b"}: " * 30,
    "JSON": b'{"workflow":' + b'{"a":' * 30 + b"1" + b"}" * 31,
}

PLACES = ("gitopsd.yaml", "workflows/orders.yaml", "fleets/production.yaml", "blueprints/b.yaml", "modules/m.yaml")


WORST = ("names that are not names", "values of a wrong type", "keys that are not known", "expressions")


def repositories() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A repository that compiles, with each of the contents in the place of a declaration."""
    base = Case(path=GOLDEN / "adapters-around-a-filter").source()
    for number, (name, content) in enumerate(CONTENTS.items()):
        path = PLACES[number % len(PLACES)]
        yield f"{name} in {path}", {**base, path: content}
    for name in WORST:
        yield f"{name} in a workflow", {**base, "workflows/orders.yaml": CONTENTS[name]}


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    for name, files in repositories():
        print(name, flush=True)
        diagnostics = compile_front(in_memory(files), None).diagnostics
        for diagnostic in diagnostics:
            texts = [diagnostic.message, diagnostic.hint, *(related.message for related in diagnostic.related)]
            if max(map(len, texts)) > LONGEST_MESSAGE:
                sys.exit(f"its message is too long: {diagnostic.message[:200]}")
        text = format_diagnostics(diagnostics, files)
        if not text.replace("\n", "").isprintable():
            sys.exit("its diagnostics hold control characters")


if __name__ == "__main__":
    main()
