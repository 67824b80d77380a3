"""What a controller does for its own long life: it keeps the repository's packs few."""

import time
from collections.abc import Callable

from gitopsd.daemon.controller import events
from gitopsd.daemon.controller.heartbeat import Heart
from gitopsd.daemon.controller.requests import Taken
from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repacking import repack

_FIRST_SECONDS = 30.0
_EVERY_SECONDS = 600.0
_REPACK_SECONDS = 600.0


class Housekeeping:
    """The cycle of its thread; nothing waits for it."""

    def __init__(self, workspace: Callable[[], Workspace], tell: events.Listener) -> None:
        self._workspace = workspace
        self._tell = tell
        self._begun = False

    def cycle(self, taken: Taken, heart: Heart) -> float:
        del taken
        if not self._begun:  # what is to be deployed comes first
            self._begun = True
            return _FIRST_SECONDS
        with heart.allowed(3 * _REPACK_SECONDS):
            try:
                repack(self._workspace().repository, deadline=_REPACK_SECONDS)
            except RepositoryError as error:
                message = f"{error.message} ({error.hint})"
                self._tell(events.Said(environment="", at=time.time(), message=message, level="warning"))
        return _EVERY_SECONDS
