from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING

import pytest

from gitopsd.agent.features import PROBES, SYSTEMD_PATH, Probe, find_features, parse_version
from gitopsd.compiler.placement.features import is_probed

if TYPE_CHECKING:
    from pathlib import Path

ANSWERS = {
    "awk": ("mawk 1.3.4 20200120\nCopyright 2008", "1.3.4"),
    "curl": ("curl 7.88.1 (x86_64-pc-linux-gnu) libcurl/7.88.1", "7.88.1"),
    "docker": ("Docker version 28.2.2, build e6534b4", "28.2.2"),
    "fluent-bit": ("Fluent Bit v2.2.0\nGit commit: ", "2.2.0"),
    "git": ("git version 2.39.5\n", "2.39.5"),
    "java": ('openjdk version "17.0.15" 2025-04-15', "17.0.15"),
    "jq": ("jq-1.6\n", "1.6"),
    "nats-server": ("nats-server: v2.10.4\n", "2.10.4"),
    "node": ("v20.20.2\n", "20.20.2"),
    "perl": ("v5.36.0", "5.36.0"),
    "podman": ("podman version 4.3.1", "4.3.1"),
    "psql": ("psql (PostgreSQL) 15.8 (Debian 15.8-0+deb12u1)\n", "15.8"),
    "redis-server": ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64", "7.0.15"),
    "rsyslog": ("rsyslogd  8.2302.0 (aka 2023.02) compiled with:\n\tPLATFORM: x86_64", "8.2302.0"),
    "ruby": ("ruby 3.1.2p20 (2022-04-12 revision 4491bb740a)", "3.1.2"),
    "sqlite3": ("3.40.1 2022-12-28 14:03:47 df5c", "3.40.1"),
    "syslog-ng": ("syslog-ng 3 (3.38.1)\nConfig version: 3.35\nInstaller-Version: 3.38.1", "3.38.1"),
    "systemd": ("systemd 252 (252.39-1~deb12u1)\n+PAM +AUDIT", "252"),
    "tenzir": ('{\n  version: "5.2.0+gabcdef",\n  tag: "gabcdef",\n  major: 5,\n}\n', "5.2.0"),
    "vector": ("vector 0.34.1 (x86_64-unknown-linux-gnu 86f1c22 2023-11-16 14:59:10.486846964)", "0.34.1"),
}


def program(folder: Path, name: str, script: str) -> Probe:
    path = folder / name
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Probe(name, (name, "--version"), r"version v?([0-9]{1,9}(?:\.[0-9]{1,9}){0,5})")


@pytest.mark.parametrize("item", PROBES, ids=lambda item: item.feature)
def test_a_version_is_found_in_what_the_program_prints(item: Probe) -> None:
    answer, version = ANSWERS[item.feature]
    assert parse_version(item.pattern, answer) == version
    assert is_probed(item.feature, version)


@pytest.mark.parametrize(
    "answer", ["", "command not found", "\0\xff", "unrecognised option", "version: unknown\n" * 99]
)
@pytest.mark.parametrize("item", PROBES, ids=lambda item: item.feature)
def test_an_answer_without_a_version_is_no_feature(item: Probe, answer: str) -> None:
    assert parse_version(item.pattern, answer) is None


@pytest.mark.parametrize("item", PROBES, ids=lambda item: item.feature)
def test_a_version_holds_numbers_alone_however_long_the_answer(item: Probe) -> None:
    answer, version = ANSWERS[item.feature]
    for hostile in (answer.replace(version, "9" * 5000), answer.replace(version, version + ".1" * 5000 + "\0<b>")):
        found = parse_version(item.pattern, hostile)
        assert found is None or re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}){0,5}", found)


def test_every_feature_is_probed_once_and_none_by_a_shell() -> None:
    assert len({item.feature for item in PROBES}) == len(PROBES)
    assert not {item.command[0] for item in PROBES} & {"sh", "bash", "env"}


def test_what_this_machine_has_is_found() -> None:
    assert find_features(SYSTEMD_PATH).versions.keys() >= {"awk", "perl"}


def test_programs_that_fail_or_print_rubbish_are_no_features(tmp_path: Path) -> None:
    probes = [
        program(tmp_path, "fails", "exit 3"),
        program(tmp_path, "rubbish", "printf '\\377\\000 version \\n'"),
        program(tmp_path, "endless", "head -c 3000000 /dev/zero"),
        program(tmp_path, "complains", "echo version 1.2 >&2; exit 1"),
        program(tmp_path, "works", "echo works version 2.0"),
        Probe("absent", ("absent", "--version"), "(.*)"),
    ]
    (tmp_path / "broken").write_bytes(b"\x7fELF but not really")
    (tmp_path / "broken").chmod(0o755)
    found = find_features(f"{tmp_path}:/usr/bin:/bin", [*probes, Probe("broken", ("broken",), "(.*)")])
    assert found.versions == {"complains": "1.2", "works": "2.0"}
    assert found.unanswered == []


def test_a_program_that_hangs_holds_up_none_of_the_others_and_is_told_apart(tmp_path: Path) -> None:
    probes = [
        program(tmp_path, "hangs", "sleep 1234.5 & sleep 1234.5"),
        program(tmp_path, "slow", "sleep 0.3; echo version 1"),
        program(tmp_path, "too", "exec sleep 1234.5"),
    ]
    started = time.monotonic()
    found = find_features(f"{tmp_path}:/usr/bin:/bin", probes, seconds=2.0)
    assert time.monotonic() - started < 10
    assert found.versions == {"slow": "1"}
    assert found.unanswered == ["hangs", "too"]
