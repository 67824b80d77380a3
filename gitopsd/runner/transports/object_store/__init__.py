"""`object-store`: batches of lines in a bucket behind any S3 API.

<prefix>segments/<producer job>/<writer>/<sequence>-<first event>-<count>-<crc32>.jsonl.gz   immutable: segments.py
<prefix>writers/<producer job>/<writer>.json                                                 manifest: manifests.py
<prefix>consumers/<step>/<replica>.json                                                      progress: positions.py

Relied on: what was put is listed and read from then on, and listings are in the order of the keys, as S3 has it since
2020. Neither conditional writes nor locks: no two processes ever write the same key (writer.py says why).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gitopsd.runner.transports.object_store.reader import ObjectStoreInput
from gitopsd.runner.transports.object_store.writer import ObjectStoreOutput

if TYPE_CHECKING:
    from gitopsd.runner.flow import Input, Output
    from gitopsd.runner.job import Context
    from gitopsd.runner.settings import Settings


def make_input(endpoint: Settings, context: Context) -> Input:
    return ObjectStoreInput(endpoint, context)


def make_outputs(endpoint: Settings, context: Context) -> list[Output]:
    return [ObjectStoreOutput(endpoint, context)]
