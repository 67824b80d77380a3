"""Expressions that would take much time or memory if anything were without a limit.

Run by itself, evaluates each one under hard limits of the operating system, naming it first: one that breaks out ends
the process, and the last line says which it was.
"""

import resource
import sys
from typing import Any

from gitopsd.compiler.expressions.texts import MAX_RESULT, ExpressionError, evaluate

CPU_SECONDS = 60
MEMORY_BYTES = 512 << 20


def scope() -> dict[str, Any]:
    deep: Any = "x"
    for _ in range(38):
        deep = {"a": deep, "b": [deep]} if isinstance(deep, str) else {"a": deep, "b": "y" * 100}
    return {
        "params": {
            "inbox": "/srv/in", "count": 3, "rate": 0.5, "on": True, "nothing": None, "names": ["a", "b"],
            "text": "ab" * 500, "t": "a" * 200_000, "wide": "\U0001f600" * 200_000, "l": ["ab"] * 100_000,
            "s": [str(n * 7919 % 100_003) for n in range(60_000)], "n": list(range(100_000)), "deep": deep,
            "m": {f"k{n}": n for n in range(50_000)}, "lists": [[n] * 10 for n in range(10_000)],
            "huge": "z" * (1 << 20),
        },
        "worker": {"name": "edge-1", "labels": {"region": "eu"}},
    }  # fmt: skip


EXPRESSIONS = [
    # arithmetic
    "'a' * 10 ** 9", "10 ** 10 ** 10", "3 ** 99999999", "2 ** 64 ** 64", "9 ** 9 ** 9 ** 9", "(-8) ** 0.5", "0 ** -1",
    "2 ** -64", "1e308 * 10", "1e308 + 1e308", "-1e308 - 1e308", "1 / 0", "1 // 0", "1 % 0", "1.5 % 0",
    "9223372036854775807 + 1", "-9223372036854775807 - 9", "9" * 900, "0x" + "f" * 900, "1." + "0" * 900, "1e99999",
    "0b" + "1" * 900, "1" + "_1" * 400, "*".join(["9223372036854775807"] * 20), "**".join(["9"] * 100),
    "'1' * 10 | int ** 9", "('9' * 9) | int", "('9' ~ '9' ~ params.t) | int", "params.t | float", "'inf' | float",
    "'nan' | float", "'1e999' | float", "params.count % 'a'", "params.on + 1", "- - - params.count", "-" * 900 + "1",
    "1.5 | round(99999999)", "1 | round(-99999999)", "params.rate | round(params.n)",
    # text
    "'%999999999d' % 1", "'%s' % params.t", "'{:>999999999}'.format(1)", "'x'.ljust(10 ** 9)", "'x'.zfill(10 ** 9)",
    "'x'.join(params.l)", "params.t.encode()", "params.t.translate({})", "params.t.splitlines()",
    "params.text | replace('', params.text) | replace('', params.text) | replace('', params.text)",
    "params.t | replace('a', params.t)", "params.t | replace('a', '') | replace('', params.t)",
    "params.t" + "~params.t" * 60, "(" + "~".join(["params.wide"] * 60) + ") | length", "params.t" + "+params.t" * 60,
    "params.huge ~ params.huge", "params.huge | upper | lower | trim | upper | length", "'ß' * 9 | upper",
    "params.t.split('a')", "params.t.split('')", "params.t.split('a', 10 ** 18)", "params.wide.split() ~ 1",
    "params.t.split('a') | join(params.t)",
    "[params.t.split('a'), params.t.split('a'), params.t.split('a'), params.t.split('a')] | length",
    "[" + ",".join(["params.t.split('a')"] * 25) + "] | length", "[" + "params.text," * 60 + "] | join(params.text)",
    "params.t | trim(params.wide)", "params.t.strip(params.t)", "params.t.strip('b')", "params.wide | upper",
    "params.t.startswith(params.names)", "params.t.endswith(params.l)", "params.huge in params.huge",
    "('a' ~ params.t ~ 'b') in (params.huge ~ params.t)", "params.t | string | string", "params.m | string",
    # lists and mappings
    "[params.names] * 10 ** 9", "params.l + params.l + params.l", "params.l" + "+params.l" * 60,
    "(params.l + params.l)[:9]", "params.l[::-1]", "params.l[::0]", "params.l[10 ** 18]", "params.l['a']",
    "params.t[::-1]", "params.l[" + "[" * 15 + "]" * 15 + "]", "[" + "params.l," * 60 + "]",
    "[" + "params.t," * 60 + "]", "{" + ",".join(f"'{n}':params.m" for n in range(40)) + "}", "{[]: 1}", "{{}: 1}",
    "{params.t: {params.t: params.t}}", "params.l | join(params.t)", "params.l | join", "params.lists | join",
    "params.m | join", "params.n | join(',') | length", "range(10 ** 9) | list", "params.l | list",
    "params.m | dictsort", "params.l | batch(1)", "params.lists | sum", "params.l | length", "params.m | length",
    "params.m.k49999", "params.m.nothing", "params.m['nothing']", "params.l | first",
    # order and equality
    "params.s | sort", "params.s | sort | sort | sort | sort", "params.s | sort(reverse=true) | first",
    "(params.s + params.s + params.s + params.s) | sort | length", "params.lists | sort", "params.n | sort | last",
    "(params.names + [1]) | sort", "params.s | min", "params.s | max | max", "params.m | sort",
    "params.deep == params.deep", " and ".join(["params.deep == params.deep"] * 30),
    " and ".join(["params.l == params.l"] * 25), " and ".join(["params.lists == params.lists"] * 30),
    " and ".join(["'q' not in params.l"] * 25), "params.lists in [params.lists, params.lists]",
    "params.huge == params.huge", "params.m == params.m", " or ".join(["params.huge < params.t"] * 25),
    "params.l < params.l", "params.m < params.m", "1 < 'a'", "<".join(["1"] * 120), "params.n in params.n",
    "'a' in 5", "5 in 'a'",
    # nesting
    "[" * 400 + "]" * 400, "(" * 450 + "1" + ")" * 450, "(" * 16 + "1" + ")" * 16, "not " * 120 + "1",
    "1" + "+1" * 120, "1 if 1 else " * 60 + "1", "1" + " if 1" * 90 + " else 1" * 20, "{'a':" * 15 + "1" + "}" * 15,
    "a." * 400 + "a", "params" + ".a" * 400, "params['deep']" + "['a']" * 37, "params.count" + "|abs" * 120,
    "params.t" + "|upper" * 120, "params.inbox" + ".upper()" * 60, "params.inbox" + "()" * 200,
    "-" * 100 + "(" * 15 + "-" * 100 + "1" + ")" * 15,
    # the way to Python
    "''.__class__.__mro__[1].__subclasses__()", "params.__class__.__init__.__globals__",
    "params.inbox.__format__('')", "lipsum.__globals__['os'].popen('id').read()", "cycler.__init__.__globals__.os",
    "self.__init__", "joiner()", "namespace()", "params | attr('__class__')", "params['__class__']",
    "params.names[0]['__class__']", "config", "params.names | map('upper') | list", "params.names.append('c')",
    "params.names.__len__()", "params.m.clear()", "worker.labels.update({'region': 'us'})",
    "params.names | sort(attribute='__class__')", "params.inbox | format", "params.inbox.upper",
    "params.inbox.upper == params.inbox.upper", "[params.inbox.upper]", "params.names(1)", "1()",
    "params.inbox.upper(*params.l)", "params.inbox.upper(**params.m)", "params.inbox.split(budget=1)",
    "params.inbox | join(budget=1)", "params.l | default", "params.l | default(1, 2, 3)",
    "params.zz | default(params.zz)",
    # not expressions
    "{% for x in y %}", "x" * 100_000, "\0", "\ud800", "'\\ud800' | lower", "'\\N{BULLET}'", "'\\x'", "#", "{# a #}",
    "a = 1", "lambda: 1", "[x for x in params.l]", "*params.l", "1 if", "|", "a b", "'a' 'b' * 3", "..", "1..2",
    "params.1", "params.names.0", "params.names.9", "params is params", "1 is divisibleby 0", "1 is in params.l",
    "1 is", "caller()", "super()", "loop.index", "_()", "gettext('a')", "true()", "none.a", "params.t is lower",
    "params.nothing.a",
]  # fmt: skip


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    values = scope()
    before = repr(values)
    for source in EXPRESSIONS:
        print(ascii(source[:200]), flush=True)
        try:
            result = evaluate(f"${{{{ {source} }}}}", values)
            if isinstance(result, str | list | dict) and len(result) > MAX_RESULT:
                sys.exit("its result is too long")
        except ExpressionError as error:
            if len(str(error)) > 2_000:
                sys.exit("its message is too long")
    if repr(values) != before:
        sys.exit("the values were changed")


if __name__ == "__main__":
    main()
