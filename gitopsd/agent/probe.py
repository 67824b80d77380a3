"""Facts about a machine, and what keeps it from being a worker."""

from __future__ import annotations

import os
import platform
import pwd
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import AgentError
from .records import read_owner

if TYPE_CHECKING:
    from .layout import Layout
    from .services import ServiceManager

OLDEST_SYSTEMD = 247
_LEAST_FREE_BYTES = 64 * 1024 * 1024
_PROBE_SECONDS = 5
_NUMBER = r"v?(\d+(?:\.\d+)*)"


class Probe(NamedTuple):
    """A feature's name, the command that tells its version, and where in the answer that stands."""

    feature: str
    command: tuple[str, ...]
    pattern: str


PROBES = (
    Probe("systemd", ("systemctl", "--version"), rf"systemd {_NUMBER}"),
    Probe("awk", ("awk", "-W", "version"), rf"(?:awk|Awk) {_NUMBER}"),
    Probe("curl", ("curl", "--version"), rf"curl {_NUMBER}"),
    Probe("git", ("git", "--version"), rf"git version {_NUMBER}"),
    Probe("java", ("java", "-version"), rf'version "{_NUMBER}'),
    Probe("jq", ("jq", "--version"), rf"jq-{_NUMBER}"),
    Probe("node", ("node", "--version"), _NUMBER),
    Probe("perl", ("perl", "-e", "print $^V"), _NUMBER),
    Probe("podman", ("podman", "--version"), rf"version {_NUMBER}"),
    Probe("docker", ("docker", "--version"), rf"version {_NUMBER}"),
    Probe("ruby", ("ruby", "--version"), rf"ruby {_NUMBER}"),
    Probe("sqlite3", ("sqlite3", "--version"), _NUMBER),
)


def probe(layout: Layout, manager: ServiceManager) -> dict[str, Any]:
    version = platform.python_version()
    features = {"python3": version, **_features()}
    owner = read_owner(layout)
    return {
        "python": version,
        "features": features,
        "os": parse_os_release(_read_os_release()),
        "architecture": platform.machine(),
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "problems": _problems(layout, manager, features),
        "owner": None if owner is None else {"root_commit": owner.root_commit, "environment": owner.environment},
    }


def parse_version(pattern: str, answer: str) -> str | None:
    found = re.search(pattern, answer)
    return found.group(1) if found else None


def parse_os_release(text: str) -> str:
    """The name of the distribution as os-release(5) gives it to people."""
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip().strip("\"'")
    return "unknown"


def _features() -> dict[str, str]:
    answers = ((item, _ask(item.command)) for item in PROBES)
    versions = ((item.feature, parse_version(item.pattern, answer)) for item, answer in answers if answer is not None)
    return {feature: version for feature, version in versions if version is not None}


def _ask(command: tuple[str, ...]) -> str | None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_PROBE_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace")


def _problems(layout: Layout, manager: ServiceManager, features: dict[str, str]) -> list[str]:
    problems: list[str] = []
    try:
        manager.require()
    except AgentError as error:
        problems.append(error.message)
    if layout.service_manager == "systemd":
        problems += _systemd_problems(features)
    problems += _disk_problems(layout)
    return problems


def _systemd_problems(features: dict[str, str]) -> list[str]:
    version = features.get("systemd")
    if version is not None and int(version.split(".")[0]) < OLDEST_SYSTEMD:
        return [f"systemd {version} is too old: gitopsd needs {OLDEST_SYSTEMD} or newer, so update this machine"]
    if os.geteuid() == 0 and not os.access("/etc/systemd/system", os.W_OK):
        return ["/etc/systemd/system can't be written: mount it read-write"]
    return []


def _disk_problems(layout: Layout) -> list[str]:
    place = layout.root
    while not place.exists():
        place = place.parent
    status = os.statvfs(place)
    if status.f_flag & os.ST_RDONLY:
        return [f"the file system of {layout.root} is read-only: mount it read-write"]
    free = status.f_bavail * status.f_frsize
    if free < _LEAST_FREE_BYTES:
        return [f"only {free // 1024 // 1024} MiB are free for {layout.root}: free some space"]
    return []


def _read_os_release() -> str:
    try:
        return Path("/etc/os-release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
