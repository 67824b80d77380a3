"""The systemd-nspawn process that is one machine's hardware: switched on, entered, cut off."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.fleet import cgroups
from tests.fleet.commands import Result, execute
from tests.fleet.deadline import wait_until

# Moves itself into the control group before it becomes nspawn, so that nothing of the machine ever runs outside it.
LAUNCH = 'while [ "$1" != -- ]; do echo $$ > "$1" || exit 1; shift; done; shift; exec "$@"'
ENVIRONMENT = (
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME=/root",
    "USER=root",
    "LANG=C.UTF-8",
)


class MachineIsOffError(Exception):
    """The machine has no running init to enter."""


@dataclass(slots=True, kw_only=True)
class Container:
    """`group` names both the container and its control group; `console` is the file that its boot log goes to."""

    group: str
    hostname: str
    root: Path
    network_namespace: str
    console: Path
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    def start(self) -> None:
        if self.is_running():
            raise RuntimeError(f"{self.hostname} is already on")
        group_files = [str(file) for file in cgroups.create(self.group)]
        nspawn = [
            "systemd-nspawn",
            "--quiet",
            f"--directory={self.root}",
            f"--machine={self.group}",
            f"--hostname={self.hostname}",
            f"--network-namespace-path=/run/netns/{self.network_namespace}",
            "--register=no",  # needs no systemd on this side
            "--keep-unit",
            "--resolv-conf=off",
            "--timezone=off",
            "--console=pipe",
            "--boot",
        ]
        with self.console.open("ab") as console:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", LAUNCH, "launch", *group_files, "--", *nspawn],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                start_new_session=True,  # a Ctrl-C is for the owner, who then takes it down in order
            )

    def is_running(self) -> bool:
        process = self._process
        return process is not None and process.poll() is None

    def leader(self) -> int | None:
        """The machine's process 1 as numbered here, once it is systemd; None while there is none."""
        process = self._process
        if process is None or process.poll() is not None:
            return None
        with contextlib.suppress(OSError):
            for child in Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split():
                if Path(f"/proc/{child}/exe").readlink().name == "systemd":
                    return int(child)
        return None

    def run(self, argv: Sequence[str], *, input: str | bytes | None, timeout: float, check: bool) -> Result:  # noqa: A002
        """Run `argv` inside, as root, by entering the namespaces of process 1: it needs neither sshd nor a network."""
        leader = self.leader()
        if leader is None:
            raise MachineIsOffError(f"{self.hostname} is off: cannot run {argv[0]}")
        namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup", "--root", "--wd"]
        enter = ["nsenter", f"--target={leader}", *namespaces, "--", "/usr/bin/env", "--ignore-environment"]
        return execute(
            [*enter, *ENVIRONMENT, *argv],
            input=input,
            timeout=timeout,
            check=check,
            shown_as=argv,
            where=self.hostname,
        )

    def strike(self) -> None:
        """Send the kill and don't wait; `kill` finishes it."""
        leader = self.leader()
        # With its process 1 the kernel ends all of a machine at once, and nspawn stays to put its own things away.
        if leader is not None:
            os.kill(leader, signal.SIGKILL)
        elif self._process is not None:
            self._process.kill()

    def kill(self) -> None:
        """As if the power went: nothing inside gets to say goodbye; on return all of it is gone."""
        self.strike()
        if self._process is not None:
            try:
                self._process.wait(timeout=5.0)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        cgroups.kill(self.group)
        cgroups.remove(self.group)  # with it goes that it was paused

    def wait_until_off(self, *, timeout: float) -> None:
        wait_until(lambda: not self.is_running(), timeout=timeout, what=f"{self.hostname} to shut down")

    def console_tail(self, lines: int = 15) -> str:
        if not self.console.exists():
            return "(nothing)"
        return "\n".join(self.console.read_text(errors="replace").splitlines()[-lines:])
