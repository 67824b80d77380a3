"""What changes between the releases at the artifact branch's head and those just rendered."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec

from gitopsd.compiler.render.release import Rendering
from gitopsd.model.artifacts import RELEASE_FILE, WORKERS_FOLDER, ArtifactState
from gitopsd.model.plan import Effect, FileChange, JobChange, Plan, PlanInputs
from gitopsd.model.trees import TREE, TreeEntry
from gitopsd.planner.text_diff import text_diff

_UNCHANGED = "nothing it is made of changed"


class ReleaseReader(Protocol):
    """Reads the releases at the artifact branch's head."""

    def release_ids(self) -> Mapping[str, str]:
        """Worker -> the id of its release."""
        ...

    def files(self, release: str) -> Mapping[str, TreeEntry]:
        """Path below the release -> mode and blob id."""
        ...

    def blob(self, blob_id: str) -> bytes: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Side:
    """One release, before or after. `files` are those of the jobs by job and path; `blob` reads one of them."""

    jobs: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, Mapping[str, TreeEntry]]
    blob: Callable[[str], bytes]

    def of(self, job: str) -> Mapping[str, TreeEntry]:
        return self.files.get(job, {})


def make_plan(
    rendering: Rendering, before: ReleaseReader, state: ArtifactState, inputs: PlanInputs, branch: str
) -> Plan:
    """The plan whose application commits exactly `rendering`."""
    changes: list[JobChange] = []
    old_ids = before.release_ids()
    new_ids = _release_ids(rendering)
    new_sides = _new_sides(rendering)
    placed = {job: worker for worker, side in new_sides.items() for job in side.jobs}
    nothing = _Side(jobs={}, files={}, blob=before.blob)
    workers = sorted({*old_ids, *new_ids})
    changed = tuple(worker for worker in workers if old_ids.get(worker) != new_ids.get(worker))
    differs = frozenset(changed)
    for worker in workers:
        new = new_sides.get(worker, nothing)
        if worker in differs:
            old = _old_side(before, old_ids[worker]) if worker in old_ids else nothing
            changes += _compare(worker, old, new, rendering=rendering, state=state, placed=placed)
        else:
            changes += [_unchanged(worker, job) for job in sorted(new.jobs)]
    return Plan(
        inputs=inputs,
        tree=rendering.tree.id,
        digest=plan_digest(inputs, rendering.tree.id),
        branch=branch,
        changed_workers=changed,
        changes=tuple(changes),
    )


def plan_digest(inputs: PlanInputs, tree: str) -> str:
    """40 hex digits over everything that the plan follows from, and what it comes to."""
    moved = msgspec.structs.replace(inputs, source_commit="")  # two commits of one tree are one plan
    return hashlib.sha256(msgspec.json.encode([moved, tree])).hexdigest()[:40]


def _compare(
    worker: str, old: _Side, new: _Side, *, rendering: Rendering, state: ArtifactState, placed: Mapping[str, str]
) -> Iterator[JobChange]:
    for job in sorted({*old.jobs, *new.jobs}):
        was, will_be = old.jobs.get(job), new.jobs.get(job)
        if will_be is None and placed.get(job, worker) != worker:
            continue  # it moves: reported at its destination
        if was == will_be:
            yield _unchanged(worker, job)
        elif will_be is None:
            files = _file_changes(job, old, new)
            reason = "no step asks for it"
            yield JobChange(worker=worker, job=job, action="delete", effect="stop", reason=reason, files=files)
        elif was is None:
            yield _arrival(worker, job, rendering, state, _file_changes(job, old, new))
        else:
            yield _update(worker, job, was, will_be, _file_changes(job, old, new))


def _unchanged(worker: str, job: str) -> JobChange:
    return JobChange(worker=worker, job=job, action="unchanged", effect="none", reason=_UNCHANGED)


def _arrival(
    worker: str, job: str, rendering: Rendering, state: ArtifactState, files: tuple[FileChange, ...]
) -> JobChange:
    origin = state.placement.get(job, "")
    if origin and origin != worker:
        reason = f"`{origin}` is not eligible for it any more, or its step is kept with others that are here"
        return JobChange(
            worker=worker, job=job, action="move", effect="start", reason=reason, moved_from=origin, files=files
        )
    reason = rendering.adapters.get(job, "new in this version")
    return JobChange(worker=worker, job=job, action="create", effect="start", reason=reason, files=files)


def _update(
    worker: str, job: str, was: Mapping[str, Any], will_be: Mapping[str, Any], files: tuple[FileChange, ...]
) -> JobChange:
    """What happens to the process follows the agent's rules: it restarts only for another digest or unit."""
    unit_differs = any(change.path.startswith("units/") for change in files)
    effect: Effect = will_be["on_change"]
    if was["digest"] == will_be["digest"]:
        effect = "none"
    elif will_be["kind"] == "once" or (effect == "reload" and unit_differs):
        effect = "restart"
    if files:
        reason = "changed: " + ", ".join(change.path.removeprefix(f"jobs/{job}/") for change in files)
    elif was["digest"] != will_be["digest"]:
        reason = "changed: the runner that comes with gitopsd"
    else:
        keys = sorted(key for key in {*was, *will_be} if was.get(key) != will_be.get(key))
        reason = f"changed: how it is looked after ({', '.join(keys)})"
    return JobChange(worker=worker, job=job, action="update", effect=effect, reason=reason, files=files)


def _file_changes(job: str, old: _Side, new: _Side) -> tuple[FileChange, ...]:
    before, after = old.of(job), new.of(job)
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


def _release_ids(rendering: Rendering) -> dict[str, str]:
    prefix = f"{WORKERS_FOLDER}/"
    return {
        path.removeprefix(prefix): entry.id
        for path, entry in rendering.tree.entries.items()
        if path.startswith(prefix) and path.count("/") == 1 and entry.mode == TREE
    }


def _new_sides(rendering: Rendering) -> dict[str, _Side]:
    """The rendered releases by worker, gathered in one pass over the tree."""
    prefix = f"{WORKERS_FOLDER}/"
    files: dict[str, dict[str, TreeEntry]] = {}
    for path, entry in rendering.tree.entries.items():
        if path.startswith(prefix) and entry.mode != TREE:
            worker, _, rest = path.removeprefix(prefix).partition("/")
            files.setdefault(worker, {})[rest] = entry
    objects = rendering.tree.objects
    return {worker: _side(entries, lambda blob: objects[blob].data) for worker, entries in files.items()}


def _old_side(reader: ReleaseReader, release: str) -> _Side:
    return _side(reader.files(release), reader.blob)


def _side(entries: Mapping[str, TreeEntry], blob: Callable[[str], bytes]) -> _Side:
    """Files are found by the job that they belong to: `jobs/<job>/…`, and the unit that `release.json` names."""
    record = entries.get(RELEASE_FILE)
    jobs: dict[str, Any] = msgspec.json.decode(blob(record.id))["jobs"] if record else {}
    files: dict[str, dict[str, TreeEntry]] = {
        job: {path: entries[path] for path in [f"units/{entry['unit']}"] if path in entries}
        for job, entry in jobs.items()
    }
    for path, entry in entries.items():
        if path.startswith("jobs/"):
            job = path.split("/", 2)[1]
            if job in files:
                files[job][path] = entry
    return _Side(jobs=jobs, files=files, blob=blob)
