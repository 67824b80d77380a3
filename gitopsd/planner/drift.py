"""How a worker differs from the release that it should hold: an ordered list of differences, each with its kind."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from gitopsd.model.facts import Observation, UnitState
from gitopsd.model.release import DesiredRelease, ReleaseJob

DriftKind = Literal[
    "out-of-sync", "changed-file", "missing-file", "extra-file", "changed-unit", "not-enabled", "not-running", "failed",
    "not-applied", "changed-secret", "orphan", "missing-replica", "changed-placement", "interrupted",
]  # fmt: skip

DRIFT_OF_JOBS: frozenset[DriftKind] = frozenset(
    {"changed-unit", "not-enabled", "not-running", "failed", "not-applied", "changed-secret", "missing-replica"}
)
"""The kinds whose subject is a job."""


_BARE = "nothing of gitopsd is on it"
_ANOTHER_VERSION = "what runs was not started from this version of the job"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """One difference. `subject` is a job, a path in the release or a unit; empty for the release as a whole.

    `observed` is what `field` has on the worker, `desired` what it should have; all empty where only words tell.
    """

    kind: DriftKind
    subject: str
    detail: str
    field: str = ""
    observed: str = ""
    desired: str = ""

    def __str__(self) -> str:
        return f"{self.kind}: {self.subject + ': ' if self.subject else ''}{self.detail}"


def find_drift(
    desired: DesiredRelease,
    observed: Observation,
    service_manager: str,
    fingerprints: Mapping[str, Mapping[str, str]] | None = None,
) -> tuple[Drift, ...]:
    """Nothing means in sync: the right release, its files untouched, its jobs running from it with their secrets.

    `fingerprints`, job -> secret, are what those of the observation should be; without them secrets aren't compared,
    and one that they lack only has to be there.
    """
    return (
        *_release_drift(desired, observed),
        *_file_drift(observed, desired),
        *_job_drift(desired, observed, service_manager),
        *(() if fingerprints is None else _secret_drift(desired, observed, fingerprints)),
        *_orphans(desired, observed),
    )


def is_bare(observed: Observation) -> bool:
    """Whether nothing of gitopsd is on the machine, not even whose it is: nothing was deployed, or it was torn down."""
    return observed.owner is None and observed.release is None and not observed.applied


def _release_drift(desired: DesiredRelease, observed: Observation) -> Iterator[Drift]:
    if observed.busy:
        yield Drift(kind="interrupted", subject="", detail="an activation is under way")
    elif observed.interrupted:
        yield Drift(kind="interrupted", subject="", detail="an activation was cut short")
    if observed.release is None and not desired.record.jobs:
        return  # a machine that holds nothing runs nothing: one that left and was torn down isn't begun anew
    if observed.release != desired.id:
        held = observed.release[:12] if observed.release else "no release"
        detail = f"it holds {held}, and should hold {desired.id[:12]}"
        if is_bare(observed):
            detail = (
                f"{_BARE}: it was torn down or set up anew, or was never deployed to; `gitopsd apply` deploys to it"
            )
        yield Drift(
            kind="out-of-sync",
            subject="",
            detail=detail,
            field="release",
            observed=observed.release or "",
            desired=desired.id,
        )


def _file_drift(observed: Observation, desired: DesiredRelease) -> Iterator[Drift]:
    """Hot edits: files of the current release that aren't what the release's id says."""
    if observed.release != desired.id or observed.tree == observed.release:
        return
    if observed.tree is None:
        yield Drift(kind="missing-file", subject="", detail="the release that it should run from is gone")
        return
    found = {file.path: (file.mode, file.blob) for file in observed.files}
    for path in sorted({*desired.files, *found}):
        if path not in found:
            yield Drift(
                kind="missing-file",
                subject=path,
                detail="the file is gone",
                field="blob",
                desired=desired.files[path][1],
            )
        elif path not in desired.files:
            yield Drift(
                kind="extra-file",
                subject=path,
                detail="the file doesn't belong to the release",
                field="blob",
                observed=found[path][1],
            )
        else:
            yield from _changed_file(path, found[path], desired.files[path])


def _changed_file(path: str, found: tuple[str, str], wanted: tuple[str, str]) -> Iterator[Drift]:
    (found_mode, found_blob), (mode, blob) = found, wanted
    if found_blob != blob:
        detail = "the file was edited on the worker"
        yield Drift(kind="changed-file", subject=path, detail=detail, field="blob", observed=found_blob, desired=blob)
    if found_mode != mode:
        detail = f"its mode was changed on the worker to {found_mode}, and should be {mode}"
        yield Drift(kind="changed-file", subject=path, detail=detail, field="mode", observed=found_mode, desired=mode)


def _job_drift(desired: DesiredRelease, observed: Observation, service_manager: str) -> Iterator[Drift]:
    for name, job in desired.record.jobs.items():
        if observed.applied.get(name) != job.digest:
            yield Drift(
                kind="not-applied",
                subject=name,
                detail="it is not there" if is_bare(observed) else _ANOTHER_VERSION,
                field="digest",
                observed=observed.applied.get(name, ""),
                desired=job.digest,
            )
        for unit in job.units:
            yield from _unit_drift(name, unit, desired, observed, service_manager)
        kept = observed.units.get(job.kept_unit)
        if kept is None:
            continue
        if not kept.enabled:
            yield Drift(
                kind="not-enabled",
                subject=name,
                detail="it would not start at boot",
                field="enabled",
                observed="no",
                desired="yes",
            )
        yield from _state_drift(name, job, kept, completed=name in observed.completed)


def _unit_drift(
    name: str, unit: str, desired: DesiredRelease, observed: Observation, service_manager: str
) -> Iterator[Drift]:
    """A unit of a job that isn't there, or not as it was rendered."""
    found = observed.units.get(unit)
    its = "its timer" if unit.endswith(".timer") else "its unit"
    if found is None:
        yield Drift(kind="missing-replica", subject=name, detail=f"{its} is not there", field="unit", desired=unit)
        return
    wanted = desired.files.get(f"units/{unit}")
    if service_manager == "systemd" and wanted is not None and found.blob != wanted[1]:
        what = f"{its} file" if its == "its unit" else its
        # of a worker that is to take another release we don't know how its file should be until then
        changed = "was changed on the worker" if observed.release == desired.id else "is not yet as this version has it"
        detail = f"{what} {changed}" if found.blob else f"{what} is gone, or not a file"
        yield Drift(
            kind="changed-unit",
            subject=name,
            detail=detail,
            field="unit file",
            observed=found.blob or "",
            desired=wanted[1],
        )
    if found.drop_ins:
        names = ", ".join(found.drop_ins)
        detail = f"{its} is overridden by {names}"
        yield Drift(kind="changed-unit", subject=name, detail=detail, field="drop-ins", observed=names)


def failed_runs(desired: DesiredRelease, observed: Observation) -> dict[str, str]:
    """Scheduled jobs whose last run failed, with systemd's word for how.

    That is no drift: the worker is as it should be, and running them again out of schedule is nobody's to decide.
    """
    units = {name: observed.units.get(job.unit) for name, job in desired.record.jobs.items() if job.timer}
    return {name: unit.result for name, unit in units.items() if unit is not None and unit.active == "failed"}


def drained_jobs(desired: DesiredRelease, observed: Observation) -> tuple[str, ...]:
    """The jobs that were to drain and have ended well: because nothing was left for them, or their time was over."""
    return tuple(
        name
        for name, job in desired.record.jobs.items()
        if job.draining is not None and name in observed.completed and observed.applied.get(name) == job.digest
    )


def kept_from_draining(desired: DesiredRelease, observed: Observation) -> dict[str, str]:
    """Jobs that are to drain and can't, or couldn't until their time was over: each with why, if that was asked for."""
    draining = (name for name, job in desired.record.jobs.items() if job.draining is not None)
    said = {name: observed.traffic[name].trouble for name in draining if name in observed.traffic}
    return {name: trouble for name, trouble in said.items() if trouble}


def draining_lines(desired: DesiredRelease, observed: Observation) -> tuple[str, ...]:
    """What each job does that is to drain, for people; no drift either."""
    ended, troubles = drained_jobs(desired, observed), kept_from_draining(desired, observed)
    found = []
    for name, job in desired.record.jobs.items():
        if job.draining is None:
            continue
        if name not in ended:
            what = f"it drains until nothing is left for it, for {job.draining.at_most} at most"
        elif name in troubles:
            what = "its time to drain is over, and the next deployment drops it"
        else:
            what = "it has drained, and the next deployment drops it"
        found.append(f"{name}: {what}{'; ' + troubles[name] if name in troubles else ''}")
    return tuple(found)


def _state_drift(name: str, job: ReleaseJob, unit: UnitState, *, completed: bool) -> Iterator[Drift]:
    found = f"{unit.active} ({unit.sub})"
    if unit.active == "failed":
        yield _state("failed", name, f"it failed: {unit.result}", f"failed ({unit.result})", "active")
    elif job.kind == "once":
        # one that is restarted isn't waited for: it may have yet to end what ran before
        if not completed and unit.active not in {"active", "activating", "deactivating"}:
            yield _state("not-running", name, "it has neither completed nor is it running", found, "completed")
    elif unit.active not in {"active", "reloading"}:
        what = "its timer" if job.kind == "schedule" else "it"
        yield _state("not-running", name, f"{what} is {found}", found, "active")


def _state(kind: DriftKind, job: str, detail: str, observed: str, desired: str) -> Drift:
    return Drift(kind=kind, subject=job, detail=detail, field="state", observed=observed, desired=desired)


def _secret_drift(
    desired: DesiredRelease, observed: Observation, fingerprints: Mapping[str, Mapping[str, str]]
) -> Iterator[Drift]:
    for name, job in desired.record.jobs.items():
        for secret in job.secrets:
            held = observed.credentials.get(name, {}).get(secret)
            if held is None:
                detail = f"the value of the secret `{secret}` is not on the worker"
            elif held != fingerprints.get(name, {}).get(secret, held):
                detail = f"the secret `{secret}` has another value than the worker holds"
            else:
                continue
            yield Drift(kind="changed-secret", subject=name, detail=detail)


def _orphans(desired: DesiredRelease, observed: Observation) -> Iterator[Drift]:
    known = {unit for job in desired.record.jobs.values() for unit in job.units}
    for unit in sorted(set(observed.units) - known):
        worker = desired.placed.get(unit, desired.worker)
        if worker != desired.worker:
            yield Drift(
                kind="changed-placement",
                subject=unit,
                detail=f"its job is placed on {worker}, and is still here",
                field="worker",
                observed=desired.worker,
                desired=worker,
            )
            continue
        yield Drift(
            kind="orphan",
            subject=unit,
            detail="no job of the release has this unit",
            field="state",
            observed=f"{observed.units[unit].active} ({observed.units[unit].sub})",
        )
