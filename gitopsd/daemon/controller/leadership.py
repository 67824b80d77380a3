"""One controller leads a repository on a machine; another one stands by until the first has ended, however it did."""

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

from gitopsd.repo.errors import LockHeldError
from gitopsd.repo.lock import host_lock

_TRY_SECONDS = 2.0


@contextmanager
def leadership(
    repository: str, *, stop: threading.Event, standing_by: Callable[[str], None], still_there: Callable[[], None]
) -> Iterator[bool]:
    """Waits to lead; False where `stop` was set before that. The kernel passes it on when the leader dies.

    `standing_by` is told who leads, once; `still_there` is called every few seconds meanwhile. Raises RepositoryError
    where there can be no lock.
    """
    with ExitStack() as held:
        told = ""
        while not stop.is_set():
            try:
                held.enter_context(host_lock(repository, "leader", deadline=_TRY_SECONDS))
            except LockHeldError as error:
                holder = error.message.split(" is working on", 1)[0]
                if holder != told:
                    standing_by(holder)
                    told = holder
                still_there()
                continue
            yield True
            return
    yield False
