"""Files of a source tree that lie in memory."""

from collections.abc import Mapping

from gitopsd.model.source import Files, Text
from gitopsd.model.trees import object_id


def in_memory(contents: Mapping[str, bytes]) -> Files:
    return {path: Text(blob=object_id("blob", contents[path]), data=contents[path]) for path in sorted(contents)}
