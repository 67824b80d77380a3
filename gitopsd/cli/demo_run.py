"""The demo: the commands that a user would type, in order, on a real file."""

import base64
import codecs
import json
import shlex
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click

from gitopsd.cli.apply_text import Reporter
from gitopsd.daemon.deploying.apply import apply_version
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.planning.deployed import open_deployed
from gitopsd.daemon.status.status import observe_fleet
from gitopsd.daemon.status.workloads import workloads
from gitopsd.daemon.workers.single import job_log
from gitopsd.daemon.workspace import Workspace, open_workspace
from gitopsd.model.excerpt import printable
from gitopsd.repo.initialise import commit_work_tree, initialise, set_parameter, template_folder

_STALLED_SECONDS = 20.0
_BLOCK = 1 << 20
_MARK = "gitopsd.demo"
"""In the configuration of the demo's own repository, so that nobody else's is taken for one."""


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
        if open_workspace(str(folder), None, "local").repository.config(_MARK) is None:
            raise ControllerError(f"{folder} holds a repository that is no demo", "name another folder: --dir DIR")
        click.echo("  it is there already and goes on")
    else:
        initialise(folder)
        open_workspace(str(folder), None, "local").repository.git.config[_MARK] = "true"
        click.echo(f"  gitopsd init {shlex.quote(str(folder))}")
    if style != "jsonl" or "format:" in (folder / "gitopsd.yaml").read_text():
        set_parameter(folder, "local", "roundtrip", "format", style)
        commit_work_tree(folder, f"Read {style}", only="gitopsd.yaml")
    workspace = open_workspace(str(folder), None, "local")
    _say(2, "Plan and apply: the head of its branch becomes what runs on this machine")
    _apply(workspace)
    _say(3, f"{chosen.name} goes in ({style}), through the file store, and comes out")
    outcome = _send(workspace, chosen, folder / "data", style)
    click.echo(
        f"  {outcome.events:,} events, {outcome.size / 1e6:.1f} MB, every one exactly as it was sent, in order, "
        f"after {outcome.seconds:.1f} s"
    )
    _say(4, "What runs: real processes, kept running by the built-in worker")
    deployed = open_deployed(workspace)
    for observed in observe_fleet(workspace, deployed):
        for workload in workloads(observed):
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
        workspace.source_of_commit,
        named=False,
        expected=None,
        reporter=reporter,
    ):
        results.append(result)
        reporter.result(result)
    if reporter.rollout is not None and reporter.rollout.interrupted:
        raise KeyboardInterrupt
    if any(result.state not in {"in-sync", "converged"} for result in results):
        raise ControllerError("the demo's jobs did not come up", "what they printed is above")


def _is_jsonl(path: Path) -> bool:
    """Whether every line of the file is JSON text by itself."""
    with path.open("rb") as lines:
        try:
            for number, raw in enumerate(lines):
                line = raw.removeprefix(codecs.BOM_UTF8) if number == 0 else raw
                if line.rstrip(b"\r\n"):
                    json.loads(line)
        except ValueError:
            return False
    return True


def _send(workspace: Workspace, chosen: Path, data: Path, style: str) -> _Outcome:
    """Put the file where the workflow reads, wait for its events where it writes, and compare them one by one."""
    before = {path.name: path.stat().st_size for path in data.joinpath("out").glob("*.jsonl")}
    started = time.monotonic()
    number = sum(1 for _ in data.joinpath("in").iterdir()) + 1
    _put(chosen, data / f"input-{number}", data / "in" / f"input-{number}")
    events = size = 0
    arriving = _arriving(workspace, data / "out", before)
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
        for number, raw in enumerate(lines):
            line = raw.removesuffix(b"\n")
            if number == 0:
                line = line.removeprefix(codecs.BOM_UTF8)
            if style != "jsonl":
                yield line.removesuffix(b"\r")
            elif line.removesuffix(b"\r"):
                yield line


def _arriving(workspace: Workspace, folder: Path, before: dict[str, int]) -> Iterator[bytes]:
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
                f"nothing more arrived in {folder} for {_STALLED_SECONDS:.0f} s{_last_words(workspace)}",
                f"if a file in {folder.parent / 'in'} can't be read, remove it; `gitopsd workloads` shows the jobs",
            )
        else:
            time.sleep(0.02)


def _last_words(workspace: Workspace) -> str:
    """The last line that each job printed, where it says anything."""
    words = [
        f"\n  {printable(lines[-1])}"
        for job in ("roundtrip.collect.0", "roundtrip.deliver.0")
        if (lines := job_log(workspace, "local-1", job, 1))
    ]
    return "; the jobs last said:" + "".join(words) if words else ""


def _next_steps(folder: Path) -> None:
    called = Path(sys.argv[0]).resolve()
    words = [sys.executable, "-m", "gitopsd"] if called.name == "__main__.py" else [str(called)]
    gitopsd = "gitopsd" if shutil.which("gitopsd") else shlex.join(words)
    click.secho("\nNext:", bold=True)
    click.echo(f"  cd {shlex.quote(str(folder))}")
    click.echo(f"  {gitopsd} status                    # what should run, and what does")
    click.echo(f"  {gitopsd} plan                      # after a change of workflows/roundtrip.yaml: what it would do")
    click.echo(f"  {gitopsd} apply                     # after `git commit`: do it")
    click.echo(f"  {gitopsd} worker teardown local-1   # stop all of it")
