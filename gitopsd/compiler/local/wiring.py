"""The jobs of a run on a laptop: rendered as for a worker, but every channel is a socket between two processes.

So no network is reached and no store written. Each channel has one more consumer, the tap, which sees all of it.
"""

import json
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import msgspec
from msgspec import UNSET

from gitopsd.compiler.local.subject import Subject
from gitopsd.compiler.place import fleet_workers
from gitopsd.compiler.placement.constraints import parse_constraint
from gitopsd.compiler.render.workflow import json_file, render_workflow
from gitopsd.compiler.route import RoutedJob
from gitopsd.compiler.transports.kind import socket_name
from gitopsd.compiler.transports.worker import worker_input, worker_output
from gitopsd.model.artifacts import PlacedWorker
from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.system import BoundStep, job_name
from gitopsd.model.trees import BuiltTree, TreeFile, build_tree
from gitopsd.model.workflow import ON_MESSAGE

_CONTENT = "given"
"""The file of a reading step that is given contents; its job runs in the directory where this lies."""

MAX_BYTES = 64 << 20
"""Of all files of the jobs that are run."""

Way = Literal["runs", "reads", "given", "left-out", "not-reached"]
"""`reads`: it runs, over the file that was given; `given`: it would read, and its events were given instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalChannel:
    """`label` is what people call it. `sockets` are those of the steps that run and read it; the tap has one more."""

    name: str
    label: str
    wire: str
    tap: str
    sockets: tuple[str, ...] = ()
    is_bound: bool = True
    """Whether the workflow has it; else it stands for a port that is left open, whose events a deployment drops."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalStep:
    """A step and what becomes of it; `why` where it isn't run. Ports lead to names of channels."""

    name: str
    use: str
    job: str
    place: Location
    way: Way
    why: str = ""
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)
    document: Mapping[str, Any] = field(default_factory=dict)
    """`job.json` of a step that runs."""
    files: Mapping[str, TreeFile] = field(default_factory=dict)
    """Of a step that runs, by path in its release; `job.json` is among them."""
    directories: tuple[str, ...] = ()
    """What a worker would make for the job to write to."""

    @property
    def content(self) -> bytes | None:
        """Of a reading step that was given contents: what it reads."""
        given = self.files.get(f"jobs/{self.job}/{_CONTENT}")
        return given.data if given else None

    @property
    def is_run(self) -> bool:
        return self.way in {"runs", "reads"}


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalRun:
    """`steps` in the order in which events meet them; `channels` by name, in that order too."""

    name: str
    steps: tuple[LocalStep, ...]
    channels: Mapping[str, LocalChannel]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """`files`: reading step -> the file that it is to read, as a pattern that matches just this.

    `contents`: reading step -> what is to be in a file that it reads. `given`: the channels that are given events.
    `asked`: steps that run although they change something outside.
    """

    files: Mapping[str, str] = field(default_factory=dict)
    contents: Mapping[str, bytes] = field(default_factory=dict)
    given: Collection[str] = ()
    asked: Collection[str] = ()


def wire(subject: Subject, wishes: Wishes) -> tuple[LocalRun | None, list[Diagnostic]]:
    """Renders the jobs; what only rendering finds wrong comes back as diagnostics."""
    reached = set(wishes.given)
    ways: dict[str, tuple[Way, str]] = {}
    for name in subject.steps:
        step = subject.system.steps[name]
        ways[name] = _way(step, wishes, reached)
        if ways[name][0] in {"runs", "reads"}:
            reached.update(step.outputs.values())
    running = [subject.system.steps[name] for name in subject.steps if ways[name][0] in {"runs", "reads"}]
    channels = _channels(subject, running)
    routed = [_routed(subject, step, channels) for step in running]
    text, diagnostics = render_workflow(
        subject.linked,
        routed,
        compiled="",
        runtime=build_tree({}),
        library=_no_library,
        policy=None,
        max_bytes=MAX_BYTES,
    )
    if diagnostics:
        return None, diagnostics
    files = {name: text.files.get(_job(subject, name), {}) for name in subject.steps}
    directories = {job.name: tuple(job.record["directories"]) for job in text.rendered.jobs}
    steps = [
        replace(
            _local(subject, name, ways[name], files[name], wishes), directories=directories.get(_job(subject, name), ())
        )
        for name in subject.steps
    ]
    return LocalRun(name=str(subject.name), steps=tuple(steps), channels=channels), []


def _no_library(name: str) -> BuiltTree:
    raise LookupError(f"sockets need no library, and {name} was asked for")


Rule = Callable[[BoundStep], str]
"""Why a step isn't run; empty where the rule doesn't apply."""


def _way(step: BoundStep, wishes: Wishes, reached: Collection[str]) -> tuple[Way, str]:
    """The first rule that applies decides."""
    if ON_MESSAGE in step.inputs:
        return "left-out", "a message starts its runs, and events are what flows here"
    if step.name in wishes.files or step.name in wishes.contents:
        return "reads", ""
    if not step.inputs:
        given = [channel for channel in step.outputs.values() if channel in wishes.given]
        return ("given", "") if given else ("not-reached", "it reads from outside, and nothing was given in its place")
    if not any(channel in reached for channel in step.inputs.values()):
        return "not-reached", "no event that was given comes here"
    if step.name in wishes.asked:
        return "runs", ""
    why = next((why for rule in _RULES if (why := rule(step))), "")
    return ("left-out", why) if why else ("runs", "")


def _gives_outside(step: BoundStep) -> str:
    if step.outputs or _role(step) == "transform":
        return ""
    return f"it gives its events to the outside; `--with {step.name}` runs it"


def _needs_secrets(step: BoundStep) -> str:
    return f"it needs secrets: {', '.join(step.blueprint.secrets)}" if step.blueprint.secrets else ""


def _speaks_otherwise(step: BoundStep) -> str:
    for ports, bound in ((step.blueprint.in_, step.inputs), (step.blueprint.out, step.outputs)):
        for port in bound:
            speaks = ports[port].speaks if port in ports else ("worker",)  # else a parameter names it
            if not {"worker", "stdio"} & set(speaks):
                return f"its port `{port}` speaks nothing but {', '.join(speaks)}"
    return ""


_RULES: tuple[Rule, ...] = (_gives_outside, _needs_secrets, _speaks_otherwise)


def _role(step: BoundStep) -> str:
    runner = step.blueprint.job.runner
    return "" if runner is UNSET else str(runner)


def is_reader(step: BoundStep) -> bool:
    """Whether it is a reader of files, which can read another file instead."""
    return _role(step) == "read-files"


def _open_ports(step: BoundStep) -> list[str]:
    """Of a transform the ports that are left open: what would be dropped there is shown."""
    if _role(step) != "transform":
        return []
    return [port for port, declared in step.blueprint.out.items() if declared.optional and port not in step.outputs]


def _channels(subject: Subject, running: list[BoundStep]) -> dict[str, LocalChannel]:
    labels = {channel: label for label, channel in (*subject.outputs.items(), *subject.inputs.items())}
    found: dict[str, LocalChannel] = {}
    for name in subject.steps:
        step = subject.system.steps[name]
        for channel in (*step.inputs.values(), *step.outputs.values()):
            readers = [_socket(channel, reader.name) for reader in running if channel in reader.inputs.values()]
            found.setdefault(channel, _channel(subject, channel, labels.get(channel, channel), readers))
        if step in running:
            for port in _open_ports(step):
                label = port if subject.name.step == step.name else f"{step.name}.{port}"
                found[f"{name}:{port}"] = _channel(subject, f"{name}:{port}", label, [], is_bound=False)
    return found


def _channel(subject: Subject, name: str, label: str, readers: list[str], *, is_bound: bool = True) -> LocalChannel:
    return LocalChannel(
        name=name,
        label=label,
        wire=f"{subject.linked.name}.{subject.system.workflow}.{name}",
        tap=socket_name(name, "", "tap"),
        sockets=tuple(readers),
        is_bound=is_bound,
    )


def _socket(channel: str, consumer: str) -> str:
    return socket_name(channel, consumer)


def _job(subject: Subject, step: str) -> str:
    return job_name(subject.system.workflow, step, 0)


def _routed(subject: Subject, step: BoundStep, channels: Mapping[str, LocalChannel]) -> RoutedJob:
    outputs = {**step.outputs, **{port: f"{step.name}:{port}" for port in _open_ports(step)}}
    return RoutedJob(
        name=_job(subject, step.name),
        workflow=subject.system.workflow,
        replica=0,
        worker=_stand_in(subject, step),
        step=step,
        inputs={
            port: [worker_input(channels[channel].wire, _socket(channel, step.name))]
            for port, channel in step.inputs.items()
        },
        outputs={
            port: [worker_output(channels[channel].wire, [*channels[channel].sockets, channels[channel].tap])]
            for port, channel in outputs.items()
        },
    )


def _stand_in(subject: Subject, step: BoundStep) -> PlacedWorker:
    """The first worker of the step's group that its constraints allow: what `${{ worker… }}` comes to.

    It keeps name, group and labels; the jobs run here, as on a local worker.
    """
    wanted = [parsed for text in step.place.constraints if (parsed := parse_constraint(text))]
    workers = [one for one in fleet_workers(subject.linked).values() if one.group == step.place.group]
    fitting = [one for one in workers if not any(constraint.refusal(one.labels) for constraint in wanted)]
    found = next(iter((*fitting, *workers)), None)
    if found is None:
        found = PlacedWorker(
            name="local", group=step.place.group, connection="local", service_manager="supervisor"
        )  # fmt: skip
    return msgspec.structs.replace(found, connection="local", service_manager="supervisor")


def _local(
    subject: Subject, name: str, way: tuple[Way, str], files: Mapping[str, TreeFile], wishes: Wishes
) -> LocalStep:
    step = subject.system.steps[name]
    job = _job(subject, name)
    document: dict[str, Any] = {}
    if files:
        path = f"jobs/{job}/job.json"
        document = json.loads(files[path].data)
        if way[0] == "reads":
            settings = document["runner"]["with"]
            document["runner"]["with"] = {**settings, "glob": wishes.files.get(name, _CONTENT), "mode": "once"}
        document["kind"] = "service"  # the launcher becomes the job, and is told to stop as such
        files = {**files, path: json_file(document)}
        if name in wishes.contents:
            files[f"jobs/{job}/{_CONTENT}"] = TreeFile(wishes.contents[name])
    open_ports = {port: f"{name}:{port}" for port in _open_ports(step)} if files else {}
    return LocalStep(
        name=name,
        use=step.use,
        job=job,
        place=subject.linked.locate_key(step.origin),
        way=way[0],
        why=way[1],
        inputs=step.inputs,
        outputs={**step.outputs, **open_ports},
        document=document,
        files=files,
    )
