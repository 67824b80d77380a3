"""Why a job comes, goes or changes. In each table the first rule that applies gives the reason."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gitopsd.planner.plan.job_document import End, JobDocument
from gitopsd.planner.plan.sides import JobEntry, Side, document_path

_MOST_NAMES = 5


class Census:
    """How many jobs each workflow and each of its steps has, adapters counted as steps of their own."""

    def __init__(self, jobs: Iterable[str]) -> None:
        self._steps = Counter(job.rpartition(".")[0] for job in jobs)
        self.workflows = frozenset(step.partition(".")[0] for step in self._steps)
        self._modules: frozenset[str] | None = None

    def replicas(self, step: str) -> int:
        """Of `<workflow>.<step>`."""
        return self._steps[step]

    def has_module(self, module: str) -> bool:
        """Whether `<workflow>.<step>` stands for steps inside of it."""
        if self._modules is None:
            self._modules = frozenset(outer for step in self._steps for outer in _outer(step))
        return module in self._modules


def why_created(job: str, before: Census, after: Census, adapter: str) -> str:
    """`adapter` is the reason why an adapter job is there."""
    workflow, step = _parts(job)
    had, has = before.replicas(f"{workflow}.{step}"), after.replicas(f"{workflow}.{step}")
    rules = (
        (bool(adapter), adapter),
        (workflow not in before.workflows, f"the workflow `{workflow}` is new"),
        (had > 0, f"`{step}` has {_replicas(has)} instead of {had}"),
        (True, f"the step `{step}` is new"),
    )
    return next(reason for applies, reason in rules if applies)


def why_deleted(job: str, was: JobDocument, before: Census, after: Census) -> str:
    workflow, step = _parts(job)
    had, has = before.replicas(f"{workflow}.{step}"), after.replicas(f"{workflow}.{step}")
    adapted, channel = adapted_step(job, was)
    module = next((name for name in _outer(step) if not after.has_module(f"{workflow}.{name}")), "")
    rules = (
        (workflow not in after.workflows, f"the workflow `{workflow}` is not in this version"),
        (has > 0, f"`{step}` has {_replicas(has)} instead of {had}"),
        (
            bool(adapted and after.replicas(f"{workflow}.{adapted}")),
            f"`{adapted}` needs no adapter for `{channel}` any more",
        ),
        (bool(adapted), f"the step `{adapted}`, which it joined to `{channel}`, is not in the workflow any more"),
        (bool(module), f"the step `{module}`, which it is a part of, is not in the workflow any more"),
        (True, f"the step `{step}` is not in the workflow any more"),
    )
    return next(reason for applies, reason in rules if applies)


def why_moved(told: str, step: str, beside: Sequence[str], *, returns: bool) -> str:
    """`told` is what placing said of the job, `step` the one that an adapter joins to a channel.

    `beside` are the jobs which were at the destination already and which a `worker` channel joins to this one.
    `returns` says that the version was deployed before, and starts from where its jobs were then.
    """
    neighbours = _named(beside)
    rules = (
        (bool(told), told),
        (bool(step), f"it is where its step `{step}` is"),
        (bool(beside), f"a `worker` channel keeps it beside {neighbours}, which {_be(beside)} here already"),
        (returns, "this version was deployed before, and its jobs go back to where they were then"),
        (True, "its place was chosen anew"),
    )
    return next(reason for applies, reason in rules if applies)


def why_updated(
    job: str, old: Side, new: Side, paths: Sequence[str], documents: tuple[JobDocument, JobDocument]
) -> str:
    """`paths` are the files that differ, `documents` what the job was told and will be."""
    parts = list(_parts_that_differ(job, old, new, paths, documents))
    if not parts:
        return "what the release says of it changed"
    reason = f"changed: {', '.join(parts)}"
    was, will_be = old.jobs[job], new.jobs[job]
    if was["digest"] != will_be["digest"] and will_be["on_change"] == "none" and will_be["kind"] == "service":
        reason += "; by its `on_change: none` that counts from its next start"
    if was["digest"] != will_be["digest"] and was["kind"] == will_be["kind"] == "schedule":
        reason += "; a run that is under way ends as it began"
    return reason


def _parts_that_differ(
    job: str, old: Side, new: Side, paths: Sequence[str], documents: tuple[JobDocument, JobDocument]
) -> Iterator[str]:
    files, document = f"jobs/{job}/files/", document_path(job)
    for path in paths:
        if path == document:
            yield from _described_parts(*documents)
        elif path.endswith(".timer") and path.startswith("units/"):
            yield from _schedule_parts(old.jobs[job], new.jobs[job])
        elif path.startswith("units/"):
            yield _unit_parts(job, old, new)
        else:
            yield f"the file `{path.removeprefix(files)}`"
    was, will_be = old.jobs[job], new.jobs[job]
    has_another_runner = old.runtime != new.runtime and bool(documents[1].role)
    if was["digest"] != will_be["digest"] and (has_another_runner or not paths):
        yield "the runner that comes with gitopsd"
    libraries = [name for name in will_be.get("libraries", ()) if old.libraries.get(name) != new.libraries.get(name)]
    if libraries and was.get("libraries") == will_be.get("libraries"):
        yield f"{_named(libraries)}, which comes with gitopsd"
    told = {*was, *will_be} - {"digest", "libraries", "process", "schedule"}
    keys = sorted(key for key in told if was.get(key) != will_be.get(key))
    if keys:
        yield f"how it is looked after ({', '.join(keys)})"


def _described_parts(was: JobDocument, will_be: JobDocument) -> Iterator[str]:
    if was.kind != will_be.kind:
        yield f"its kind, `{was.kind}` before and `{will_be.kind}` now"
    if was.role != will_be.role:
        yield "the program that it is"
    else:
        arguments = _differing(was.settings, will_be.settings)
        if "command" in arguments or was.command != will_be.command:
            yield "its command"
        arguments = [name for name in arguments if name != "command"]
        if arguments:
            yield f"its argument{'s' if len(arguments) > 1 else ''} {_named(arguments)}"
    channels = sorted(
        {
            *_other_channels(was.inputs, will_be.inputs),
            *_other_channels(was.outputs, will_be.outputs),
        }
    )
    if channels:
        yield f"how it is joined to {_named(channels)}"
    if was == will_be and not channels:
        yield "its `job.json`"


def _other_channels(was: Sequence[End], will_be: Sequence[End]) -> set[str]:
    told, will_be_told = ({(end.channel_name, end.told) for end in ends} for ends in (was, will_be))
    return {channel for channel, _ in told ^ will_be_told}


def _schedule_parts(was: JobEntry, will_be: JobEntry) -> Iterator[str]:
    """Where only one of the two has a schedule, the kind tells."""
    before, now = was.get("schedule", ""), will_be.get("schedule", "")
    if before and now and before != now:
        yield f"its schedule, `{before}` before and `{now}` now"
    elif before == now:
        yield "its timer"


def _unit_parts(job: str, old: Side, new: Side) -> str:
    """The settings of the unit that differ, by name."""
    was, will_be = (_unit_settings(job, side) for side in (old, new))
    names = _differing(was, will_be)
    return f"its unit ({', '.join(names[:_MOST_NAMES])}{', …' if len(names) > _MOST_NAMES else ''})"


def _unit_settings(job: str, side: Side) -> dict[str, str]:
    path = f"units/{side.jobs[job]['unit']}"
    entry = side.files_of(job).get(path)
    text = side.blob(entry.id).decode(errors="replace") if entry else ""
    return {key: value for key, equals, value in (line.partition("=") for line in text.splitlines()) if equals}


def _differing(was: Mapping[str, Any], will_be: Mapping[str, Any]) -> list[str]:
    return sorted(key for key in {*was, *will_be} if was.get(key) != will_be.get(key))


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(f"`{name}`" for name in names[:_MOST_NAMES])
    return shown + (f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else "")


def _parts(job: str) -> tuple[str, str]:
    """Workflow and step."""
    workflow, _, rest = job.partition(".")
    return workflow, rest.rpartition(".")[0]


def _outer(step: str) -> Iterator[str]:
    """What a dotted name is a part of, from the outermost on: `a` and `a.b` of `a.b.c`."""
    names = step.split(".")
    for depth in range(1, len(names)):
        yield ".".join(names[:depth])


def adapted_step(job: str, document: JobDocument) -> tuple[str, str]:
    """The step and the channel that an adapter joins. Its inner channel is named `<channel>/<side>/<step>`."""
    if document.role != "relay":
        return "", ""
    _, step = _parts(job)
    inner = {end.channel for end in (*document.inputs, *document.outputs) if end.transport == "worker"}
    for side in ("in", "out"):
        pieces = step.split(f"-{side}-")
        for split in range(1, len(pieces)):
            name, channel = f"-{side}-".join(pieces[:split]), f"-{side}-".join(pieces[split:])
            if any(wire.endswith(f".{channel}/{side}/{name}") for wire in inner):
                return name, channel
    return "", ""


def _be(names: Sequence[str]) -> str:
    return "is" if len(names) == 1 else "are"


def _replicas(count: int) -> str:
    return f"{count} replica{'' if count == 1 else 's'}"


def entry_effect(was: JobEntry, will_be: JobEntry, *, unit_differs: bool) -> str:
    """What a change does to the process, by the agent's rules: it restarts only for another digest."""
    rules = (
        (was["digest"] == will_be["digest"], "none"),
        (was["kind"] == will_be["kind"] == "schedule", "none"),
        ("schedule" in (was["kind"], will_be["kind"]), "restart"),
        (will_be["kind"] == "once", "restart"),
        (
            will_be["on_change"] == "reload" and (unit_differs or was.get("process") != will_be.get("process")),
            "restart",
        ),
        (True, str(will_be["on_change"])),
    )
    return next(effect for applies, effect in rules if applies)
