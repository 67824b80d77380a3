"""Facts about a machine, and what keeps it from being a worker."""

from __future__ import annotations

import os
import platform
import pwd
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import AgentError
from .features import SYSTEMD_PATH, find_features
from .records import read_owner

if TYPE_CHECKING:
    from .layout import Layout
    from .services import ServiceManager

OLDEST_SYSTEMD = 247
_LEAST_FREE_BYTES = 64 * 1024 * 1024


def probe(layout: Layout, manager: ServiceManager) -> dict[str, Any]:
    version = platform.python_version()
    path = SYSTEMD_PATH if layout.service_manager == "systemd" else os.environ.get("PATH", SYSTEMD_PATH)
    found = find_features(path)
    features = {"python3": _plain(version), **found.versions}
    owner = read_owner(layout)
    return {
        "python": version,
        "features": features,
        "unanswered": found.unanswered,
        "os": parse_os_release(_read_os_release()),
        "architecture": platform.machine(),
        "user": pwd.getpwuid(os.geteuid()).pw_name,
        "problems": _problems(layout, manager, features),
        "owner": None if owner is None else {"root_commit": owner.root_commit, "environment": owner.environment},
    }


def parse_os_release(text: str) -> str:
    """The name of the distribution as os-release(5) gives it to people."""
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key == "PRETTY_NAME":
            return value.strip().strip("\"'")
    return "unknown"


def _plain(version: str) -> str:
    """Without what marks a version that isn't released: `3.14.0` for `3.14.0rc1`."""
    found = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return found.group() if found else "0"


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
