"""Every example of docs/reference/transform.md: what goes in, and what comes out of which port."""

from __future__ import annotations

import asyncio
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from gitopsd.runner.flow import Counts, settle
from gitopsd.runner.job import Context, Job
from gitopsd.runner.report import Reporter
from gitopsd.runner.roles import transform
from gitopsd.runner.roles.ports import Ports
from gitopsd.runner.roles.transform.actions import ACTIONS
from gitopsd.runner.settings import Settings
from gitopsd.runner.tasks import end
from tests.docs.markdown import DOCS, fences, sections
from tests.runner.no_input import NoInput

if TYPE_CHECKING:
    from pathlib import Path

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
def test_an_example_comes_to_what_the_page_says(example: Example, tmp_path: Path) -> None:
    if any("exec" in action for action in example.actions) and shutil.which("jq") is None:
        pytest.skip("jq, which the example runs, isn't on this machine")
    ports = asyncio.run(_outcome(example, tmp_path))
    assert ports == {"default": "", "error": "", **example.ports}


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


async def _outcome(example: Example, place: Path) -> dict[str, str]:
    """What the role writes to each port."""
    outputs = {port: _Kept() for port in ("default", "error", *example.route)}
    settings = Settings({"actions": example.actions, "route": example.route}, "with")
    job = Job("b.shape.0", "transform", settings, {}, {}, place, place)
    tasks: set[asyncio.Future[None]] = set()
    context = Context(job, lambda work: tasks.add(asyncio.ensure_future(work)), Reporter(job.name))
    ends = Ports({"default": [NoInput()]}, {port: [output] for port, output in outputs.items()})
    assembly = transform.assemble(context, ends, Counts())
    for output in assembly.outputs:
        await output.open()
    (pump,) = assembly.stages[0]
    await pump.deliver(example.given.encode())
    assert pump.finish is not None
    await pump.finish()
    await assembly.close()
    await end(tasks)
    return {port: output.lines.decode() for port, output in outputs.items()}
