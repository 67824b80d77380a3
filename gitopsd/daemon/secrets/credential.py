"""Credentials that systemd hands to the service: files in a folder that only the service can read (systemd.exec(5))."""

import os
from pathlib import Path

from gitopsd.daemon.secrets.errors import SecretError

SERVICE = "gitopsd.service"


def credential_file(name: str) -> Path:
    """Where the credential of that name is. Raises SecretError where there is none, or this user may not know."""
    path = _folder() / name
    try:
        found = path.is_file()
    except PermissionError:
        raise SecretError(f"the credential {name} is for the service alone: run this as root") from None
    if not found:
        raise SecretError(
            f"the service {SERVICE} was not given the credential {name}: put it into /etc/gitopsd/credentials/{name}, "
            "run `gitopsd service install`, and restart it"
        )
    return path


def _folder() -> Path:
    """Of this process where it is a service; else of the service on this machine: root may read that."""
    own = os.environ.get("CREDENTIALS_DIRECTORY", "")
    return Path(own) if own.startswith("/") else Path("/run/credentials") / SERVICE
