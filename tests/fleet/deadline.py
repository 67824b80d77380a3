"""Waiting for something, but never for ever."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class DeadlineError(Exception):
    """Something that was waited for did not happen in time."""


def wait_until(ready: Callable[[], T | None], *, timeout: float, what: str, interval: float = 0.05) -> T:
    """The first `ready()` that is neither None nor False; after `timeout` seconds a DeadlineError names `what`."""
    end = time.monotonic() + timeout
    while True:
        value = ready()
        if value is not None and value is not False:
            return value
        if time.monotonic() >= end:
            raise DeadlineError(f"gave up after {timeout:g} s: {what}")
        time.sleep(interval)
