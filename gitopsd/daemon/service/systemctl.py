"""Asking systemd for things, by `systemctl` and `journalctl`."""

import subprocess
from collections.abc import Mapping
from pathlib import Path

from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.service.places import NAME

_SECONDS = 60.0
START_SECONDS = 660.0
"""Somewhat more than TimeoutStartSec= of the unit."""


def is_systemd_running() -> bool:
    """As sd_booted(3) has it."""
    return Path("/run/systemd/system").is_dir()


def systemctl(*arguments: str, seconds: float = _SECONDS) -> str:
    """What it prints. Raises ControllerError with what it said, where it failed or took too long."""
    done = _run(["systemctl", "--no-ask-password", *arguments], seconds)
    if done.returncode:
        said = done.stderr.strip() or done.stdout.strip()
        raise ControllerError(f"`systemctl {' '.join(arguments)}` failed: {said}")
    return done.stdout


def properties(*names: str) -> Mapping[str, str]:
    """What systemd knows of the service; an unknown service has them too, as `not-found`."""
    shown = systemctl("show", NAME, *(f"--property={name}" for name in names))
    return dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)


def last_lines(count: int = 12) -> str:
    """The newest lines of the service in the journal."""
    return _run(["journalctl", "--unit", NAME, "--lines", str(count), "--output", "cat", "--no-pager"], _SECONDS).stdout


def _run(command: list[str], seconds: float) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=seconds,
            check=False,
        )
    except FileNotFoundError:
        raise ControllerError(f"there is no `{command[0]}` here", "the service needs systemd") from None
    except subprocess.TimeoutExpired:
        raise ControllerError(
            f"`{command[0]}` did not come to an end within {seconds:.0f} s", f"`systemctl status {NAME}` says more"
        ) from None
