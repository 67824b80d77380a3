"""What is known of a planned version, as the content of a comment: for a terminal, for CI and for a forge."""

from collections.abc import Mapping, Sequence

from gitopsd import __version__
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.planning.plan import Planned
from gitopsd.daemon.planning.runnable import refuse_what_cannot_run
from gitopsd.planner.comment.content import Content, Rest, Shown, Versions
from gitopsd.planner.events.differences import NOTHING, EventChanges
from gitopsd.planner.graph.changed import changed_parts, changed_workflows
from gitopsd.planner.graph.draw import Graph, draw_graph
from gitopsd.planner.plan.effects import effects_digest

_MOST_STEPS = 16
_NOWHERE = Rest()


def comment_of(
    planned: Planned,
    *,
    versions: Versions,
    holds: Sequence[str] = (),
    rest: Rest = _NOWHERE,
    drift: Mapping[str, tuple[str, ...]] | None = None,
    events: EventChanges = NOTHING,
) -> Content:
    """`holds` say why nothing is deployed for now, but for what the plan says itself. `drift` is what was last found on
    the workers, a sentence for each difference; None where nobody looks. `events` are those of the version's tests.
    """
    plan = planned.plan
    return Content(
        environment=plan.inputs.environment,
        about=Shown(
            plan=plan,
            effects=effects_digest(plan),
            holds=(*holds, *_cannot_run(planned)),
            drift=drift,
            graph=changes_graph(planned),
            events=events,
        ),
        renderer=__version__,
        versions=versions,
        artifact_head=plan.inputs.artifact_head,
        rest=rest,
    )


def changes_graph(planned: Planned) -> Graph | None:
    """What changes, and what that is joined to; None where nothing does."""
    changes = [change for change in planned.plan.changes if change.action != "unchanged"]
    names, hidden = changed_workflows(changes, _MOST_STEPS)
    if not names:
        return None
    rendering = planned.rendering
    chosen = frozenset(names)
    systems = [flow.system for flow in planned.flows if flow.name in chosen]
    jobs = [
        job
        for release in rendering.releases.values()
        for job in release.jobs
        if job.workflow in chosen and not job.drains
    ]
    about = [change for change in planned.plan.changes if change.job.partition(".")[0] in chosen]
    placed = {job.name: job.worker for job in jobs}
    schedules = {job.name: str(job.record["schedule"]) for job in jobs if len(job.units) > 1}
    graph = draw_graph(rendering.environment, systems, placed, rendering.adapters, about, schedules=schedules)
    return changed_parts(graph, hidden)


def _cannot_run(planned: Planned) -> tuple[str, ...]:
    try:
        refuse_what_cannot_run(planned.summaries)
    except ControllerError as refusal:
        return (refusal.message,)
    return ()
