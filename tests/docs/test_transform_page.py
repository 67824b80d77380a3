"""Every example of docs/reference/transform.md: what goes in, and what comes out of which port."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from gitopsd.runner.flow import settle
from gitopsd.runner.roles.transform.actions import ACTIONS
from gitopsd.runner.roles.transform.batching import BatchingOutput, batch_settings
from gitopsd.runner.roles.transform.engine import Engine
from gitopsd.runner.settings import Settings
from tests.docs.markdown import DOCS, fences, sections

if TYPE_CHECKING:
    from gitopsd.runner.flow import Receipt

PAGE = DOCS / "reference" / "transform.md"


@dataclass
class Example:
    line: int
    written: Any
    given: str = ""
    ports: dict[str, str] = field(default_factory=dict)

    @property
    def actions(self) -> list[dict[str, Any]]:
        return self.written if isinstance(self.written, list) else []

    @property
    def route(self) -> dict[str, str]:
        return self.written["route"] if isinstance(self.written, dict) else {}


def _examples() -> list[Example]:
    found: list[Example] = []
    for fence in fences(PAGE):
        language, _, port = fence.language.partition(" ")
        if language == "yaml":
            found.append(Example(fence.line, YAML(typ="safe").load(fence.content)))
        elif port == "in":
            found[-1].given = fence.content
        else:
            found[-1].ports["default" if port == "out" else port] = fence.content
    return [example for example in found if example.given]


EXAMPLES = _examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: f"line-{example.line}")
def test_an_example_comes_to_what_the_page_says(example: Example) -> None:
    actions = [Settings(action, f"actions[{at}]") for at, action in enumerate(example.actions)]
    result = Engine(actions, Settings(example.route, "route")).apply(example.given.encode())
    ports = {port: lines.decode() for port, lines in result.ports.items()}
    if actions and "batch" in actions[-1].names():
        ports["default"] = asyncio.run(_batched(actions[-1], result.kept))
    assert ports | {"error": result.failed.decode()} == {"default": "", "error": "", **example.ports}


def test_every_action_has_a_section_with_an_example() -> None:
    shown = {name for example in EXAMPLES for action in example.actions for name in action}
    assert set(ACTIONS) == shown
    assert set(ACTIONS) <= set(sections(PAGE))


class _Kept:
    def __init__(self) -> None:
        self.lines = b""

    async def open(self) -> None:
        return

    async def close(self) -> None:
        return

    async def write(self, data: bytes) -> Receipt[None]:
        self.lines += data
        receipt: Receipt[None] = asyncio.get_running_loop().create_future()
        settle(receipt)
        return receipt


async def _batched(action: Settings, data: bytes) -> str:
    output = _Kept()
    batching = BatchingOutput([output], batch_settings(action), lambda work: work.close())
    await batching.write(data)
    await batching.flush()
    return output.lines.decode()
