"""Sources rendered, one after the other, and the plan from one to the next."""

from collections.abc import Mapping
from typing import Any

import msgspec

from gitopsd.compiler.back import Compiled
from gitopsd.compiler.render.release import Rendering
from gitopsd.model.artifacts import ArtifactState, PlacedWorker
from gitopsd.model.plan import JobChange, Plan, PlanInputs
from gitopsd.model.policy import PolicyRecord
from gitopsd.model.trees import TREE, TreeEntry
from gitopsd.planner.draining import Deployment, JobsOfRendering
from gitopsd.planner.plan.diff import make_plan
from tests.compiler.cases import Case, compile_with

INPUTS = PlanInputs(environment="production", source_commit="", source_tree="", artifact_head="", renderer="0")


class Deployed:
    """The releases of a rendering, read as those of a commit are."""

    def __init__(self, rendering: Rendering | None) -> None:
        tree = rendering.tree() if rendering else None
        self._entries = tree.entries if tree else {}
        self._objects = tree.objects if tree else {}

    def release_ids(self) -> Mapping[str, str]:
        return {
            path.removeprefix("workers/"): entry.id
            for path, entry in self._entries.items()
            if path.startswith("workers/") and path.count("/") == 1
        }

    def files(self, release: str) -> Mapping[str, TreeEntry]:
        folder = next(path for path, entry in self._entries.items() if entry.id == release)
        return {
            path.removeprefix(f"{folder}/"): entry
            for path, entry in self._entries.items()
            if path.startswith(f"{folder}/") and entry.mode != TREE
        }

    def blob(self, blob_id: str) -> bytes:
        return self._objects[blob_id].data


def compile_after(
    files: dict[str, bytes],
    before: Rendering | None = None,
    *,
    drain_seconds: int = 0,
    ended: Mapping[str, tuple[str, ...]] | None = None,
    **more: Any,
) -> Compiled:
    """`drain_seconds` is for every worker, where 0 is for none; `ended`, worker -> jobs that have drained there."""
    fleet = msgspec.to_builtins(fleet_of(before)) if before else {}
    departures = None
    if before:
        departures = Deployment(
            before=JobsOfRendering(before),
            placement=before.placement,
            records={name: workflow.rendered.placement for name, workflow in before.workflows.items()},
            fleet=before.workers,
            seconds=lambda _: drain_seconds,
            drained=ended or {},
            lost=more.get("lost", ()),
        )
    compiled = compile_with(files, {"placement": placement_of(before), "fleet": fleet, **more}, departures)
    assert compiled.rendering is not None, compiled.diagnostics
    return compiled


def render(files: dict[str, bytes], before: Rendering | None = None) -> Rendering:
    rendering = compile_after(files, before).rendering
    assert rendering is not None
    return rendering


def placement_of(rendering: Rendering | None) -> dict[str, str]:
    return dict(rendering.placement) if rendering else {}


def fleet_of(rendering: Rendering | None) -> dict[str, PlacedWorker]:
    return dict(rendering.workers) if rendering else {}


def plan(after: Rendering, before: Rendering | None, policy: PolicyRecord | None = None, **more: Any) -> Plan:
    state = ArtifactState(placement=placement_of(before), fleet=fleet_of(before), policy=policy)
    return make_plan(after, Deployed(before), state, INPUTS, "rendered/production", **more)


def changed(found: Plan) -> dict[str, JobChange]:
    return {change.job: change for change in found.changes if change.action != "unchanged"}


def changes_between(before: dict[str, bytes], after: dict[str, bytes], **more: Any) -> dict[str, JobChange]:
    """By job, of the plan for `after` where `before` is deployed. `more` is what else it is compiled with."""
    first = render(before)
    compiled = compile_after(after, first, **more)
    assert compiled.rendering is not None
    return changed(plan(compiled.rendering, first, moved_because=compiled.moved, kept_away=compiled.kept_away))


def edited(case: Case, path: str, old: str, new: str) -> dict[str, bytes]:
    files = case.source()
    assert old.encode() in files[path]
    return {**files, path: files[path].replace(old.encode(), new.encode(), 1)}
