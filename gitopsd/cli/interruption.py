"""Ctrl-C while workers are being changed: the first one asks for an end, the second one is it."""

import signal
import threading
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption:
    """Between `begin` and `end` a first signal only sets `asked`; a second one raises KeyboardInterrupt as ever."""

    def __init__(self) -> None:
        self.asked = False
        self._before: dict[signal.Signals, object] = {}

    def begin(self) -> None:
        if threading.current_thread() is threading.main_thread():  # signals are the main thread's
            self._before = {number: signal.signal(number, self._ask) for number in _SIGNALS}

    def end(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type] # what signal() gave
        self._before = {}

    def _ask(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            signal.default_int_handler(number, frame)
        self.asked = True
