"""The jobs of a run on a laptop: rendered as for a worker, but every channel is a socket between two processes.

So no network is reached and no store written. Each channel has one more consumer, the tap, which sees all of it.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from gitopsd.compiler.local.run import CONTENT, LocalChannel, LocalRun, LocalStep, Way, Wishes
from gitopsd.compiler.local.subject import Subject
from gitopsd.compiler.local.ways import role_of, way_of
from gitopsd.compiler.place import fleet_workers
from gitopsd.compiler.placement.constraints import parse_constraint
from gitopsd.compiler.render.workflow import WorkflowText, json_file, render_workflow
from gitopsd.compiler.route import RoutedJob
from gitopsd.compiler.transports.kind import socket_name
from gitopsd.compiler.transports.worker import worker_input, worker_output
from gitopsd.model.artifacts import PlacedWorker
from gitopsd.model.diagnostic import Diagnostic
from gitopsd.model.system import BoundStep, job_name
from gitopsd.model.trees import BuiltTree, TreeFile, build_tree

MAX_BYTES = 64 << 20
"""Of all files of the jobs that are run."""


def wire(subject: Subject, wishes: Wishes) -> tuple[LocalRun | None, list[Diagnostic]]:
    """Renders the jobs; what only rendering finds wrong comes back as diagnostics."""
    reached = set(wishes.given)
    ways: dict[str, tuple[Way, str]] = {}
    for name in subject.steps:
        step = subject.system.steps[name]
        waits = subject.waiting.get(name)
        ways[name] = ("left-out", f"it waits for the message `{waits}`") if waits else way_of(step, wishes, reached)
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
    steps = [_local(subject, name, ways[name], text, wishes) for name in subject.steps]
    return LocalRun(name=str(subject.name), steps=tuple(steps), channels=channels), []


def _no_library(name: str) -> BuiltTree:
    raise LookupError(f"sockets need no library, and {name} was asked for")


def _open_ports(step: BoundStep) -> list[str]:
    """Of a transform the ports that are left open: what would be dropped there is shown."""
    if role_of(step) != "transform":
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


def _local(subject: Subject, name: str, way: tuple[Way, str], text: WorkflowText, wishes: Wishes) -> LocalStep:
    step = subject.system.steps[name]
    job = _job(subject, name)
    plain = LocalStep(
        name=name,
        use=step.use,
        job=job,
        place=subject.linked.locate_key(step.origin),
        way=way[0],
        why=way[1],
        inputs=step.inputs,
        outputs=step.outputs,
    )
    if job not in text.files:
        return plain
    document = _document(text.files[job][f"jobs/{job}/job.json"], wishes.files.get(name, CONTENT), way[0])
    files = {**text.files[job], f"jobs/{job}/job.json": json_file(document)}
    if name in wishes.contents:
        files[f"jobs/{job}/{CONTENT}"] = TreeFile(wishes.contents[name])
    return replace(
        plain,
        outputs={**step.outputs, **{port: f"{name}:{port}" for port in _open_ports(step)}},
        document=document,
        files=files,
        directories=next(tuple(one.record["directories"]) for one in text.rendered.jobs if one.name == job),
    )


def _document(rendered: TreeFile, reads: str, way: Way) -> dict[str, Any]:
    """`job.json`, for a run that begins and ends here."""
    document: dict[str, Any] = json.loads(rendered.data)
    if way == "reads":
        settings = document["runner"]["with"]
        document["runner"]["with"] = {**settings, "glob": reads, "mode": "once"}
    document["kind"] = "service"  # the launcher becomes the job, and is told to stop as such
    return document
