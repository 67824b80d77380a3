"""What was deployed before goes back to where it was then."""

from collections.abc import Iterator, Mapping
from itertools import islice

from gitopsd.compiler.compiled_form import CompiledForm
from gitopsd.daemon.artifact_state import read_placement, read_placement_record
from gitopsd.model.artifacts import PLACEMENT_FOLDER, ArtifactState
from gitopsd.repo.artifacts import ArtifactCommit, ArtifactHead, history, list_folder
from gitopsd.repo.repository import Repository

_FARTHEST = 500
"""Commits of the artifact branch that are looked at for the whole form: their headers alone, some 10 ms for all."""

_FARTHEST_FOR_ONE = 100
"""And for the form of single workflows, whose records have to be read."""


def earlier_placement(
    repository: Repository, head: ArtifactHead | None, state: ArtifactState, form: CompiledForm
) -> Mapping[str, str] | None:
    """Job -> worker to begin placing from; None where the present placement stands.

    A version that compiles, for the same fleet, to what an earlier one did begins from where that one's jobs were. Of
    any other version those workflows do that compile to an earlier form of theirs. Nothing goes back to a worker that
    is cordoned or lost by now. Raises RepositoryError for a record that can't be read.
    """
    if head is None:
        return None
    before = history(repository, head.commit.id)
    deployed = next((commit for commit in islice(before, _FARTHEST) if commit.compiled), None)
    if deployed is None or deployed.compiled == form.key:
        return None
    for commit in islice(before, _FARTHEST):
        if commit.compiled == form.key:
            return _without_cordoned(read_placement(repository, commit.tree), state)
    found = _of_single_workflows(repository, head, form)
    return {**state.placement, **_without_cordoned(found, state)} if found else None


def _without_cordoned(earlier: Mapping[str, str], state: ArtifactState) -> dict[str, str]:
    """Jobs that are on a cordoned worker may stay; none comes to one, or to one that is lost."""
    return {
        job: worker
        for job, worker in earlier.items()
        if worker not in state.cordoned | state.lost or state.placement.get(job) == worker
    }


def _of_single_workflows(repository: Repository, head: ArtifactHead, form: CompiledForm) -> dict[str, str]:
    """Job -> worker of those workflows whose form is not the deployed one, and was deployed before."""
    wanted = dict(form.workflows)
    found: dict[str, str] = {}
    seen: set[str] = set()
    for number, records in enumerate(_placements(repository, head)):
        for workflow in [name for name in wanted if records.get(name, "") not in seen | {""}]:
            seen.add(records[workflow])
            record = read_placement_record(repository, records[workflow], workflow)
            if record.compiled == wanted[workflow]:
                found |= record.jobs if number else {}  # the deployed form stays where it is
                del wanted[workflow]
        if not wanted:
            break
    return found


def _placements(repository: Repository, head: ArtifactHead) -> Iterator[Mapping[str, str]]:
    """Workflow -> blob of its placement record, newest first; the head's own comes first."""
    commits: Iterator[ArtifactCommit] = islice(history(repository, head.commit.id), _FARTHEST_FOR_ONE)
    for commit in commits:
        folder = list_folder(repository, commit.tree, PLACEMENT_FOLDER)
        yield {name.removesuffix(".json"): entry.id for name, entry in folder.items()}
