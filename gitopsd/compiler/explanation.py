"""Why a step is as it is: which layer gave each value, and why each worker was chosen or turned down."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from msgspec import UNSET, Struct

from gitopsd.compiler.link import Linked
from gitopsd.compiler.parse import Declared
from gitopsd.compiler.place import Placement
from gitopsd.compiler.placement.eligible import Eligibility
from gitopsd.model.artifacts import ArtifactState
from gitopsd.model.system import BoundStep, Company, Origin, Scope, System, WorkflowSummary
from gitopsd.model.workflow import ON_MESSAGE, SIGNALS, Parameter

Layer = Literal["with", "environment", "default"]
Verdict = Literal["chosen", "eligible", "refused"]


class Candidate(Struct, frozen=True, kw_only=True):
    """A value as one layer has it; the first of several wins. `place` is file:line:column."""

    layer: Layer
    place: str
    written: Any


class ExplainedValue(Struct, frozen=True, kw_only=True):
    """A parameter of `owner`: a workflow, a module as it is used, or the step's blueprint.

    `value` is what it came to; where only placement knows that, `differs` is true and it is what was written.
    """

    owner: str
    name: str
    value: Any
    differs: bool
    candidates: tuple[Candidate, ...]


class ExplainedWorker(Struct, frozen=True, kw_only=True):
    worker: str
    verdict: Verdict
    reason: str


class ExplainedReplica(Struct, frozen=True, kw_only=True):
    job: str
    worker: str
    reason: str


class StepExplanation(Struct, frozen=True, kw_only=True):
    """Everything about one step. `kept_with` are steps that `worker` channels keep on the same workers.

    `schedules` says when its jobs run, where they are scheduled. `waits_for` is the message that starts its runs, and
    `signals` the one that they give; empty where there is none.
    """

    step: str
    place: str
    use: str
    used_by: tuple[str, ...]
    group: str
    strategy: str
    constraints: tuple[str, ...]
    features: tuple[str, ...]
    kept_with: tuple[str, ...]
    values: tuple[ExplainedValue, ...]
    replicas: tuple[ExplainedReplica, ...]
    workers: tuple[ExplainedWorker, ...]
    other_groups: int
    schedules: Mapping[str, str] = {}
    waits_for: str = ""
    signals: str = ""


def explain_step(
    linked: Linked,
    system: System,
    step: BoundStep,
    *,
    summary: WorkflowSummary,
    placement: Placement,
    state: ArtifactState,
    committed: Mapping[str, str],
    schedules: Mapping[str, str],
) -> StepExplanation:
    """`state` is what placing began from, `committed` where the jobs are: another one where a version returns.

    `schedules` says when jobs of the workflow run.
    """
    company = next(one for one in summary.companies if any(needs.name == step.name for needs in one.steps))
    at = [needs.name for needs in company.steps].index(step.name)
    replicas = tuple(_replica(jobs[at], placement, state, committed, packs=company.packs) for jobs in company.jobs)
    workers = tuple(_workers(company, replicas, placement, state))
    return StepExplanation(
        step=f"{system.workflow}.{step.name}",
        place=str(linked.locate_key(step.origin)),
        use=step.use,
        used_by=tuple(f"{linked.locate_key(origin)}" for origin in step.chain),
        group=step.place.group,
        strategy=step.place.strategy,
        constraints=step.place.constraints,
        features=step.blueprint.requires.features,
        kept_with=tuple(needs.name for needs in company.steps if needs.name != step.name),
        values=tuple(_values(linked, system, step)),
        replicas=replicas,
        workers=workers,
        other_groups=len(placement.workers) - len(workers),
        schedules={replica.job: schedules[replica.job] for replica in replicas if replica.job in schedules},
        waits_for=step.inputs.get(ON_MESSAGE, ""),
        signals=step.outputs.get(SIGNALS, ""),
    )


def _values(linked: Linked, system: System, step: BoundStep) -> Iterator[ExplainedValue]:
    """Those of the workflow first, then of each module around the step, then of its blueprint."""
    yield from _workflow_values(linked, system)
    for origin, scope in zip(step.chain, step.scopes, strict=True):
        used = linked.documents[origin.path].value.steps[origin.pointer[-1]]
        module = linked.find(used.use, _library(origin))
        if module:
            yield from _given(linked, origin, used.use, module.declared, scope)
    own = Scope(params=step.params, deferred=step.deferred)
    yield from _given(linked, step.origin, step.use, linked.documents[step.blueprint_path], own)


def _library(origin: Origin) -> str:
    """The vendored library that a file is in; empty for the repository itself."""
    folder = origin.path.rpartition("/")[0]
    return folder.removesuffix("modules").removesuffix("workflows")


def _workflow_values(linked: Linked, system: System) -> Iterator[ExplainedValue]:
    declared = linked.documents[system.path].value.params
    given = linked.environment.params.get(system.workflow, {})
    for name, parameter in declared.items():
        candidates = []
        if name in given:
            way = ("environments", linked.name, "params", system.workflow, name)
            place = linked.environments_document.locate(*way)
            candidates.append(Candidate(layer="environment", place=str(place), written=given[name]))
        candidates += _default(linked, system.path, name, parameter)
        yield ExplainedValue(
            owner=f"workflow {system.workflow}",
            name=name,
            value=candidates[0].written,
            differs=False,
            candidates=tuple(candidates),
        )


def _given(linked: Linked, origin: Origin, use: str, used: Declared[Any], scope: Scope) -> Iterator[ExplainedValue]:
    with_ = linked.documents[origin.path].value.steps[origin.pointer[-1]].with_
    for name, parameter in used.value.params.items():
        candidates = []
        if name in with_:
            place = linked.locate(origin, "with", name)
            candidates.append(Candidate(layer="with", place=str(place), written=with_[name]))
        candidates += _default(linked, used.path, name, parameter)
        late = scope.deferred.get(name)
        yield ExplainedValue(
            owner=use,
            name=name,
            value=late.raw if late else scope.params[name],
            differs=late is not None,
            candidates=tuple(candidates),
        )


def _default(linked: Linked, path: str, name: str, parameter: Parameter) -> list[Candidate]:
    if parameter.default is UNSET:
        return []
    place = linked.documents[path].document.locate("params", name, "default")
    return [Candidate(layer="default", place=str(place), written=parameter.default)]


def _replica(
    job: str, placement: Placement, state: ArtifactState, committed: Mapping[str, str], *, packs: bool
) -> ExplainedReplica:
    worker = placement.jobs[job]
    if committed.get(job) == worker:
        reason = "it is here, and may stay"
    elif state.placement.get(job) == worker:
        reason = "it was here when this was deployed before"
    else:
        spread = "fewest replicas of the step, then fewest jobs"
        why = "most jobs here already, to be packed" if packs else spread
        reason = f"{placement.moved[job]}; {why}" if job in placement.moved else f"new; {why}"
        reason += f"; {placement.kept_away[job]}" if job in placement.kept_away else ""
    return ExplainedReplica(job=job, worker=worker, reason=reason)


def _workers(
    company: Company, replicas: Sequence[ExplainedReplica], placement: Placement, state: ArtifactState
) -> Iterator[ExplainedWorker]:
    """Every worker of the step's group."""
    eligibility = Eligibility(placement.workers, state)
    taken: dict[str, int] = {}
    for worker in placement.jobs.values():
        taken[worker] = taken.get(worker, 0) + 1
    for name, refusal in sorted(eligibility.refusals(company).items()):
        held = [replica.job.rpartition(".")[2] for replica in replicas if replica.worker == name]
        slots = f"{taken.get(name, 0)} of {placement.workers[name].slots} slots taken"
        if held:
            which = f"replica{'s' if len(held) > 1 else ''} {', '.join(held)}; {slots}"
            yield ExplainedWorker(worker=name, verdict="chosen", reason=f"{which}; {refusal}" if refusal else which)
        elif refusal:
            yield ExplainedWorker(worker=name, verdict="refused", reason=refusal)
        else:
            full = placement.workers[name].slots - taken.get(name, 0) < len(company.steps)
            verdict: Verdict = "refused" if full else "eligible"
            yield ExplainedWorker(worker=name, verdict=verdict, reason=slots)
