"""A source tree that was deployed before goes back to where its jobs were then."""

from collections.abc import Mapping
from itertools import islice

from gitopsd.daemon.artifact_state import read_placement
from gitopsd.repo.artifacts import ArtifactHead, history
from gitopsd.repo.repository import Repository

_FARTHEST = 500
"""Commits of the artifact branch that are looked at: their headers alone, some 10 ms for all of them."""


def earlier_placement(repository: Repository, head: ArtifactHead | None, source_tree: str) -> Mapping[str, str] | None:
    """Job -> worker of the newest earlier deployment of `source_tree`; None where the present placement stands.

    It stands before the first deployment, while that very tree is deployed, and for a tree that is new here. Raises
    RepositoryError for a record that can't be read.
    """
    deployed = head.deployment if head else None
    if deployed is None or deployed.parent is None:
        return None
    if deployed.trailers is not None and deployed.trailers.source_tree == source_tree:
        return None
    for commit in islice(history(repository, deployed.parent), _FARTHEST):
        if commit.trailers is not None and commit.trailers.source_tree == source_tree:
            return read_placement(repository, commit.tree)
    return None
