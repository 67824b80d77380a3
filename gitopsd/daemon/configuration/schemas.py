"""The kinds of files that people write, and the files that hold their JSON Schemas."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from gitopsd.daemon.configuration.configuration import Configuration
from gitopsd.model.blueprint import Blueprint
from gitopsd.model.environments import Environments
from gitopsd.model.event_tests import EventTests
from gitopsd.model.fleet import Fleet
from gitopsd.model.schemas import schema_of
from gitopsd.model.workflow import Module, Workflow

KINDS: Mapping[str, type[msgspec.Struct]] = {
    "blueprint": Blueprint,
    "configuration": Configuration,
    "environments": Environments,
    "fleet": Fleet,
    "module": Module,
    "tests": EventTests,
    "workflow": Workflow,
}
"""`environments` is gitopsd.yaml, `configuration` the operator's, which is in no repository."""

FOLDER = Path(".gitopsd") / "schemas"
"""Where a repository has them; gitopsd itself never reads them."""


def schema_text(kind: str) -> bytes:
    """The schema of a kind as JSON, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(schema_of(kind, KINDS[kind])), indent=2) + b"\n"


def write_schemas(repository: Path) -> list[Path]:
    """Bring the schemas of a repository's files up to this version; gives the files that changed, below it."""
    changed = []
    for kind in KINDS:
        path = repository / FOLDER / f"{kind}.json"
        content = schema_text(kind)
        if kind == "configuration" or (path.is_file() and path.read_bytes() == content):
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.new")
        aside.write_bytes(content)
        aside.replace(path)
        changed.append(FOLDER / path.name)
    return changed
