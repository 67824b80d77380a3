from __future__ import annotations

import zlib
from typing import Any

import pytest

from gitopsd.agent.errors import AgentError
from gitopsd.agent.githash import Entry, blob_id, tree_id
from gitopsd.agent.manifest import parse_manifest
from gitopsd.agent.payload import unpack

BLOB = blob_id(b"x")
GOOD = [["jobs/a.0/job.json", "100644", BLOB], ["release.json", "100755", BLOB]]


def test_a_manifest_that_makes_up_its_release_is_taken() -> None:
    entries = [Entry(*item) for item in GOOD]
    assert list(parse_manifest(tree_id(entries), GOOD).entries) == entries


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/etc/passwd", "is absolute"),
        ("../outside", "component"),
        ("jobs/../../outside", "component"),
        ("jobs/./a", "component"),
        ("jobs//a", "component"),
        ("jobs/", "component"),
        ("", "component"),
        ("a\0b", "NUL"),
        ("n" * 256, "255 bytes"),
        ("\ud800", "UTF-8"),
    ],
)
def test_a_path_that_could_leave_the_release_is_refused(path: str, complaint: str) -> None:
    with pytest.raises(AgentError, match=complaint) as refused:
        parse_manifest("0" * 40, [[path, "100644", BLOB]])
    assert refused.value.code == "bad-payload"


@pytest.mark.parametrize("mode", ["120000", "160000", "40000", "100664", "104755", "644", ""])
def test_only_plain_and_executable_files_are_taken(mode: str) -> None:
    with pytest.raises(AgentError, match="mode"):
        parse_manifest("0" * 40, [["a", mode, BLOB]])


@pytest.mark.parametrize(
    ("release", "manifest", "complaint"),
    [
        ("zz", GOOD, "40 hex"),
        ("../../" + "0" * 34, GOOD, "40 hex"),
        ("0" * 40, GOOD, "makes up tree"),
        ("0" * 40, {}, "not a list"),
        ("0" * 40, [["a", "100644"]], "not \\[path"),
        ("0" * 40, [["a", "100644", 1]], "not \\[path"),
        ("0" * 40, [["a", "100644", "g" * 40]], "blob id"),
        ("0" * 40, [GOOD[0], GOOD[0]], "twice"),
        ("0" * 40, [["a", "100644", BLOB], ["a/b", "100644", BLOB]], "both a file and a directory"),
    ],
)
def test_a_malformed_manifest_is_refused(release: Any, manifest: Any, complaint: str) -> None:
    with pytest.raises(AgentError, match=complaint) as refused:
        parse_manifest(release, manifest)
    assert refused.value.code == "bad-payload"


def test_a_payload_unpacks_to_its_blobs() -> None:
    blobs = {blob_id(data): data for data in (b"one", b"", b"three\n")}
    index = [[blob, len(data)] for blob, data in blobs.items()]
    assert unpack(index, zlib.compress(b"".join(blobs.values()))) == blobs
    assert unpack([], b"") == {}
    assert unpack([], zlib.compress(b"")) == {}


@pytest.mark.parametrize(
    ("index", "payload", "complaint"),
    [
        ([[BLOB, 1]], zlib.compress(b"y"), BLOB),
        ([[BLOB, 1]], zlib.compress(b"xy"), "cut off or too long"),
        ([[BLOB, 1]], zlib.compress(b"x") + b"more", "cut off or too long"),
        ([[BLOB, 2]], zlib.compress(b"x"), "cut off or too long"),
        ([[BLOB, 1]], zlib.compress(b"x")[:-1], "cut off or too long"),
        ([[BLOB, 1]], b"not zlib", "does not decompress"),
        ([[BLOB, 10**12]], b"", "larger than"),
        ([[BLOB, -1]], b"", "not \\[blob id, size\\]"),
        ([[BLOB, "1"]], b"", "not \\[blob id, size\\]"),
        ([BLOB], b"", "not \\[blob id, size\\]"),
        ("x", b"", "not a list"),
    ],
)
def test_a_payload_that_does_not_verify_is_refused(index: Any, payload: bytes, complaint: str) -> None:
    with pytest.raises(AgentError, match=complaint) as refused:
        unpack(index, payload)
    assert refused.value.code == "bad-payload"


def test_a_small_payload_that_swells_is_not_unpacked_past_its_index() -> None:
    with pytest.raises(AgentError, match="cut off or too long"):
        unpack([[BLOB, 1]], zlib.compress(b"\0" * 50_000_000))
