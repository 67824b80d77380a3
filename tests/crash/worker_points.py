"""Imported by every Python that starts on a test machine (a .pth file does it): the agents among them are watched."""

from __future__ import annotations

import os

FOLDER = "/run/gitopsd-points"


def _is_agent() -> bool:
    with open("/proc/self/cmdline", "rb") as command:  # noqa: PTH123 -- nothing more than needed is imported
        return b"/var/lib/gitopsd/agent/" in command.read()


if os.path.isdir(FOLDER) and _is_agent():  # noqa: PTH112
    from gitopsd_points import install  # type: ignore[import-not-found]  # points.py, as machines have it

    install(FOLDER, "gitopsd_agent/")
