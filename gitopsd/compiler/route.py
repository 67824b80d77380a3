"""Pass 8: what each port of each replica is joined to; adapter jobs where a port doesn't speak its transport."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gitopsd.compiler.expand import LONGEST_JOB, name_too_long
from gitopsd.compiler.link import Linked
from gitopsd.compiler.place import Placement
from gitopsd.compiler.transports import stays_on_its_worker, stored_as, wired_as
from gitopsd.compiler.transports.kind import Attachment, WireEnd, socket_name
from gitopsd.compiler.transports.worker import worker_input, worker_output
from gitopsd.model.artifacts import PlacedWorker
from gitopsd.model.diagnostic import Diagnostic, Related
from gitopsd.model.system import BoundChannel, BoundStep, System, job_name
from gitopsd.model.workflow import ON_MESSAGE, SIGNALS

Ports = dict[str, list[WireEnd]]

RUNNER_SPEAKS = frozenset({"worker", "file-store", "nats", "object-store"})
"""How the runner takes and gives messages by itself, for every job."""

_ON_ITS = {ON_MESSAGE: "where it waits", SIGNALS: "where it signals"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutedJob:
    """A job on its worker with its ends of channels.

    `step` is None for an adapter; `reason` says why that is there. `secrets` are those that its channels need.
    """

    name: str
    workflow: str
    replica: int
    worker: PlacedWorker
    step: BoundStep | None
    inputs: Ports
    outputs: Ports
    directories: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    reason: str = ""


@dataclass(slots=True)
class _Joined:
    """The ends of one replica while they are being collected."""

    inputs: Ports = field(default_factory=dict)
    outputs: Ports = field(default_factory=dict)
    directories: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)


def route(linked: Linked, system: System, placement: Placement) -> tuple[tuple[RoutedJob, ...], list[Diagnostic]]:
    """All jobs of one workflow, in the order of steps and replicas."""
    jobs: list[RoutedJob] = []
    diagnostics = [*_check_shared_paths(linked, system, placement), *_check_adapter_names(linked, system)]
    for step in system.steps.values():
        for replica in range(step.place.replicas):
            jobs += _route_replica(linked, system, step, replica, placement)
    return tuple(jobs), diagnostics


def _route_replica(
    linked: Linked, system: System, step: BoundStep, replica: int, placement: Placement
) -> list[RoutedJob]:
    name = job_name(system.workflow, step.name, replica)
    worker = placement.workers[placement.jobs[name]]
    joined = _Joined()
    adapters: list[RoutedJob] = []
    for side, ports in (("in", step.inputs), ("out", step.outputs)):
        for port, channel_name in ports.items():
            channel = system.channels[channel_name]
            attachment = Attachment(
                environment=linked.name, system=system, channel=channel, step=step, replica=replica
            )  # fmt: skip
            ends = joined.inputs if side == "in" else joined.outputs
            if _speaks(step, side, port, channel):
                ends[port] = [_direct_end(attachment, side)]
                joined.directories += _directories(channel, ends[port][0], worker)
                joined.secrets += channel.secrets
            else:
                inner, adapter = _adapt(attachment, side, port, worker)
                ends[port] = [inner]
                adapters.append(adapter)
    job = RoutedJob(
        name=name,
        workflow=system.workflow,
        replica=replica,
        worker=worker,
        step=step,
        inputs=joined.inputs,
        outputs=joined.outputs,
        directories=tuple(sorted(set(joined.directories))),
        secrets=tuple(sorted(set(joined.secrets))),
    )
    return [job, *adapters]


def _speaks(step: BoundStep, side: str, port: str, channel: BoundChannel) -> bool:
    """Whether the port handles the channel's transport by itself; the runner lends `worker` to a plain filter."""
    if port in {ON_MESSAGE, SIGNALS}:
        return channel.transport in RUNNER_SPEAKS
    declared = step.blueprint.port(side, port).speaks
    transport = stored_as(channel)
    return transport in declared or (transport == "worker" and "stdio" in declared)


def _directories(channel: BoundChannel, end: WireEnd, worker: PlacedWorker) -> tuple[str, ...]:
    """Those that the job writes to for this end of the channel."""
    if not stays_on_its_worker(channel):
        return wired_as(channel).directories(channel)
    # where gitopsd's own directory is somewhere else, its jobs can make theirs in it by themselves
    return (end["path"],) if worker.service_manager == "systemd" else ()


def _direct_end(attachment: Attachment, side: str) -> WireEnd:
    transport = wired_as(attachment.channel)
    return transport.input_of(attachment) if side == "in" else transport.output_of(attachment)


def _adapt(attachment: Attachment, side: str, port: str, worker: PlacedWorker) -> tuple[WireEnd, RoutedJob]:
    """The step's end, which becomes a `worker` socket, and the adapter job between that socket and the channel."""
    channel, step, system = attachment.channel, attachment.step, attachment.system
    inner_name = f"{attachment.wire_name}/{side}/{step.name}"  # no name holds a slash
    socket = socket_name(inner_name, str(attachment.replica))
    outer = _direct_end(attachment, side)
    reader = side == "in"
    adapter = RoutedJob(
        name=job_name(system.workflow, adapter_step(step.name, side, channel.name), attachment.replica),
        workflow=system.workflow,
        replica=attachment.replica,
        worker=worker,
        step=None,
        inputs={"default": [outer if reader else worker_input(inner_name, socket)]},
        outputs={"default": [worker_output(inner_name, [socket]) if reader else outer]},
        directories=_directories(channel, outer, worker),
        secrets=tuple(channel.secrets),
        reason=(
            f"`{step.name}` doesn't speak {stored_as(channel)} {_ON_ITS.get(port, f'on its port `{port}`')}, "
            f"so this {'reader' if reader else 'writer'} joins it to `{channel.name}`"
        ),
    )
    inner = worker_input(inner_name, socket) if reader else worker_output(inner_name, [socket])
    return inner, adapter


def adapter_step(step: str, side: str, channel: str) -> str:
    return f"{step}-{side}-{channel}"


def _check_adapter_names(linked: Linked, system: System) -> Iterator[Diagnostic]:
    """An adapter is named after step and channel; a step or another adapter of that very name would be the same job."""
    needed_by: dict[str, tuple[BoundStep, str]] = {}
    for step in system.steps.values():
        for side, ports in (("in", step.inputs), ("out", step.outputs)):
            for port, channel in ports.items():
                if _speaks(step, side, port, system.channels[channel]):
                    continue
                name = adapter_step(step.name, side, channel)
                place = linked.locate_key(step.origin, side)
                longest = job_name(system.workflow, name, step.place.replicas - 1)
                if len(longest) > LONGEST_JOB:
                    yield name_too_long(longest, place)
                elif name in system.steps:
                    yield Diagnostic(
                        code="name-clash",
                        message=f"the step `{name}` has the name of an adapter job that `{step.name}` needs",
                        location=linked.locate_key(system.steps[name].origin),
                        related=(Related(message="the adapter is needed here", location=place),),
                        hint="rename the step",
                    )
                elif name in needed_by:
                    other_step, other_side = needed_by[name]
                    other = linked.locate_key(other_step.origin, other_side)
                    yield Diagnostic(
                        code="name-clash",
                        message=f"`{step.name}` and `{other_step.name}` would both need an adapter job `{name}`",
                        location=place,
                        related=(Related(message="the other one is needed here", location=other),),
                        hint="rename one of the steps or channels",
                    )
                needed_by[name] = (step, side)


def _check_shared_paths(linked: Linked, system: System, placement: Placement) -> Iterator[Diagnostic]:
    """A channel that crosses workers needs a path which all of them see as one."""
    for channel in system.channels.values():
        if not wired_as(channel).needs_shared_path():
            continue
        names = {
            placement.jobs[job_name(system.workflow, end.step, replica)]
            for end in (*channel.producers, *channel.consumers)
            for replica in range(system.steps[end.step].place.replicas)
        }
        blind = [name for name in sorted(names) if not _sees(placement.workers[name].mounts, channel.path)]
        if len(names) > 1 and blind:
            shown = ", ".join(f"`{name}`" for name in blind[:5]) + (" and more" if len(blind) > 5 else "")
            yield Diagnostic(
                code="path-not-shared",
                message=(
                    f"the channel `{channel.name}` joins {len(names)} workers, "
                    f"but `{channel.path}` is not declared as shared on {shown}"
                ),
                location=linked.locate(channel.origin, "path"),
                hint=(
                    f"if it is one file system there, say so in {linked.environment.fleet}: "
                    f"`mounts: {{{channel.path}: shared}}` in each group; else place the steps on one worker"
                ),
            )


def _sees(mounts: Mapping[str, str], path: str) -> bool:
    return any((path + "/").startswith(mount.rstrip("/") + "/") for mount in mounts)
