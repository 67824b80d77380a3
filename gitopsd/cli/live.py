"""A rollout as it goes on, at the foot of a terminal: a line for each worker that is on its way, and the counts."""

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import TextIO

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from gitopsd.daemon.convergence.rollout_reporter import Stage
from gitopsd.model.excerpt import printable

_WORDS: dict[Stage, str] = {
    "waiting": "waiting for its turn",
    "connecting": "connecting",
    "observing": "observing",
    "activating": "activating",
    "confirming": "confirming over a new connection",
    "checking": "health check",
    "cut-off": "not reachable since it was changed",
    "rolling-back": "rolling back",
}
_STYLES: dict[Stage, str] = {"waiting": "dim", "cut-off": "yellow", "rolling-back": "yellow"}
_REFRESHES = 4
_REST = 4
"""Lines of the terminal that are left for what is printed above, and for the counts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _OnItsWay:
    stage: Stage
    detail: str
    since: float


class LiveWorkers:
    """Lines that are printed meanwhile go above it. Text from workers is shown as it is, markup and all.

    `states`: what may become of a worker, and its colour.
    """

    def __init__(
        self, stream: TextIO, states: dict[str, str | None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False, soft_wrap=False)
        self._states = states
        self._clock = clock
        self._lock = Lock()
        self._workers: dict[str, _OnItsWay | None] = {}
        self._ended: Counter[str] = Counter()
        self._started = clock()
        self._live = Live(
            get_renderable=self._picture,
            console=self._console,
            refresh_per_second=_REFRESHES,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        )

    @property
    def is_shown(self) -> bool:
        return self._live.is_started

    def start(self, workers: Sequence[str]) -> None:
        with self._lock:
            self._workers = dict.fromkeys(workers)
            self._started = self._clock()
        self._live.start()

    def progress(self, worker: str, stage: Stage, detail: str) -> None:
        """Called on many threads."""
        with self._lock:
            known = self._workers.get(worker)
            since = known.since if known is not None and known.stage == stage else self._clock()
            if worker in self._workers:
                self._workers[worker] = _OnItsWay(stage=stage, detail=detail, since=since)

    def ended(self, worker: str, state: str) -> None:
        with self._lock:
            if self._workers.pop(worker, self) is not self:
                self._ended[state] += 1

    def print(self, lines: Iterable[tuple[str, str | None]]) -> None:
        for text, style in lines:
            self._console.print(Text(printable(text), style=style or ""), no_wrap=False)

    def stop(self) -> None:
        self._live.stop()

    def _picture(self) -> Group:
        room = max(1, self._console.height - _REST)
        with self._lock:
            now = self._clock()
            begun = {name: way for name, way in self._workers.items() if way is not None and way.stage != "waiting"}
            waiting = [name for name in self._workers if name not in begun]
            width = max((len(name) for name in begun), default=0)
            lines = [self._line(name, way, width, now) for name, way in begun.items()]
            more = len(lines) - room
            shown = lines if more <= 0 else [*lines[:room], _one_line(f"  and {more} more under way", "dim")]
            counts = [_one_line(f"{count} {state}", self._states.get(state)) for state, count in self._counted()]
        rest = [f"{len(begun)} under way", *([f"{len(waiting)} waiting"] if waiting else [])]
        total = self._ended.total() + len(begun) + len(waiting)
        foot = Text(no_wrap=True, overflow="ellipsis")
        foot.append(f"{self._ended.total()} of {total} workers", style="bold")
        for part in (*counts, *map(Text, rest), Text(_clock_text(now - self._started))):
            foot.append(", ").append_text(part)
        return Group(*shown, foot)

    def _line(self, name: str, way: _OnItsWay, width: int, now: float) -> Text:
        detail = f": {way.detail}" if way.detail else ""
        seconds = int(now - way.since)
        took = f" ({seconds} s)" if seconds > 0 else ""
        text = f"  {name:<{width}}  {_WORDS[way.stage]}{detail}{took}"
        return _one_line(text, _STYLES.get(way.stage))

    def _counted(self) -> list[tuple[str, int]]:
        return [(state, self._ended[state]) for state in self._states if self._ended[state]]


def _one_line(text: str, style: str | None) -> Text:
    return Text(printable(text), style=style or "", no_wrap=True, overflow="ellipsis")


def _clock_text(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
