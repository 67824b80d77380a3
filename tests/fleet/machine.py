"""One machine: running commands in it, switching it on and off, and the faults that tests inflict on it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fleet import cgroups, readiness
from tests.fleet.commands import Result
from tests.fleet.container import Container
from tests.fleet.deadline import wait_until
from tests.fleet.network import Network

BOOT_DEADLINE = 180.0
COMMAND_DEADLINE = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """`host_key` reads `ssh-ed25519 AAAA...`; `client_key` is the private key that logs in as root.

    `root` is the merged disk as seen from here, good to read and write also while the machine is off. What the machine
    mounts by itself (/run, /tmp, /proc) isn't in it: use `run` for those.
    """

    name: str
    address: str
    host_key: str
    client_key: Path
    root: Path
    number: int
    network: Network
    container: Container
    port: int = readiness.SSH_PORT

    def run(
        self,
        argv: Sequence[str],
        *,
        input: str | bytes | None = None,  # noqa: A002  the word that subprocess uses
        timeout: float = COMMAND_DEADLINE,
        check: bool = True,
    ) -> Result:
        """Run `argv` inside as root, without sshd or network; an exit code other than 0 raises unless `check=False`."""
        return self.container.run(argv, input=input, timeout=timeout, check=check)

    def boot(self, *, timeout: float = BOOT_DEADLINE) -> tuple[str, ...]:
        """Switch on and wait until sshd greets and systemd has started; the units that failed on the way.

        A machine whose link is cut never counts as up: restore it first, or use `switch_on`.
        """
        self.switch_on()
        return self.wait_until_up(timeout=timeout)

    def switch_on(self) -> None:
        """Start without waiting for anything."""
        self.container.start()

    def wait_until_up(self, *, timeout: float = BOOT_DEADLINE) -> tuple[str, ...]:
        return readiness.wait_until_up(self.container, self.address, timeout=timeout)

    def is_on(self) -> bool:
        return self.container.leader() is not None

    def power_off(self) -> None:
        """Pull the plug: kill -9 of everything. The disk stays, unsynced writes too, since it lies in memory."""
        self.container.kill()

    def reboot(self, *, timeout: float = BOOT_DEADLINE) -> tuple[str, ...]:
        """An orderly shutdown and a new boot; the units that failed on the way."""
        self.run(["systemctl", "reboot", "--no-block"])
        self.container.wait_until_off(timeout=timeout)
        return self.boot(timeout=timeout)

    def cut_link(self) -> None:
        """A partition: packets vanish both ways; open connections hang rather than break."""
        self.network.set_cable(self.number, up=False)

    def restore_link(self) -> None:
        self.network.set_cable(self.number, up=True)

    def make_read_only(self, folder: str) -> None:
        """`folder` as after a disk error, for whoever opens a file from now on; a boot makes it writable again."""
        self.run(["mount", "--bind", "-o", "ro", folder, folder])

    def make_writable(self, folder: str) -> None:
        """Once nobody is in it any more."""
        wait_until(
            lambda: self.run(["umount", folder], check=False).returncode == 0,
            timeout=60.0,
            what=f"{folder} of {self.name} is let go of",
        )

    def pause(self) -> None:
        """Freeze every process of the machine: the kernel still accepts connections, but nobody answers."""
        cgroups.freeze(self.container.group, frozen=True)

    def resume(self) -> None:
        cgroups.freeze(self.container.group, frozen=False)
