"""Which events are news: something is told when it begins and when it has ended, and not while it goes on."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from msgspec import Struct

from gitopsd.daemon.configuration.configuration import Occasion
from gitopsd.daemon.controller import events as told
from gitopsd.daemon.controller.outcome import outcome_of
from gitopsd.daemon.convergence.result import WorkerResult

SHOWN_WORKERS = 10
_SHOWN_TEXT = 300
_TRIES_BEFORE_TOLD = 3
_WELL = frozenset({"in-sync", "converged"})
_FAILED = frozenset({"failed", "rolled-back"})

Subject = str
"""What a condition is of: `version`, `cycle`, `repository` (of no environment), or `worker/NAME`."""

Known = dict[Subject, str]
"""What was last told of each subject of an environment; one of which nothing bad is known isn't there."""


class Notification(Struct, frozen=True, kw_only=True):
    """`title` is one line, `detail` none or more. What is told by it, `conditions`, is remembered once it was sent.

    Text in them may come from a repository or a worker.
    """

    occasion: Occasion
    environment: str
    title: str
    detail: str = ""
    deployment: int = 0
    source: str = ""
    workers: tuple[str, ...] = ()
    conditions: Mapping[Subject, str] = {}


class _New(NamedTuple):
    """A deployment of which nobody was told yet how it went; `what` says what it is."""

    deployment: int
    source: str
    what: str


class Changes:
    """Of one environment, or of the repository where that is empty.

    `forget` is told of conditions that ended without anybody being told.
    """

    def __init__(self, environment: str, known: Known, forget: Callable[[Subject], None]) -> None:
        self._environment = environment
        self._known = known
        self._forget = forget
        self._new: _New | None = None
        self._deployed: int | None = None  # the newest deployment that workers were made equal to
        self._in_vain = 0  # cycles in a row

    def news(self, event: told.Event) -> Iterator[Notification]:
        """What is to be told now, each once."""
        for one in self._news(event):
            for subject, condition in one.conditions.items():
                if condition:
                    self._known[subject] = condition
                else:
                    self._known.pop(subject, None)
            yield one

    def _news(self, event: told.Event) -> Iterator[Notification]:
        match event:
            case told.Looked():
                yield from self._recovered_repository()
            case told.LookFailed():
                yield from self._unreachable_repository(event)
            case told.Refused():
                yield from self._refused(event)
            case told.Held():
                yield from self._held(event)
            case told.Settled():
                yield from self._settled(event)
            case told.Committed():
                self._new = _New(event.deployment, event.source, f"{event.subject} ({event.author})")
                if self._known.pop("version", ""):
                    self._forget("version")
            case told.RolloutBegan():
                self._began(event)
            case told.Reverted():
                yield self._reverted(event)
            case told.RolloutEnded():
                yield from self._rolled_out(event)
            case told.Converged():
                yield from self._cycle(event)
            case _:
                pass

    def _say(
        self,
        occasion: Occasion,
        title: str,
        detail: str = "",
        *,
        deployment: int = 0,
        source: str = "",
        workers: Sequence[str] = (),
        conditions: Mapping[Subject, str] | None = None,
    ) -> Notification:
        return Notification(
            occasion=occasion,
            environment=self._environment,
            title=title,
            detail=detail,
            deployment=deployment,
            source=source,
            workers=tuple(workers),
            conditions=conditions or {},
        )

    def _unreachable_repository(self, event: told.LookFailed) -> Iterator[Notification]:
        # one that fails now and then is nothing to wake somebody for
        if event.attempts >= _TRIES_BEFORE_TOLD and "repository" not in self._known:
            conditions = {"repository": "unreachable"}
            yield self._say("unreachable", "the repository can't be reached", event.error, conditions=conditions)

    def _recovered_repository(self) -> Iterator[Notification]:
        if "repository" in self._known:
            yield self._say("recovered", "the repository can be reached again", conditions={"repository": ""})

    def _refused(self, event: told.Refused) -> Iterator[Notification]:
        condition = f"refused {event.source}"
        if self._known.get("version") != condition:
            detail = "\n".join(part for part in (event.error, event.diagnostics, event.hint) if part)
            title = f"version {event.source[:12]} is not deployed"
            yield self._say("failed", title, detail, source=event.source, conditions={"version": condition})

    def _held(self, event: told.Held) -> Iterator[Notification]:
        condition = f"held {event.source} {'; '.join(event.reasons)}"
        if self._known.get("version") != condition:
            title = f"version {event.source[:12]} waits{f' until {event.until}' if event.until else ''}"
            detail = "\n".join(event.reasons)
            yield self._say("held", title, detail, source=event.source, conditions={"version": condition})

    def _settled(self, event: told.Settled) -> Iterator[Notification]:
        if self._known.get("version", "").startswith("refused "):
            title = f"version {event.source[:12]} is what deployment {event.deployment} has"
            yield self._say(
                "recovered", title, deployment=event.deployment, source=event.source, conditions={"version": ""}
            )
        elif self._known.pop("version", ""):
            self._forget("version")

    def _began(self, event: told.RolloutBegan) -> None:
        """A deployment that somebody else committed is news as well, once it is rolled out."""
        is_known = self._new is not None and self._new.deployment == event.deployment
        if self._deployed is not None and event.deployment > self._deployed and not is_known:
            self._new = _New(event.deployment, "", "")
        self._deployed = event.deployment

    def _cycle(self, event: told.Converged) -> Iterator[Notification]:
        self._in_vain = self._in_vain + 1 if event.problem else 0
        if self._in_vain == _TRIES_BEFORE_TOLD and "cycle" not in self._known:
            detail = "\n".join(part for part in (event.problem, event.hint) if part)
            yield self._say("failed", "workers can't be looked after", detail, conditions={"cycle": "failed"})
        elif not self._in_vain and "cycle" in self._known:
            yield self._say("recovered", "workers are looked after again", conditions={"cycle": ""})

    def _reverted(self, event: told.Reverted) -> Notification:
        self._new = _New(event.by, "", "the deployment that reverts it")
        detail = "\n".join(f"{workflow}: {why}" for workflow, why in event.workflows.items())
        title = f"deployment {event.failed} failed, and deployment {event.by} reverts {_listed(list(event.workflows))}"
        return self._say("reverted", title, detail, deployment=event.by)

    def _rolled_out(self, event: told.RolloutEnded) -> Iterator[Notification]:
        results = {result.worker: result for result in event.rollout.results}
        before = {worker: self._known.get(f"worker/{worker}", "") for worker in results}
        now = {worker: _condition(result, before[worker]) for worker, result in results.items()}
        changed = {worker: condition for worker, condition in now.items() if condition != before[worker]}
        failed = [worker for worker, condition in changed.items() if condition == "failed"]
        if self._new is not None and self._new.deployment == event.deployment:
            yield from self._of_deployment(self._new, event, failed, results)
        elif failed:
            title = f"{_listed(failed)} failed to become as deployment {event.deployment} has it"
            yield self._of_workers("failed", title, failed, results, event)
        away = [worker for worker, condition in changed.items() if condition == "unreachable"]
        if away:
            yield self._of_workers("unreachable", f"{_listed(away)} can't be reached", away, results, event)
        back = [worker for worker, condition in changed.items() if not condition]
        if back:
            title = f"{_listed(back)} {'is' if len(back) == 1 else 'are'} well again"
            yield self._of_workers("recovered", title, back, {}, event)

    def _of_deployment(
        self, new: _New, event: told.RolloutEnded, failed: Sequence[str], results: Mapping[str, WorkerResult]
    ) -> Iterator[Notification]:
        outcome = outcome_of(event.rollout)
        count = sum(result.state in _WELL for result in event.rollout.results)
        if outcome == "converged" or (outcome == "unreachable" and count):
            self._new = None
            title = f"deployment {new.deployment} is on {count} worker{'' if count == 1 else 's'}"
            yield self._say("deployed", title, new.what, deployment=new.deployment, source=new.source)
        elif outcome == "failed":
            self._new = None
            failing = list(event.rollout.failed) or [name for name, one in results.items() if one.state in _FAILED]
            title = f"deployment {new.deployment} failed{f' on {_listed(failing)}' if failing else ''}"
            stopped = [f"{group}: {why}" for group, why in event.rollout.stopped.items()]
            detail = "\n".join(part for part in (new.what, *_reasons(failing, results), *stopped) if part)
            conditions = {f"worker/{worker}": "failed" for worker in failed}
            yield self._say(
                "failed",
                title,
                detail,
                deployment=new.deployment,
                source=new.source,
                workers=failing,
                conditions=conditions,
            )

    def _of_workers(
        self,
        occasion: Literal["failed", "unreachable", "recovered"],
        title: str,
        workers: Sequence[str],
        results: Mapping[str, WorkerResult],
        event: told.RolloutEnded,
    ) -> Notification:
        condition = "" if occasion == "recovered" else occasion
        return self._say(
            occasion,
            title,
            "\n".join(_reasons(workers, results)),
            deployment=event.deployment,
            workers=workers,
            conditions={f"worker/{worker}": condition for worker in workers},
        )


def _condition(result: WorkerResult, before: str) -> str:
    """What is to be known of a worker from now on."""
    if result.state in _WELL:
        return ""
    if result.state in _FAILED:
        return "failed"
    return "unreachable" if result.state == "unreachable" else before


def _listed(names: Sequence[str]) -> str:
    more = len(names) - SHOWN_WORKERS
    shown = ", ".join(names[:SHOWN_WORKERS])
    return f"{shown} and {more} more" if more > 0 else shown


def _reasons(workers: Sequence[str], results: Mapping[str, WorkerResult]) -> list[str]:
    found = [
        f"{one}: {results[one].summary.removeprefix(f'{one}: ')[:_SHOWN_TEXT]}" for one in workers if one in results
    ]
    return found[:SHOWN_WORKERS]
