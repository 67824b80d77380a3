"""The programs that workers are asked for, and how each tells its version.

The table is fixed: no command ever comes from a repository or a request. A program that is here and gave no answer in
time is told apart from one that isn't here.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from typing import TYPE_CHECKING, NamedTuple

from .deadline import Deadline

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# what systemd gives to units (systemd.exec(5), EXECUTION ENVIRONMENT), and where packages of engines put theirs
SYSTEMD_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_ENGINES_PATH = "/opt/tenzir/bin:/opt/fluent-bit/bin"
_SECONDS = 5.0
_LEAST_SECONDS = 0.1  # to read what one has printed while another was waited for
_LONGEST_ANSWER = 64 * 1024
# as long as a version in a requirement may be
_NUMBER = r"v?([0-9]{1,9}(?:\.[0-9]{1,9}){0,5})"


class Probe(NamedTuple):
    """A feature's name, the command that tells its version, and where in the answer that stands."""

    feature: str
    command: tuple[str, ...]
    pattern: str


class Found(NamedTuple):
    """Versions by feature, and the features whose programs are here but gave no answer in time."""

    versions: dict[str, str]
    unanswered: list[str]


PROBES = (
    Probe("awk", ("awk", "-W", "version"), rf"(?:awk|Awk) {_NUMBER}"),
    Probe("curl", ("curl", "--version"), rf"curl {_NUMBER}"),
    Probe("docker", ("docker", "--version"), rf"version {_NUMBER}"),
    Probe("fluent-bit", ("fluent-bit", "--version"), rf"Fluent Bit {_NUMBER}"),
    Probe("git", ("git", "--version"), rf"git version {_NUMBER}"),
    Probe("java", ("java", "-version"), rf'version "{_NUMBER}'),
    Probe("jq", ("jq", "--version"), rf"jq-{_NUMBER}"),
    Probe("nats-server", ("nats-server", "--version"), rf"nats-server: {_NUMBER}"),
    Probe("node", ("node", "--version"), rf"^{_NUMBER}"),
    Probe("perl", ("perl", "-e", "print $^V"), rf"^{_NUMBER}"),
    Probe("podman", ("podman", "--version"), rf"version {_NUMBER}"),
    Probe("psql", ("psql", "--version"), rf"psql \(PostgreSQL\) {_NUMBER}"),
    Probe("redis-server", ("redis-server", "--version"), rf"Redis server v={_NUMBER}"),
    Probe("rsyslog", ("rsyslogd", "-v"), rf"rsyslogd +{_NUMBER}"),
    Probe("ruby", ("ruby", "--version"), rf"ruby {_NUMBER}"),
    Probe("sqlite3", ("sqlite3", "--version"), rf"^{_NUMBER}"),
    Probe("syslog-ng", ("syslog-ng", "--version"), rf"syslog-ng \S+ \({_NUMBER}"),
    Probe("systemd", ("systemctl", "--version"), rf"systemd {_NUMBER}"),
    Probe("tenzir", ("tenzir", "version"), rf'"?\bversion"?: "{_NUMBER}'),
    Probe("vector", ("vector", "--version"), rf"vector {_NUMBER}"),
)


def find_features(path: str, probes: Sequence[Probe] = PROBES, seconds: float = _SECONDS) -> Found:
    """What of the table can be run with this search path; all programs are asked at once, each once."""
    deadline = Deadline.after(seconds)
    search = f"{path}:{_ENGINES_PATH}"
    environment = {"PATH": search, "LC_ALL": "C", "HOME": "/nonexistent"}
    asked = [(probe, process) for probe in probes for process in _ask(probe, environment)]
    answers = {probe: _answer(process, deadline) for probe, process in asked}
    versions = {
        probe.feature: parse_version(probe.pattern, answer) for probe, answer in answers.items() if answer is not None
    }
    return Found(
        versions={feature: version for feature, version in sorted(versions.items()) if version is not None},
        unanswered=sorted(probe.feature for probe, answer in answers.items() if answer is None),
    )


def parse_version(pattern: str, answer: str) -> str | None:
    found = re.search(pattern, answer)
    return found.group(1) if found else None


def _ask(probe: Probe, environment: Mapping[str, str]) -> list[subprocess.Popen[bytes]]:
    """The running program; none where it isn't installed or can't be started."""
    program = shutil.which(probe.command[0], path=environment["PATH"])
    if program is None:
        return []
    try:
        return [
            subprocess.Popen(
                [program, *probe.command[1:]],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd="/",
                env=environment,
                start_new_session=True,
            )
        ]
    except OSError:
        return []


def _answer(process: subprocess.Popen[bytes], deadline: Deadline) -> str | None:
    """What it printed, whatever its exit code; None when it had to be ended, with all that it started."""
    try:
        output, _ = process.communicate(timeout=max(deadline.remaining(), _LEAST_SECONDS))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # it wasn't waited for yet, so the group is still its own
        process.wait()
        if process.stdout is not None:
            process.stdout.close()
        return None
    return output[:_LONGEST_ANSWER].decode("utf-8", "replace")
