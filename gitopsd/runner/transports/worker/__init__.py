r"""`worker`: a Unix stream socket between two jobs on one worker. The consumer listens.

The producer greets with `gitopsd-channel/1 <channel> <producer job>\n`, the consumer answers `ok\n` or
`refused <reason>\n`. Then come frames, `>I` length and `>Q` sequence (1, 2, ...) before whole lines, and go `>Q`
acknowledgements, each of all frames up to a sequence. What isn't acknowledged when a connection ends is sent again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from gitopsd.runner.errors import JobError
from gitopsd.runner.transports.worker.consumer import WorkerInput
from gitopsd.runner.transports.worker.producer import WorkerOutput

if TYPE_CHECKING:
    from pathlib import Path

    from gitopsd.runner.flow import Input, Output
    from gitopsd.runner.job import Context
    from gitopsd.runner.settings import Settings

LONGEST_PATH = 107
"""Bytes of a socket's path, unix(7)."""


def make_input(endpoint: Settings, context: Context) -> Input:
    return WorkerInput(_path(endpoint.text("socket"), context), endpoint.text("channel"), context)


def make_outputs(endpoint: Settings, context: Context) -> list[Output]:
    channel = endpoint.text("channel")
    return [WorkerOutput(_path(name, context), channel, context) for name in endpoint.texts("sockets")]


def _path(name: str, context: Context) -> Path:
    path = context.job.sockets / name
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise JobError(f"the socket's path {path} is longer than {LONGEST_PATH} bytes; choose a shorter run directory")
    return path
