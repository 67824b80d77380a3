"""Which jobs the deployment at the head moves, by what was placed before it."""

from collections.abc import Iterator, Mapping
from itertools import islice

from gitopsd.daemon.artifacts.state import read_placement_record
from gitopsd.model.artifacts import PLACEMENT_FOLDER
from gitopsd.model.release import DesiredRelease
from gitopsd.planner.rollout.moves import Move
from gitopsd.repo.artifacts import ArtifactHead, deployments, list_folder
from gitopsd.repo.repository import Repository


def moves_of(repository: Repository, head: ArtifactHead, desired: Mapping[str, DesiredRelease]) -> tuple[Move, ...]:
    """From where the deployment before had them to where they are now; of the workflows whose placement differs."""
    last = list(islice(deployments(repository, head.commit.id), 2))
    if len(last) < 2:
        return ()
    before, now = (list_folder(repository, commit.tree, PLACEMENT_FOLDER) for commit in (last[1], last[0]))
    return tuple(
        move
        for name, entry in now.items()
        if name in before and before[name].id != entry.id
        for move in _moves(repository, name, (before[name].id, entry.id), desired)
    )


def _moves(
    repository: Repository, name: str, records: tuple[str, str], desired: Mapping[str, DesiredRelease]
) -> Iterator[Move]:
    was, now = (read_placement_record(repository, record, name.removesuffix(".json")).jobs for record in records)
    for job, destination in now.items():
        origin = was.get(job, destination)
        if origin != destination:
            entry = desired[destination].record.jobs.get(job) if destination in desired else None
            yield Move(origin=origin, destination=destination, exclusive=entry is not None and entry.exclusive)
