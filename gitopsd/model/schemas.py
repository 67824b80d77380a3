"""JSON Schemas of the files that people write, from the same declarations that check them."""

from typing import Any

import msgspec

from gitopsd.model.blueprint import Blueprint
from gitopsd.model.environments import Environments
from gitopsd.model.fleet import Fleet
from gitopsd.model.workflow import Workflow

DECLARATIONS: dict[str, Any] = {
    "gitopsd": Environments,
    "workflow": Workflow,
    "blueprint": Blueprint,
    "fleet": Fleet,
}


def json_schema(kind: str) -> dict[str, Any]:
    """The schema of one kind of file, by JSON Schema 2020-12, with the docstrings as descriptions."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"gitopsd: {kind}",
        **msgspec.json.schema(DECLARATIONS[kind]),
    }
