"""What came onto the artifact branch while a rollout is under way, and ends it: a newer deployment, or a pause."""

import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager

from gitopsd.daemon.artifacts.control import KnownPause, known_pause
from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, read_head
from gitopsd.repo.errors import RemoteError, RepositoryError
from gitopsd.repo.publish import fetch_artifacts
from gitopsd.repo.remote import Remote, list_remote

_REMOTE_SECONDS = 30.0
_NETWORK_DEADLINE = 20.0


class BranchWatch:
    """Looks at the artifact branch: here whenever it is asked, at its remote at most every 30 s and on another thread.

    `alone` keeps other threads from the repository meanwhile: libgit2's belongs to one at a time.
    """

    def __init__(
        self,
        workspace: Workspace,
        branch: ArtifactBranch,
        head: ArtifactHead,
        *,
        alone: Callable[[], AbstractContextManager[object]],
        warn: Callable[[str], None],
    ) -> None:
        self._workspace = workspace
        self._branch = branch
        self._number = number_of(head)
        self._seen = head.commit.id
        self._paused_before = known_pause(workspace.repository, head)  # which it was begun in spite of
        self._alone = alone
        self._warn = warn
        self._warned = False
        self._asked = time.monotonic()
        self._answers: list[str | RepositoryError] = []  # written by the thread that asks the remote, taken here

    def find(self, *, at_once: bool = False) -> int | KnownPause | None:
        """The number of a newer deployment, else a pause that began since. `at_once`: the remote is asked, and waited
        for.
        """
        try:
            self._follow_remote(at_once=at_once)
            return self._find_here()
        except RepositoryError as error:
            if not self._warned:
                self._warn(f"whether a newer version was deployed, or a pause began, can't be told: {error.message}")
                self._warned = True
            return None

    def _find_here(self) -> int | KnownPause | None:
        with self._alone():
            now = self._workspace.repository.ref(self._branch.ref)
            if now is None or now == self._seen:
                return None
            self._seen = now
            head = read_head(self._workspace.repository, self._branch)
            pause = known_pause(self._workspace.repository, head)
        found = number_of(head)
        if found > self._number:
            return found
        return None if pause is None or pause.expired or pause == self._paused_before else pause

    def _follow_remote(self, *, at_once: bool) -> None:
        remote = self._workspace.remote
        if remote is None or remote.away:
            return
        if at_once:
            self._answers.append(self._ask(remote))
        elif not self._answers and time.monotonic() - self._asked >= _REMOTE_SECONDS:
            self._asked = time.monotonic()
            threading.Thread(target=self._ask_aside, args=(remote,), name="newer-deployment", daemon=True).start()
        if not self._answers:
            return
        answer = self._answers.pop()
        if isinstance(answer, RepositoryError):
            raise answer
        if answer and answer != self._seen:
            with self._alone():
                fetch_artifacts(self._workspace.repository, self._branch, remote, deadline=_NETWORK_DEADLINE)

    def _ask_aside(self, remote: Remote) -> None:
        try:
            self._answers.append(self._ask(remote))
        except RemoteError as error:
            self._answers.append(error)

    def _ask(self, remote: Remote) -> str:
        """Git itself is run for this, and nothing of libgit2's."""
        refs = list_remote(self._workspace.repository, remote, (self._branch.ref,), deadline=_NETWORK_DEADLINE)
        return refs.get(self._branch.ref, "")


def number_of(head: ArtifactHead | None) -> int:
    """The number of the newest deployment at or before a head; 0 before the first."""
    trailers = head.deployment.trailers if head and head.deployment else None
    return trailers.deployment if trailers else 0
