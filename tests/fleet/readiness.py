"""When a machine counts as up: its sshd greets, and its systemd has finished starting."""

import socket

from tests.fleet.commands import CommandTimeoutError
from tests.fleet.container import Container, MachineIsOffError
from tests.fleet.deadline import DeadlineError, wait_until

SSH_PORT = 22


class BootError(Exception):
    """A machine did not come up; the message carries its state and the end of its console."""


def wait_until_up(container: Container, address: str, *, timeout: float) -> tuple[str, ...]:
    """Returns the units that failed during the boot, none of them on a healthy machine."""
    state = "not asked yet"

    def greeted() -> bool:
        if not container.is_running():
            raise BootError(f"{container.hostname} went off while booting\n{container.console_tail()}")
        return greets(address)

    def started() -> str | None:
        nonlocal state
        if not container.is_running():
            raise BootError(f"{container.hostname} went off while booting\n{container.console_tail()}")
        state = system_state(container, timeout=timeout)
        return state if state in {"running", "degraded"} else None

    try:
        wait_until(greeted, timeout=timeout, what=f"sshd of {container.hostname} to answer")
        wait_until(started, timeout=timeout, interval=0.2, what=f"{container.hostname} to finish booting")
    except DeadlineError as error:
        raise BootError(f"{error}; systemd says {state!r}\n{container.console_tail()}") from error
    return failed_units(container) if state == "degraded" else ()


def greets(address: str, *, within: float = 1.0) -> bool:
    """Whether an SSH server speaks first, as the protocol has it; an open port alone says nothing yet."""
    try:
        with socket.create_connection((address, SSH_PORT), timeout=within) as connection:
            connection.settimeout(within)
            return connection.recv(255).startswith(b"SSH-")
    except OSError:
        return False


def system_state(container: Container, *, timeout: float = 10.0) -> str:
    """`systemctl is-system-running`, waiting for the end of the boot; "offline" while it cannot be asked."""
    try:
        asked = container.run(["systemctl", "is-system-running", "--wait"], input=None, timeout=timeout, check=False)
    except MachineIsOffError:
        return "offline"
    except CommandTimeoutError:
        return "starting"
    return asked.stdout.strip() or "offline"


def failed_units(container: Container) -> tuple[str, ...]:
    listed = container.run(
        ["systemctl", "list-units", "--state=failed", "--plain", "--no-legend"], input=None, timeout=60.0, check=True
    )
    return tuple(line.split()[0] for line in listed.stdout.splitlines() if line.strip())
