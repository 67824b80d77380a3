"""The foot of a terminal while a rollout is under way, as it is drawn at 80 columns."""

import io
import re

from rich.console import Console

from gitopsd.cli.live import LiveWorkers
from gitopsd.cli.rollout_text import STATES


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drawn(live: LiveWorkers) -> list[str]:
    """The picture as lines of text, without colours."""
    sheet = Console(file=io.StringIO(), width=80, height=24, color_system=None)
    sheet.print(live._picture())
    assert isinstance(sheet.file, io.StringIO)
    return sheet.file.getvalue().splitlines()


def live_at(now: list[float], workers: int) -> tuple[LiveWorkers, Terminal]:
    stream = Terminal()
    live = LiveWorkers(stream, STATES, clock=lambda: now[0])
    live.start([f"edge-{number}" for number in range(1, workers + 1)])
    return live, stream


def test_each_worker_on_its_way_has_a_line_with_its_stage_and_the_rest_is_counted() -> None:
    now = [100.0]
    live, _ = live_at(now, 5)
    live.progress("edge-1", "activating", "")
    live.progress("edge-2", "checking", "3 of 5 jobs healthy, 117 s left")
    live.progress("edge-3", "waiting", "")
    live.ended("edge-4", "converged")
    now[0] = 107.5
    live.progress("edge-2", "checking", "4 of 5 jobs healthy, 110 s left")
    lines = drawn(live)
    live.stop()
    assert lines == [
        "  edge-1  activating (7 s)",
        "  edge-2  health check: 4 of 5 jobs healthy, 110 s left (7 s)",
        "1 of 5 workers, 1 converged, 2 under way, 2 waiting, 0:07",
    ]


def test_more_workers_than_the_terminal_has_lines_are_counted() -> None:
    live, _ = live_at([0.0], 100)
    for number in range(1, 101):
        live.progress(f"edge-{number}", "activating", "")
    lines = drawn(live)
    live.stop()
    assert len(lines) <= 24
    assert re.fullmatch(r"  and \d+ more under way", lines[-2])
    assert lines[-1] == "0 of 100 workers, 100 under way, 0:00"


def test_what_workers_say_is_neither_markup_nor_a_command_of_the_terminal_nor_wider_than_it() -> None:
    live, stream = live_at([0.0], 1)
    hostile = "[bold]x[/bold] \x1b[2J\x07" + "y" * 200
    live.progress("edge-1", "checking", hostile)
    lines = drawn(live)
    live.print([(hostile, "red")])
    live.stop()
    assert len(lines) == 2
    assert len(lines[0]) == 80
    assert "[bold]x[/bold] \\x1b[2J" in lines[0]
    assert "\x1b[2J" not in stream.getvalue()
    assert "\x07" not in stream.getvalue()
    assert "[bold]x[/bold]" in stream.getvalue()
