from __future__ import annotations

import pwd
from typing import NamedTuple

from .commands import run
from .errors import AgentError

JOB_USER = "gitopsd-job"
_USERADD_SECONDS = 30  # it waits for other writers of /etc/passwd


class Account(NamedTuple):
    uid: int
    gid: int


def find_account(name: str) -> Account | None:
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        return None
    return Account(found.pw_uid, found.pw_gid)


def make_job_user() -> Account:
    """The account of gitopsd's jobs, made when the machine lacks it; AgentError `io` when useradd fails."""
    account = find_account(JOB_USER)
    if account is not None:
        return account
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent"]
    command += ["--shell", "/usr/sbin/nologin", JOB_USER]
    done = run(command, _USERADD_SECONDS)
    account = find_account(JOB_USER)
    if account is None:
        raise AgentError("io", f"`{' '.join(command)}` exited with {done.code}: {done.stderr.strip()}")
    return account
