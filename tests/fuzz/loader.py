"""Coverage-guided fuzzing of the loader and of expressions, by hand: it needs `pip install atheris`.

    python -m tests.fuzz.loader [--seconds 600] [--corpus DIR]

Whatever the bytes are, they give diagnostics and no exception, and twice the same. An input that breaks this is written
to the current directory as `crash-*`; make a regression test of it in tests/compiler.
"""

import argparse
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["gitopsd", "jinja2", "ruamel"]):
    from gitopsd.compiler.expressions.diagnostics import expression_diagnostic
    from gitopsd.compiler.expressions.texts import ExpressionError, evaluate
    from gitopsd.compiler.front import compile_front
    from gitopsd.compiler.yaml.reader import read_yaml
    from gitopsd.model.excerpt import format_diagnostics
    from tests.contents import in_memory

from tests.compiler.cases import GOLDEN, Case

BASE = Case(path=GOLDEN / "adapters-around-a-filter").source()
PATHS = ("gitopsd.yaml", "workflows/orders.yaml", "fleets/production.yaml", "blueprints/b.yaml", "modules/m.yaml")
SCOPE = {
    "params": {"inbox": "/srv/in", "count": 3, "rate": 0.5, "on": True, "none": None, "names": ["a"], "m": {"a": 1}},
    "worker": {"name": "edge-1", "labels": {"region": "eu"}},
}  # fmt: skip


def one_input(data: bytes) -> None:
    """The first byte says what the rest is: a declaration of some kind, or a value with expressions."""
    if not data:
        return
    kind, content = data[0] % (len(PATHS) + 2), data[1:]
    if kind < len(PATHS):
        files = {**BASE, PATHS[kind]: content}
        diagnostics = compile_front(in_memory(files), None).diagnostics
        text = format_diagnostics(diagnostics, files)
        if text != format_diagnostics(compile_front(in_memory(files), None).diagnostics, files):
            raise AssertionError("the diagnostics differ from one time to the next")
        if not text.replace("\n", "").isprintable():
            raise AssertionError("the diagnostics hold control characters")
        return
    text = content.decode("utf-8", "ignore")
    if kind == len(PATHS):
        text = "${{" + text + "}}"
    document, _ = read_yaml("a.yaml", text.encode())
    for value, pointer in ((text, ()), (document.value, ())):
        try:
            evaluate(value, SCOPE)
        except ExpressionError as error:
            expression_diagnostic(error, document, pointer)


def seeds(folder: Path) -> None:
    """Puts what the golden cases hold into the corpus."""
    for case in sorted(GOLDEN.iterdir()):
        for path in sorted((case / "source").rglob("*.yaml")):
            top = path.relative_to(case / "source").parts[0]
            kind = next((index for index, known in enumerate(PATHS) if known.startswith(top)), 0)
            (folder / f"{case.name}-{path.stem}").write_bytes(bytes([kind]) + path.read_bytes()[:20_000])
    for number, source in enumerate(
        ("params.names | join('-') ~ 1", "{'a': [1, 2.5 ** 2]}['a'][0] if params.on else -1")
    ):
        (folder / f"expression-{number}").write_bytes(bytes([len(PATHS)]) + source.encode())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=int, default=600)
    parser.add_argument("--corpus", type=Path, default=Path("fuzz-corpus"))
    options = parser.parse_args()
    options.corpus.mkdir(parents=True, exist_ok=True)
    seeds(options.corpus)
    limits = [f"-max_total_time={options.seconds}", "-timeout=20", "-rss_limit_mb=2048", "-max_len=20000"]
    atheris.Setup([sys.argv[0], str(options.corpus), *limits], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
