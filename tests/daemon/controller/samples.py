"""One event of each kind, as the controller tells them."""

import typing

from gitopsd.daemon.controller import events as told
from gitopsd.daemon.convergence.differences import Differences
from gitopsd.daemon.convergence.result import State, WorkerResult
from gitopsd.daemon.convergence.rollout_summary import Rollout
from gitopsd.model.control import Quarantine
from gitopsd.model.facts import InputTraffic, JobTraffic
from gitopsd.planner.drift import Drift
from gitopsd.planner.hot_edits import HotEdit

AT = 1_800_000_000.0
SOURCE = "0123456789abcdef0123456789abcdef01234567"
HEAD = "89abcdef0123456789abcdef0123456789abcdef"
DRIFT = Drift(kind="changed-file", subject="jobs/orders.a.0/job.json", detail="it was edited")
EDIT = HotEdit(path="jobs/orders.a.0/job.json", change="edited", diff="-edited\n+rendered\n")


def looked(environment: str = "production", at: float = AT) -> told.Looked:
    return told.Looked(environment=environment, at=at, source=SOURCE, head=HEAD)


def look_failed(error: str = "no route to host", at: float = AT) -> told.LookFailed:
    return told.LookFailed(environment="", at=at, error=error, attempts=2, next=at + 30)


def refused(source: str = SOURCE, error: str = "the version has 2 errors") -> told.Refused:
    return told.Refused(environment="production", at=AT, source=source, error=error, diagnostics="error: no\n  here")


def held(*reasons: str) -> told.Held:
    return told.Held(environment="production", at=AT, source=SOURCE, reasons=reasons or ("it deletes 9 jobs",))


def committed(deployment: int = 7, trigger: str = "push", *, skipped: tuple[str, ...] = ()) -> told.Committed:
    return told.Committed(
        environment="production",
        at=AT,
        source=SOURCE,
        head=HEAD,
        deployment=deployment,
        trigger=trigger,
        subject="Collect from two more folders",
        author="Operator",
        workers=("edge-1", "edge-2"),
        superseded=skipped,
    )


def result(worker: str = "edge-1", state: State = "converged", error: str = "", **more: typing.Any) -> WorkerResult:
    return WorkerResult(worker=worker, state=state, error=error, **more)


def worker_ended(worker: str = "edge-1", state: State = "converged", error: str = "") -> told.WorkerEnded:
    return told.WorkerEnded(environment="production", at=AT, deployment=7, result=result(worker, state, error))


def traffic(*, events: int = 1, done: int = 1, waiting: int | None = 0) -> JobTraffic:
    end = InputTraffic(
        port="default",
        channel="production.orders.raw",
        events=events,
        bytes=100,
        done=done,
        waiting=waiting,
        stalled=0.0,
    )
    return JobTraffic(age=1.0, pid=42, read=events, done=done, failed=0, inputs=(end,), outputs=())


def changing(*drift: Drift, worker: str = "edge-1") -> told.WorkerChanging:
    differences = Differences(worker=worker, drift=drift or (DRIFT,), edits=(EDIT,))
    return told.WorkerChanging(environment="production", at=AT, deployment=7, differences=differences)


def left_out(worker: str = "edge-2") -> told.WorkerLeftOut:
    return told.WorkerLeftOut(
        environment="production",
        at=AT,
        deployment=7,
        worker=worker,
        trouble="unreachable",
        tried=7,
        attempts=3,
        error="no answer",
        last="2027-01-15T07:58:00Z",
        next="2027-01-15T08:00:00Z",
    )


def began(deployment: int = 7, workers: tuple[str, ...] = ("edge-1", "edge-2")) -> told.RolloutBegan:
    return told.RolloutBegan(environment="production", at=AT, deployment=deployment, workers=workers)


def ended(*results: WorkerResult, deployment: int = 7, **summary: typing.Any) -> told.RolloutEnded:
    rollout = Rollout(results=results, **summary)
    return told.RolloutEnded(environment="production", at=AT, deployment=deployment, rollout=rollout, seconds=3.2)


def reverted() -> told.Reverted:
    quarantine = Quarantine(
        owner="gitopsd <gitopsd@localhost>",
        reason="orders.a.0 failed",
        since="2027-01-15T08:00:00Z",
        compiled="0" * 64,
        failed=7,
        returns_to=6,
    )
    quarantines = {"orders": quarantine}
    return told.Reverted(environment="production", at=AT, failed=7, by=8, head=HEAD, quarantines=quarantines)


def converged(problem: str = "") -> told.Converged:
    return told.Converged(environment="production", at=AT, head=HEAD, deployment=7, request=1, problem=problem)


EVERY: tuple[told.Event, ...] = (
    looked(),
    look_failed(),
    told.Planning(environment="production", at=AT, source=SOURCE),
    told.Planned(
        environment="production", at=AT, source=SOURCE, digest="d", changes={"update": 2}, workers=(), seconds=0.4
    ),
    refused(),
    held(),
    told.Settled(environment="production", at=AT, source=SOURCE, head=HEAD, deployment=7),
    committed(skipped=(HEAD,)),
    began(),
    told.WorkerProgressed(environment="production", at=AT, deployment=7, worker="edge-1", stage="activating"),
    changing(),
    worker_ended(),
    left_out(),
    reverted(),
    ended(result()),
    converged(),
    told.Said(environment="production", at=AT, message="edge-1 has little room left", level="warning"),
    told.Leading(environment="", at=AT),
    told.Stopping(environment="", at=AT),
)
assert {type(event) for event in EVERY} == set(typing.get_args(told.Event))
