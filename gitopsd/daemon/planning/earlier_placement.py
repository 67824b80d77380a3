"""What was deployed before is recognised, and goes back to where it was then."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from gitopsd.compiler.compiled_form import CompiledForm
from gitopsd.daemon.artifacts.state import read_placement, read_placement_record
from gitopsd.model.artifacts import PLACEMENT_FOLDER, ArtifactState
from gitopsd.model.plan import Returns
from gitopsd.repo.artifacts import ArtifactCommit, ArtifactHead, deployments, history, list_folder
from gitopsd.repo.repository import Repository

_FARTHEST = 500
"""Commits of the artifact branch that are looked at for the whole form: their headers alone, some 10 ms for all."""

_FARTHEST_FOR_ONE = 100
"""And for the form of single workflows, whose records have to be read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Earlier:
    """What an earlier deployment had: job -> worker to begin placing from, and which deployments those were.

    `placement` is None where the present one stands. `is_all`: whatever differs from what is deployed returns.
    """

    placement: Mapping[str, str] | None = None
    returns: Returns = field(default_factory=Returns)
    is_all: bool = False


def earlier_placement(
    repository: Repository, head: ArtifactHead | None, state: ArtifactState, form: CompiledForm
) -> Earlier:
    """What of the version was deployed before, and is not now.

    A version that compiles, for the same fleet, to what an earlier one did begins from where that one's jobs were. Of
    any other version those workflows do that compile to an earlier form of theirs. Nothing goes back to a worker that
    is cordoned or lost by now. Raises RepositoryError for a record that can't be read.
    """
    if head is None:
        return Earlier()
    before = history(repository, head.commit.id)
    deployed = next((commit for commit in islice(before, _FARTHEST) if commit.compiled), None)
    if deployed is None or deployed.compiled == form.key:
        return Earlier()
    for commit in islice(before, _FARTHEST):
        if commit.compiled == form.key:
            number, trigger = _deployment_at(repository, commit)
            if trigger != "auto-revert":  # it says what failed, and has something else
                placement = _without_cordoned(read_placement(repository, commit.tree), state)
                return Earlier(placement=placement, returns=Returns(deployment=number), is_all=True)
    return _of_single_workflows(repository, head, state, form)


def _deployment_at(repository: Repository, commit: ArtifactCommit) -> tuple[int, str]:
    """The number and the trigger of the newest deployment at or before a commit; 0 where there is none."""
    found = next(deployments(repository, commit.id), None)
    return (found.trailers.deployment, found.trailers.trigger) if found and found.trailers else (0, "")


def _without_cordoned(earlier: Mapping[str, str], state: ArtifactState) -> dict[str, str]:
    """Jobs that are on a cordoned worker may stay; none comes to one, or to one that is lost."""
    return {
        job: worker
        for job, worker in earlier.items()
        if worker not in state.cordoned | state.lost or state.placement.get(job) == worker
    }


def _of_single_workflows(
    repository: Repository, head: ArtifactHead, state: ArtifactState, form: CompiledForm
) -> Earlier:
    """Of those workflows whose form is not the deployed one, and was deployed before."""
    wanted = dict(form.workflows)
    jobs: dict[str, str] = {}
    origins: dict[str, int] = {}
    seen: set[str] = set()
    for number, (commit, records) in enumerate(_placements(repository, head)):
        for workflow in [name for name in wanted if records.get(name, "") not in seen | {""}]:
            seen.add(records[workflow])
            record = read_placement_record(repository, records[workflow], workflow)
            if record.compiled == wanted[workflow]:
                del wanted[workflow]
                if number:  # the deployed form stays where it is
                    jobs |= record.jobs
                    origins[workflow] = _deployment_at(repository, commit)[0]
        if not wanted:
            break
    if not origins:
        return Earlier()
    placement = {**state.placement, **_without_cordoned(jobs, state)}
    return Earlier(placement=placement, returns=Returns(workflows=dict(sorted(origins.items()))), is_all=not wanted)


def _placements(repository: Repository, head: ArtifactHead) -> Iterator[tuple[ArtifactCommit, Mapping[str, str]]]:
    """Workflow -> blob of its placement record, newest first; the head's own comes first."""
    for commit in islice(history(repository, head.commit.id), _FARTHEST_FOR_ONE):
        folder = list_folder(repository, commit.tree, PLACEMENT_FOLDER)
        yield commit, {name.removesuffix(".json"): entry.id for name, entry in folder.items()}
