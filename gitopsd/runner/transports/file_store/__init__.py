"""`file-store`: a directory that producers and consumers both see, on one worker or over a shared mount.

<path>/segments/<producer job>/<sequence>-<first event>-<count>-<crc32>.jsonl   immutable: segments.py
<path>/consumers/<step>/<replica>.json                                          progress: cursors.py
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitopsd.runner.transports.file_store.reader import FileStoreInput
from gitopsd.runner.transports.file_store.writer import FileStoreOutput

if TYPE_CHECKING:
    from gitopsd.runner.flow import Input, Output
    from gitopsd.runner.job import Context
    from gitopsd.runner.settings import Settings


def make_input(endpoint: Settings, context: Context) -> Input:
    return FileStoreInput(endpoint, context)


def make_outputs(endpoint: Settings, context: Context) -> list[Output]:
    return [FileStoreOutput(endpoint, context)]
