"""The workspace of one thread of the controller: opened on that thread, and anew when the configuration changed."""

import gc
from collections.abc import Callable
from dataclasses import replace

from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet.connect import Workers
from gitopsd.repo.artifacts import ArtifactBranch
from gitopsd.repo.repository import reopened

_REOPENED_EVERY = 50
"""Calls after which the repository is opened anew, so that packs which were joined are let go of."""


class ThreadWorkspace:
    """Called on its thread only, since libgit2's repositories belong to one at a time.

    `open_workspace` reads the configuration as it is now; `generation` counts the times that it was to be read again.
    `open_workers`: connections to workers are made by these, and stay open from one call to the next.
    """

    def __init__(
        self,
        open_workspace: Callable[[], Workspace],
        generation: Callable[[], int],
        *,
        branch: ArtifactBranch | None = None,
        open_workers: Callable[[Workspace], Workers] | None = None,
    ) -> None:
        self._open = open_workspace
        self._generation = generation
        self._branch = branch
        self._open_workers = open_workers
        self._opened: Workspace | None = None
        self._of = -1
        self._calls = 0

    def __call__(self) -> Workspace:
        """Raises DiagnosticsError for a configuration that can't be read, RepositoryError."""
        generation = self._generation()
        if self._opened is None or self._of != generation:
            opened = self._open()
            if self._branch is not None:
                opened = replace(opened, branch=self._branch, environment=self._branch.environment)
            if self._open_workers is not None:
                opened = replace(opened, workers=self._open_workers(opened))
            self.close()
            self._opened, self._of = opened, generation
            self._calls = 0
        self._calls += 1
        self._opened.memory.flush()  # what the cycle before worked out, should this be killed
        if self._calls % _REOPENED_EVERY == 0:
            self._opened = replace(self._opened, repository=reopened(self._opened.repository))
            gc.collect()  # pygit2's repositories are circles, which Python would look for once in hours
        return self._opened

    @property
    def connections(self) -> int:
        """How many to workers are open; any thread may ask."""
        opened = self._opened
        return opened.workers.open if opened is not None and opened.workers is not None else 0

    def close(self) -> None:
        if self._opened is not None:
            if self._opened.workers is not None:
                self._opened.workers.close()
            self._opened.close()
            self._opened = None
