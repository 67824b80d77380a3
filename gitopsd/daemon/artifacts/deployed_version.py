"""Which version is deployed."""

from itertools import islice

from gitopsd.repo.artifacts import ArtifactCommit, ArtifactHead, history
from gitopsd.repo.repository import Repository

_FARTHEST = 500
"""Commits of the artifact branch that are looked at."""


def deployed_version(repository: Repository, head: ArtifactHead) -> ArtifactCommit | None:
    """The newest commit that is of a version: one that changed no release left records alone."""
    commits = islice(history(repository, head.commit.id), _FARTHEST)
    return next((commit for commit in commits if commit.source_commit and commit.compiled), None)
