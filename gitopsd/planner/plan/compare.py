"""Job by job, what is deployed against what was rendered, on the workers whose releases differ."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Literal, cast

import msgspec

from gitopsd.compiler.render.held import HeldWorkflow
from gitopsd.model.artifacts import PlacedWorker
from gitopsd.model.plan import Action, Effect, FileChange, JobChange
from gitopsd.model.release import Draining
from gitopsd.planner.plan.data_effects import data_effect
from gitopsd.planner.plan.effects import hash_of, made_of
from gitopsd.planner.plan.fates import Fate, Stores, same_machine, sees_same, stores
from gitopsd.planner.plan.job_document import JobDocument
from gitopsd.planner.plan.quarantined import held_workflow, stays, why_returned
from gitopsd.planner.plan.reasons import (
    Census,
    adapted_step,
    entry_effect,
    why_created,
    why_deleted,
    why_moved,
    why_updated,
)
from gitopsd.planner.plan.sides import JobEntry, Side, document_path, no_side
from gitopsd.planner.plan.text_diff import text_diff

_UNCHANGED = "nothing it is made of changed"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """`old` and `new` are the releases of the workers that differ; `same_jobs` are the jobs of all others.

    The fleets are the workers by name, before and in this version. `moved_because` is what placing says of jobs that
    are elsewhere now, `kept_away` of those that a cordon keeps from a worker; `returns`, whether it started from where
    an earlier deployment had them. `held` are the workflows whose jobs are not this version's.
    """

    old: Mapping[str, Side]
    new: Mapping[str, Side]
    same_jobs: Sequence[str]
    fleet_before: Mapping[str, PlacedWorker]
    fleet: Mapping[str, PlacedWorker]
    moved_because: Mapping[str, str]
    kept_away: Mapping[str, str]
    returns: bool
    held: Mapping[str, HeldWorkflow]

    @cached_property
    def was_on(self) -> Mapping[str, str]:
        return {job: worker for worker, side in self.old.items() for job in side.jobs}

    @cached_property
    def will_be_on(self) -> Mapping[str, str]:
        return {job: worker for worker, side in self.new.items() for job in side.jobs}

    @property
    def deployed(self) -> int:
        """How many jobs there are before."""
        return len(self.same_jobs) + len(self.was_on)

    @cached_property
    def deleted(self) -> tuple[str, ...]:
        return tuple(job for job in self.was_on if job not in self.will_be_on)

    @cached_property
    def before(self) -> Census:
        return Census(chain(self.same_jobs, self.was_on))

    @cached_property
    def after(self) -> Census:
        return Census(chain(self.same_jobs, self.will_be_on))

    def changes(self, worker: str, *, gone: Action) -> Iterator[JobChange]:
        """Of one worker, by job; a job that moves is told at its destination. `gone` is what a delete is called."""
        old, new = self.old.get(worker) or no_side(), self.new.get(worker) or no_side()
        for job in sorted({*old.jobs, *new.jobs}):
            if job not in new.jobs and job in self.will_be_on:
                continue
            if job in old.jobs and job in new.jobs and old.jobs[job] == new.jobs[job]:
                yield self.same(worker, job)
            else:
                yield self._change(self._fates[job], old, new, gone)
        for job in sorted(old.draining):
            if job in new.draining:
                yield goes_on_draining(worker, job, new.draining[job])
            elif job not in new.jobs:
                yield JobChange(
                    worker=worker,
                    job=job,
                    action="delete",
                    effect="none",
                    reason="it has drained, and has ended",
                    before=hash_of(old.draining[job]),
                )

    def same(self, worker: str, job: str) -> JobChange:
        """Of a job that is in place as it is to be."""
        workflow = held_workflow(self.held, job)
        if workflow is not None:
            return stays(worker, job, workflow)
        return JobChange(worker=worker, job=job, action="unchanged", effect="none", reason=_UNCHANGED)

    def _change(self, fate: Fate, old: Side, new: Side, gone: Action) -> JobChange:
        job = fate.job
        old = self.old[fate.origin] if fate.origin else old
        arrives = fate.action in {"create", "move"}
        files = _file_changes(job, no_side() if arrives else old, new)
        if fate.action == "update" and self._ignores_units(fate.worker):
            # alone it stays: then there is nothing else to show why the job starts anew
            files = tuple(change for change in files if not _is_service(change.path)) or files
        reason = ""
        match fate.action:
            case "create":
                reason = why_created(job, self.before, self.after, new.adapters.get(job, ""))
            case "delete":
                reason = why_deleted(job, fate.before, self.before, self.after)
            case "move":
                reason = self._why_moved(fate)
            case _:
                paths = [change.path for change in files]
                reason = why_updated(job, old, new, paths, (fate.before, fate.after))
        if arrives and job in self.kept_away:
            reason += f"; {self.kept_away[job]}"
        workflow = held_workflow(self.held, job)
        if workflow is not None:
            reason = why_returned(job, workflow, fate.action, reason)
        return JobChange(
            worker=fate.worker,
            job=job,
            action=gone if fate.action == "delete" else fate.action,
            effect=fate.effect,
            reason=reason,
            data=data_effect(fate, self._stores),
            moved_from=fate.origin,
            before=made_of(old, job),
            after=made_of(new, job),
            files=files,
        )

    def _ignores_units(self, worker: str) -> bool:
        """Releases have them all the same."""
        return worker in self.fleet and self.fleet[worker].service_manager == "supervisor"

    def _why_moved(self, fate: Fate) -> str:
        told = self.moved_because.get(fate.job, "")
        step, _ = adapted_step(fate.job, fate.after)
        return why_moved(told, step, [] if told or step else self._beside(fate), returns=self.returns)

    def _beside(self, fate: Fate) -> list[str]:
        """Jobs of the same replica that were here before and that a `worker` channel joins to the one that comes."""
        here, there = self.new[fate.worker], self.old.get(fate.worker) or no_side()
        workflow, replica = fate.job.partition(".")[0], fate.job.rpartition(".")[2]
        return [
            job
            for job in self._companies.get((fate.worker, workflow, replica), ())
            if job in there.jobs and here.document(job).worker_channels & fate.after.worker_channels
        ]

    @cached_property
    def _companies(self) -> Mapping[tuple[str, str, str], Sequence[str]]:
        found: dict[tuple[str, str, str], list[str]] = {}
        for job, worker in self.will_be_on.items():
            found.setdefault((worker, job.partition(".")[0], job.rpartition(".")[2]), []).append(job)
        return found

    @cached_property
    def _fates(self) -> Mapping[str, Fate]:
        """What happens to each job that isn't the same, by job."""
        return {fate.job: fate for fate in chain(self._arriving_and_staying(), self._leaving())}

    def _arriving_and_staying(self) -> Iterator[Fate]:
        nothing = JobDocument()
        for job, worker in self.will_be_on.items():
            new = self.new[worker]
            origin = self.was_on.get(job)
            if origin is None:
                # nothing is in flight before the first deployment
                after = new.document(job) if self.deployed else nothing
                yield Fate(job=job, action="create", effect="start", worker=worker, before=nothing, after=after)
            elif origin != worker:
                yield self._move(job, origin, worker)
            elif self.old[worker].jobs[job] != new.jobs[job]:
                drains_as, drains = self._drains_beside(job, worker)
                yield replace(_update(job, worker, self.old[worker], new), drains=drains, drains_as=drains_as)

    def _leaving(self) -> Iterator[Fate]:
        for job in self.deleted:
            worker = self.was_on[job]
            drains = self._drains(job, worker)
            yield Fate(
                job=job,
                action="delete",
                effect="drain" if drains else "stop",
                worker=worker,
                before=self.old[worker].document(job),
                after=JobDocument(),
                drains=drains,
            )

    def _drains(self, job: str, worker: str) -> str:
        """For how long the job drains on a worker that it leaves, as text; empty where it stops at once."""
        entry = (self.new.get(worker) or no_side()).draining.get(job)
        return drain_time(entry) if entry else ""

    def _drains_beside(self, job: str, worker: str) -> tuple[str, str]:
        """The name under which its earlier form begins to drain beside the job, and for how long; empty for none."""
        begun = self.old[worker].draining
        for name, entry in self.new[worker].draining.items():
            if name not in begun and entry["draining"].get("of") == job:
                return name, drain_time(entry)
        return "", ""

    def _move(self, job: str, origin: str, worker: str) -> Fate:
        one, other = self.fleet_before.get(origin), self.fleet.get(worker)
        return Fate(
            job=job,
            action="move",
            effect="start",
            worker=worker,
            before=self.old[origin].document(job),
            after=self.new[worker].document(job),
            origin=origin,
            is_same_machine=same_machine(one, other),
            sees=lambda path: sees_same(path, one, other),
            drains=self._drains(job, origin),
        )

    @cached_property
    def _stores(self) -> Stores:
        return stores(list(self._fates.values()))


def goes_on_draining(worker: str, job: str, entry: JobEntry) -> JobChange:
    """Of a job that drains already."""
    reason = f"it drains until nothing is left for it, for {drain_time(entry)} at most"
    return JobChange(worker=worker, job=job, action="unchanged", effect="none", reason=reason)


def drain_time(entry: JobEntry) -> str:
    """As a duration is written."""
    return msgspec.convert(entry["draining"], Draining).at_most


def _update(job: str, worker: str, old: Side, new: Side) -> Fate:
    old_files, new_files = old.files_of(job), new.files_of(job)
    unit = f"units/{new.jobs[job]['unit']}"
    before = old.document(job)
    is_same = old_files.get(document_path(job)) == new_files.get(document_path(job))
    effect = entry_effect(old.jobs[job], new.jobs[job], unit_differs=old_files.get(unit) != new_files.get(unit))
    return Fate(
        job=job,
        action="update",
        effect=cast("Effect", effect),
        worker=worker,
        before=before,
        after=before if is_same else new.document(job),
    )


def _is_service(path: str) -> bool:
    return path.startswith("units/") and path.endswith(".service")


def _file_changes(job: str, old: Side, new: Side) -> tuple[FileChange, ...]:
    before, after = old.files_of(job), new.files_of(job)
    changes = []
    for path in sorted({*before, *after}):
        was, will_be = before.get(path), after.get(path)
        if was == will_be:
            continue
        old_text = old.blob(was.id) if was else b""
        new_text = new.blob(will_be.id) if will_be else b""
        kind: Literal["added", "removed", "changed"] = (
            "added" if was is None else "removed" if will_be is None else "changed"
        )
        diff = text_diff(path, old_text, new_text)
        if was and will_be and was.mode != will_be.mode:
            diff = f"mode {was.mode:o} becomes {will_be.mode:o}\n{diff}"
        changes.append(FileChange(path=path, change=kind, diff=diff))
    return tuple(changes)
