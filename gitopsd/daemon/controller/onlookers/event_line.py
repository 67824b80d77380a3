"""What an event comes to in a log: a sentence, how much it matters, and what it is about."""

from dataclasses import dataclass
from enum import IntEnum
from typing import assert_never

from gitopsd.daemon.controller import events as told
from gitopsd.daemon.controller.outcome import outcome_of
from gitopsd.daemon.convergence.result import State, WorkerResult
from gitopsd.planner.drift import Drift

_SHOWN = 3


class Priority(IntEnum):
    """As syslog(3) has them."""

    ERROR = 3
    WARNING = 4
    NOTICE = 5
    INFO = 6
    DEBUG = 7


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`message` may have several lines, and text from a repository or a worker in it; what isn't known is empty."""

    message: str
    priority: Priority
    event: str
    environment: str
    at: float
    deployment: int | None = None
    worker: str = ""
    source: str = ""


_OF_STATE: dict[State, Priority] = {
    "in-sync": Priority.DEBUG,
    "drift": Priority.WARNING,
    "converged": Priority.INFO,
    "failed": Priority.ERROR,
    "rolled-back": Priority.ERROR,
    "unreachable": Priority.WARNING,
}


def line_of(event: told.Event) -> Line:
    message, priority = _told(event)
    worker = getattr(event, "worker", "")
    match event:
        case told.WorkerEnded(result=result):
            worker = result.worker
        case told.WorkerChanging(differences=differences):
            worker = differences.worker
        case _:
            pass
    return Line(
        message=message,
        priority=priority,
        event=str(event.__struct_config__.tag),
        environment=event.environment,
        at=event.at,
        deployment=getattr(event, "deployment", getattr(event, "by", None)),
        worker=worker,
        source=getattr(event, "source", ""),
    )


def _told(event: told.Event) -> tuple[str, Priority]:  # noqa: C901, PLR0911, PLR0912 - one line for each event
    match event:
        case told.Looked():
            return f"looked: the source is at {_short(event.source)}", Priority.DEBUG
        case told.LookFailed():
            again = _times(event.attempts)
            return _with(f"the repository can't be looked at{again}: {event.error}", event.hint), Priority.WARNING
        case told.Planning():
            return f"planning {_short(event.source)}", Priority.DEBUG
        case told.Planned():
            changes = (
                ", ".join(f"{count} {name}" for name, count in event.changes.items() if count) or "nothing changes"
            )
            return f"planned {_short(event.source)} in {event.seconds:.1f} s: {changes}", Priority.INFO
        case told.Refused():
            refused = f"{_short(event.source)} is not deployed{_times(event.attempts)}: {event.error}"
            return _with("\n".join(part for part in (refused, event.diagnostics) if part), event.hint), Priority.ERROR
        case told.Held():
            until = f" until {event.until}" if event.until else ""
            return f"{_short(event.source)} waits{until}: {'; '.join(event.reasons)}", Priority.NOTICE
        case told.Settled():
            return (
                f"{_short(event.source)} changes no release: deployment {event.deployment} stays as it is",
                Priority.INFO,
            )
        case told.Committed():
            skipped = f", which supersedes {len(event.superseded)} versions" if event.superseded else ""
            subject = event.subject.removeprefix(f"Deployment {event.deployment}: ")  # the line begins with it
            version = f"{_short(event.source)}, {subject} ({event.author})"
            return f"deployment {event.deployment} ({event.trigger}): {version}{skipped}", Priority.NOTICE
        case told.RolloutBegan():
            return f"deployment {event.deployment}: looking at {_count(len(event.workers))}", Priority.DEBUG
        case told.WorkerProgressed():
            detail = f": {event.detail}" if event.detail else ""
            return f"{event.worker}: {event.stage}{detail}", Priority.DEBUG
        case told.WorkerChanging():
            drift = _drift(event.differences.drift)
            diffs = [f"{edit.path} was {edit.change}\n{edit.diff}".rstrip() for edit in event.differences.edits]
            return "\n".join([f"{event.differences.worker}: is changed: {drift}", *diffs]), Priority.INFO
        case told.WorkerEnded():
            return _worker(event.result), _OF_STATE[event.result.state]
        case told.WorkerLeftOut():
            left_out = f"{event.worker}: left out until {event.next}, {event.trouble}{_times(event.attempts)}"
            return f"{left_out}: {event.error}", Priority.DEBUG
        case told.Reverted():
            why = "; ".join(f"{name}: {reason}" for name, reason in event.workflows.items())
            return f"deployment {event.failed} failed, and deployment {event.by} reverts it: {why}", Priority.ERROR
        case told.RolloutEnded():
            return _rollout(event)
        case told.Converged():
            if event.problem:
                return _with(f"deployment {event.deployment}: {event.problem}", event.hint), Priority.WARNING
            return f"deployment {event.deployment}: all that can be done is done", Priority.DEBUG
        case told.Said():
            return event.message, Priority.WARNING if event.level == "warning" else Priority.INFO
        case told.Leading():
            return "this controller leads", Priority.NOTICE
        case told.Stopping():
            return "stopping", Priority.NOTICE
        case _:
            assert_never(event)


def _rollout(event: told.RolloutEnded) -> tuple[str, Priority]:
    outcome = outcome_of(event.rollout)
    count = _count(len(event.rollout.results))
    changed = sum(result.state == "converged" for result in event.rollout.results)
    priority = {"converged": Priority.INFO if changed else Priority.DEBUG, "failed": Priority.ERROR}
    message = f"deployment {event.deployment}: {outcome}, {count}, {changed} changed, in {event.seconds:.1f} s"
    return message, priority.get(outcome, Priority.WARNING)


def _worker(result: WorkerResult) -> str:
    match result.state:
        case "in-sync":
            said = "in sync"
        case "drift":
            said = _drift(result.drift)
        case _:
            said = f"{result.state}{': ' if result.summary else ''}{result.summary}"
    return f"{result.worker}: {said}"


def _drift(drift: tuple[Drift, ...]) -> str:
    more = f"; and {len(drift) - _SHOWN} more" if len(drift) > _SHOWN else ""
    return "; ".join(str(one) for one in drift[:_SHOWN]) + more


def _short(commit: str) -> str:
    return commit[:12] or "no version"


def _count(workers: int) -> str:
    return f"{workers} worker{'' if workers == 1 else 's'}"


def _times(attempts: int) -> str:
    return f" (attempt {attempts})" if attempts > 1 else ""


def _with(message: str, hint: str) -> str:
    return f"{message}\nhint: {hint}" if hint else message
