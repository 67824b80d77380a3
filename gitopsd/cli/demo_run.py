"""The demo: the commands that a user would type, in order, on a real file."""

import base64
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from gitopsd.cli.apply_text import Reporter
from gitopsd.daemon import status
from gitopsd.daemon.apply import apply_version
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.workspace import Workspace, open_workspace
from gitopsd.repo.initialise import commit_work_tree, initialise, set_parameter, template_folder

_STALLED_SECONDS = 60.0
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outcome:
    events: int
    size: int
    seconds: float


def run_demo(input_file: Path | None, folder: Path) -> int:
    """Returns the exit code; raises ControllerError when events don't arrive as they were sent."""
    chosen = input_file or template_folder() / "samples" / "earthquakes.jsonl"
    style = "jsonl" if _is_jsonl(chosen) else "lines"
    _say(1, f"A workflow repository in {folder}")
    if (folder / "gitopsd.yaml").exists():
        click.echo("  it is there already and goes on")
    else:
        initialise(folder)
        click.echo(f"  gitopsd init {folder}")
    if style != "jsonl" or "format:" in (folder / "gitopsd.yaml").read_text():
        set_parameter(folder, "local", "roundtrip", "format", style)
        commit_work_tree(folder, f"Read {style}")
    workspace = open_workspace(str(folder), None, "local")
    _say(2, "Plan and apply: the head of its branch becomes what runs on this machine")
    _apply(workspace)
    _say(3, f"{chosen.name} goes in ({style}), through the file store, and comes out")
    outcome = _send(chosen, folder / "data", style)
    click.echo(
        f"  {outcome.events:,} events, {outcome.size / 1e6:.1f} MB, every one exactly as it was sent, in order, "
        f"after {outcome.seconds:.1f} s"
    )
    _say(4, "What runs: real processes, kept running by the built-in worker")
    deployed = status.open_deployed(workspace)
    for observed in status.observe_fleet(workspace, deployed):
        for workload in status.workloads(observed):
            click.echo(f"  {workload.job}: {workload.state}, process {workload.main_pid} on {workload.worker}")
    _next_steps(folder)
    return 0


def _say(number: int, title: str) -> None:
    click.secho(f"\n{number}. {title}", bold=True)


def _apply(workspace: Workspace) -> None:
    reporter = Reporter(err=False)
    results = []
    for result in apply_version(
        workspace,
        workspace.source_of_commit(),
        expected=None,
        planned=reporter.planned,
        committed=reporter.committed,
        progress=reporter.progress,
    ):
        results.append(result)
        reporter.result(result)
    if any(result.state not in {"in-sync", "converged"} for result in results):
        raise ControllerError("the demo's jobs did not come up", "what they printed is above")


def _is_jsonl(path: Path) -> bool:
    """Whether every line of the file is JSON text by itself."""
    with path.open("rb") as lines:
        try:
            for line in lines:
                if line.strip():
                    json.loads(line)
        except ValueError:
            return False
    return True


def _send(chosen: Path, data: Path, style: str) -> _Outcome:
    """Put the file where the workflow reads, wait for its events where it writes, and compare them one by one."""
    before = {path.name: path.stat().st_size for path in data.joinpath("out").glob("*.jsonl")}
    started = time.monotonic()
    number = sum(1 for _ in data.joinpath("in").iterdir()) + 1
    _put(chosen, data / f"input-{number}", data / "in" / f"input-{number}")
    events = size = 0
    arriving = _arriving(data / "out", before)
    for sent in _sent(chosen, style):
        arrived = _as_sent(next(arriving), style)
        if arrived != sent:
            raise ControllerError(
                f"event {events + 1} arrived changed: {arrived[:80]!r} was sent as {sent[:80]!r}",
                f"compare {chosen} with the files in {data / 'out'}",
            )
        events += 1
        size += len(sent) + 1
    return _Outcome(events=events, size=size, seconds=time.monotonic() - started)


def _put(chosen: Path, aside: Path, destination: Path) -> None:
    """A copy that ends in a newline, moved into place whole."""
    shutil.copyfile(chosen, aside)
    with aside.open("rb+") as file:
        file.seek(0, 2)
        if file.tell():
            file.seek(-1, 2)
            if file.read(1) != b"\n":
                file.write(b"\n")
    aside.replace(destination)


def _as_sent(event: bytes, style: str) -> bytes:
    """The line of the file that an event carries: the event itself, or for text what is inside it."""
    if style == "jsonl":
        return event
    content = json.loads(event)
    return base64.b64decode(content["line_base64"]) if "line_base64" in content else content["line"].encode()


def _sent(path: Path, style: str) -> Iterator[bytes]:
    """The lines of the file that become events; blank ones are no JSON, and are text."""
    with path.open("rb") as lines:
        for raw in lines:
            line = raw.removesuffix(b"\n")
            if style == "jsonl":
                if line.strip():
                    yield line
            else:
                yield line.removesuffix(b"\r")


def _arriving(folder: Path, before: dict[str, int]) -> Iterator[bytes]:
    """Lines that are appended to files in the folder, in order; raises ControllerError when none come any more."""
    positions = dict(before)
    pending = b""
    last = time.monotonic()
    while True:
        found = False
        for path in sorted(folder.glob("*.jsonl")):
            with path.open("rb") as file:
                file.seek(positions.get(path.name, 0))
                while block := file.read(_BLOCK):
                    found = True
                    lines = (pending + block).split(b"\n")
                    pending = lines.pop()
                    yield from lines
                positions[path.name] = file.tell()
        if found:
            last = time.monotonic()
        elif time.monotonic() - last > _STALLED_SECONDS:
            raise ControllerError(
                f"nothing more arrived in {folder} for {_STALLED_SECONDS:.0f} s",
                "`gitopsd workloads` shows the jobs; their logs are below the worker's state directory",
            )
        else:
            time.sleep(0.02)


def _next_steps(folder: Path) -> None:
    click.secho("\nNext:", bold=True)
    click.echo(f"  cd {folder}")
    click.echo("  gitopsd status                       # what should run, and what does")
    click.echo("  cat workflows/roundtrip.yaml         # change it, commit, then: gitopsd plan && gitopsd apply")
    click.echo("  gitopsd history                      # the deployments so far")
    click.echo("  gitopsd worker teardown local-1      # stop all of it")
