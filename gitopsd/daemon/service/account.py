"""The account that the service runs as, and what it may do."""

import os
import pwd
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.service.places import HOME

_SECONDS = 60.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    name: str
    user: int
    group: int

    def can(self, access: str, path: Path) -> bool:
        """`access` is `-r`, `-w` or `-x` as test(1) has it: asked as the account itself, so that nothing is guessed."""
        return self.run(["test", access, str(path)]).returncode == 0

    def run(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """What becomes of a command as this account, with nothing of our environment."""
        return subprocess.run(
            command,
            user=self.user,
            group=self.group,
            extra_groups=os.getgrouplist(self.name, self.group) if self.name else [],
            cwd="/",
            env={"PATH": _PATH},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )


NOBODY = Account(name="", user=65534, group=65534)
"""One that may do what everybody may."""


def find_account(name: str) -> Account | None:
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(name=name, user=entry.pw_uid, group=entry.pw_gid)


def make_account(name: str) -> None:
    """A system account nobody can log in to. Raises ControllerError."""
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", str(HOME)]
    command += ["--shell", "/usr/sbin/nologin", name]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=False)
    except FileNotFoundError:
        raise ControllerError("there is no `useradd` here", f"make the system account {name} yourself") from None
    if done.returncode:
        raise ControllerError(f"the account {name} can't be made: {done.stderr.strip()}", "make it yourself")
