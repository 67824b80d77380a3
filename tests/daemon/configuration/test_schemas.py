"""The JSON Schemas that editors check files with: they let pass what the compiler takes, and not what it refuses."""

from collections.abc import Iterator
from pathlib import Path

import jsonschema_rs
import msgspec
import pytest

from gitopsd.compiler.yaml.reader import read_yaml
from gitopsd.daemon.configuration.schemas import FOLDER, KINDS, schema_text, write_schemas
from gitopsd.model.schemas import DIALECT
from gitopsd.repo.initialise import template_folder
from tests.compiler.cases import GOLDEN

_KIND_OF_FOLDER = {
    "workflows": "workflow", "modules": "module", "blueprints": "blueprint", "fleets": "fleet", "tests": "tests",
}  # fmt: skip
_REFUSED = ["unknown-key", "wrong-type", "missing-key", "wrong-value", "bad-name"]

_ROOTS = [template_folder(), *sorted(GOLDEN.glob("*/source"))]
_VALIDATORS = {kind: jsonschema_rs.validator_for(msgspec.json.decode(schema_text(kind))) for kind in KINDS}


def kind_of(path: Path) -> str | None:
    """The kind of file that a path in a repository is."""
    if path == Path("gitopsd.yaml"):
        return "environments"
    return _KIND_OF_FOLDER.get(path.parent.name) if path.suffix == ".yaml" else None


def mistakes(root: Path) -> Iterator[str]:
    for path in sorted(root.rglob("*.yaml")):
        kind = kind_of(path.relative_to(root))
        if kind:
            document, _ = read_yaml(path.name, path.read_bytes())
            yield from (f"{path.relative_to(root)}: {error}" for error in _VALIDATORS[kind].iter_errors(document.value))


@pytest.mark.parametrize("root", [one for one in _ROOTS if not (one.parent / "diagnostics.txt").exists()], ids=str)
def test_what_compiles_is_valid(root: Path) -> None:
    assert list(mistakes(root)) == []


@pytest.mark.parametrize("case", _REFUSED)
def test_what_the_declarations_refuse_is_not(case: str) -> None:
    assert list(mistakes(GOLDEN / case / "source"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_one_of_its_dialect_and_explains_every_key(kind: str) -> None:
    schema = msgspec.json.decode(schema_text(kind))
    jsonschema_rs.meta.validate(schema)
    assert schema["$schema"] == DIALECT
    parts = {kind: schema, **schema["$defs"]}
    assert all(part["description"] for name, part in parts.items())
    if kind != "configuration":
        silent = [
            f"{name}.{key}"
            for name, part in parts.items()
            for key, value in part.get("properties", {}).items()
            if "description" not in value and key != "transport"
        ]
        assert silent == []


def test_the_template_has_the_schemas_of_this_version_and_its_files_name_them(tmp_path: Path) -> None:
    """`gitopsd schema --write workflow-repo-template` refreshes them."""
    template = template_folder()
    write_schemas(tmp_path)
    written = {path.name: path.read_bytes() for path in (tmp_path / FOLDER).iterdir()}
    assert written == {path.name: path.read_bytes() for path in (template / FOLDER).iterdir()}
    for path in template.rglob("*.yaml"):
        first = path.read_text().splitlines()[0]
        named = (path.parent / first.removeprefix("# yaml-language-server: $schema=")).resolve()
        assert named == (template / FOLDER / f"{kind_of(path.relative_to(template))}.json").resolve()


def test_writing_again_changes_nothing(tmp_path: Path) -> None:
    assert len(write_schemas(tmp_path)) == len(KINDS) - 1
    assert write_schemas(tmp_path) == []
