"""What changes between the releases at the artifact branch's head and those just rendered. Cost grows with the change."""

import difflib
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import msgspec

from gitopsd.compiler.render.release import Rendering
from gitopsd.model.artifacts import WORKERS_FOLDER, ArtifactState
from gitopsd.model.plan import Effect, FileChange, JobChange, Plan, PlanInputs
from gitopsd.model.trees import TREE, GitObject, TreeEntry

_BINARY = "the file is not text, so its difference isn't shown\n"


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
    """One release, before or after."""

    jobs: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, TreeEntry]
    contents: Mapping[str, GitObject] | None
    reader: ReleaseReader

    def text(self, path: str) -> str | None:
        entry = self.files.get(path)
        if entry is None:
            return ""
        data = self.contents[entry.id].data if self.contents is not None else self.reader.blob(entry.id)
        try:
            return data.decode("utf-8")
        except UnicodeDecodeError:
            return None


def make_plan(
    rendering: Rendering, before: ReleaseReader, state: ArtifactState, inputs: PlanInputs, branch: str
) -> Plan:
    """The plan whose application commits exactly `rendering`."""
    changes: list[JobChange] = []
    old_ids = before.release_ids()
    new_ids = _release_ids(rendering)
    new_sides = _new_sides(rendering, before)
    placed = {job: worker for worker, side in new_sides.items() for job in side.jobs}
    nothing = _Side(jobs={}, files={}, contents=None, reader=before)
    for worker in sorted({*old_ids, *new_ids}):
        if old_ids.get(worker) == new_ids.get(worker):
            changes += [
                JobChange(worker=worker, job=job, action="unchanged", effect="none", reason="nothing it is made of changed")
                for job in sorted(new_sides[worker].jobs)
            ]
            continue
        old = _old_side(before, old_ids[worker]) if worker in old_ids else nothing
        new = new_sides.get(worker, nothing)
        changes += _compare(worker, old, new, rendering, state, placed)
    return Plan(
        inputs=inputs,
        tree=rendering.tree.id,
        digest=plan_digest(inputs, rendering.tree.id),
        branch=branch,
        changes=tuple(changes),
    )


def plan_digest(inputs: PlanInputs, tree: str) -> str:
    """40 hex digits over everything that the plan follows from, and what it comes to."""
    moved = msgspec.structs.replace(inputs, source_commit="")  # two commits of one tree are one plan
    return hashlib.sha256(msgspec.json.encode([moved, tree])).hexdigest()[:40]


def _compare(
    worker: str, old: _Side, new: _Side, rendering: Rendering, state: ArtifactState, placed: Mapping[str, str]
) -> list[JobChange]:
    changes = []
    for job in sorted({*old.jobs, *new.jobs}):
        was, will_be = old.jobs.get(job), new.jobs.get(job)
        if will_be is None and placed.get(job, worker) != worker:
            continue  # it moves: reported at its destination
        if was is not None and will_be is not None and was["digest"] == will_be["digest"]:
            changes.append(
                JobChange(worker=worker, job=job, action="unchanged", effect="none", reason="nothing it is made of changed")
            )
            continue
        files = _file_changes(job, old, new)
        if will_be is None:
            change = JobChange(worker=worker, job=job, action="delete", effect="stop", reason="no step asks for it", files=files)
        elif was is None:
            change = _arrival(worker, job, rendering, state, files)
        else:
            change = _update(worker, job, will_be, files)
        changes.append(change)
    return changes


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


def _update(worker: str, job: str, entry: Mapping[str, Any], files: tuple[FileChange, ...]) -> JobChange:
    effect: Effect = entry["on_change"]
    if files:
        names = ", ".join(change.path.removeprefix(f"jobs/{job}/") for change in files)
        reason = f"changed: {names}"
    else:
        reason = "changed: the runner that comes with gitopsd"
    return JobChange(worker=worker, job=job, action="update", effect=effect, reason=reason, files=files)


def _file_changes(job: str, old: _Side, new: _Side) -> tuple[FileChange, ...]:
    folder = f"jobs/{job}/"
    units = {side.jobs[job]["unit"] for side in (old, new) if job in side.jobs}
    paths = {path for side in (old, new) for path in side.files if path.startswith(folder)}
    paths |= {f"units/{unit}" for unit in units}
    changes = []
    for path in sorted(paths):
        before, after = old.files.get(path), new.files.get(path)
        if before == after:
            continue
        kind: Literal["added", "removed", "changed"] = (
            "added" if before is None else "removed" if after is None else "changed"
        )
        changes.append(FileChange(path=path, change=kind, diff=_text_diff(path, old.text(path), new.text(path))))
    return tuple(changes)


def _text_diff(path: str, before: str | None, after: str | None) -> str:
    if before is None or after is None:
        return _BINARY
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{path}", f"b/{path}", n=3
    )  # fmt: skip
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _release_ids(rendering: Rendering) -> dict[str, str]:
    prefix = f"{WORKERS_FOLDER}/"
    return {
        path.removeprefix(prefix): entry.id
        for path, entry in rendering.tree.entries.items()
        if path.startswith(prefix) and path.count("/") == 1 and entry.mode == TREE
    }


def _new_sides(rendering: Rendering, reader: ReleaseReader) -> dict[str, _Side]:
    """The rendered releases by worker, gathered in one pass over the tree."""
    prefix = f"{WORKERS_FOLDER}/"
    files: dict[str, dict[str, TreeEntry]] = {}
    for path, entry in rendering.tree.entries.items():
        if path.startswith(prefix) and entry.mode != TREE:
            worker, _, rest = path.removeprefix(prefix).partition("/")
            files.setdefault(worker, {})[rest] = entry
    objects = rendering.tree.objects
    return {
        worker: _Side(
            jobs=msgspec.json.decode(objects[entries["release.json"].id].data)["jobs"],
            files=entries,
            contents=objects,
            reader=reader,
        )
        for worker, entries in files.items()
    }


def _old_side(reader: ReleaseReader, release: str) -> _Side:
    files = reader.files(release)
    jobs = msgspec.json.decode(reader.blob(files["release.json"].id))["jobs"] if "release.json" in files else {}
    return _Side(jobs=jobs, files=files, contents=None, reader=reader)
