"""Watches a repository on this machine: a hint that refs moved, seconds before they would be looked at anyway."""

import threading
from collections.abc import Callable
from pathlib import Path

from watchfiles import watch

_DEBOUNCE_MILLISECONDS = 60
_STEP_MILLISECONDS = 20
_WAKE_MILLISECONDS = 2_000
_AFTER_AN_ERROR = 30.0


class RefWatch:
    """Calls `moved` after refs of the repository at `git_dir` changed, from a thread of its own until `stop` is set.

    Where it can't watch, it says so once through `warn`, and tries again: polling goes on all the same.
    """

    def __init__(
        self, git_dir: Path, moved: Callable[[], object], warn: Callable[[str], None], stop: threading.Event
    ) -> None:
        self._git_dir = git_dir
        self._moved = moved
        self._warn = warn
        self._stop = stop
        self._warned = False
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._watch()
            except (OSError, RuntimeError) as error:  # watchfiles raises either, with what inotify said
                if not self._warned:
                    self._warn(f"{self._git_dir} can't be watched, so pushes are seen by polling alone: {error}")
                    self._warned = True
                self._stop.wait(_AFTER_AN_ERROR)

    def _watch(self) -> None:
        """Only `refs`: a push writes its files there. What `git pack-refs` moves elsewhere keeps its value."""
        for _ in watch(
            self._git_dir / "refs",
            watch_filter=lambda _, path: not path.endswith(".lock"),
            debounce=_DEBOUNCE_MILLISECONDS,
            step=_STEP_MILLISECONDS,
            rust_timeout=_WAKE_MILLISECONDS,
            stop_event=self._stop,
        ):
            self._moved()
