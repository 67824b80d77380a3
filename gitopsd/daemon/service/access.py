"""What the service's account lacks to do its work, each with what to do about it."""

import pwd
from collections.abc import Iterator
from pathlib import Path

from gitopsd.daemon.service.account import Account
from gitopsd.daemon.service.needs import Needs, credential_source
from gitopsd.daemon.service.places import ACCOUNT, CREDENTIALS, is_hidden

_KEY = "ssh_identity"
"""The credential's name in the configuration to begin with."""


def lacking(account: Account, needs: Needs, configuration: Path) -> Iterator[tuple[str, str]]:
    """Problems and hints."""
    yield from _unreadable(account, configuration)
    for path in needs.files:
        yield from _unreadable(account, path)
    for folder in needs.folders:
        yield from _not_writable(account, folder)
    if needs.own_key:
        yield from _without_key(account, configuration)
    for name in needs.credentials:
        if credential_source(name, CREDENTIALS) is None:
            encrypted = f"`systemd-creds encrypt --name={name}` makes {name}.cred there"
            yield f"there is no credential {name}", f"put it into {CREDENTIALS / name}; {encrypted}"


def _without_key(account: Account, configuration: Path) -> Iterator[tuple[str, str]]:
    folder = Path(pwd.getpwnam(account.name).pw_dir) / ".ssh"
    if is_hidden(folder) or not (any(folder.glob("id_*")) or (folder / "config").exists()):
        yield (
            f"there is no key to the workers: the configuration names none, and {account.name} has none in {folder}",
            f"put it into {CREDENTIALS / _KEY}, and `ssh: {{identity: {{credential: {_KEY}}}}}` into {configuration}",
        )


def _unreadable(account: Account, path: Path) -> Iterator[tuple[str, str]]:
    if is_hidden(path):
        yield f"{path} is where services don't see it", "move it to /etc/gitopsd, or make it a credential"
    elif not path.exists():
        yield f"{path} is not there", "put it there, or correct the configuration"
    elif not account.can("-r", path):
        yield f"{account.name} can't read {path}", f"chgrp {account.name} {path}; chmod g+r,o= {path}"


def _not_writable(account: Account, folder: Path) -> Iterator[tuple[str, str]]:
    if is_hidden(folder):
        yield f"{folder} is where services don't see it", "move it, to /srv/git say, and correct the configuration"
        return
    owner = _owner(folder)
    # Git itself refuses a repository of somebody else, and whoever pushes over SSH must be able to write there as well
    if folder.stat().st_uid == account.user and account.can("-w", folder):
        return
    if owner == "root" and account.name == ACCOUNT:
        hint = (
            f"give it to the account that people push as, `chown -R git: {folder}` say, and run the service as that "
            f"one: `gitopsd service install --user git`; where nobody pushes by SSH: chown -R {account.name}: {folder}"
        )
    elif owner == "root":
        hint = f"chown -R {account.name}: {folder}"
    else:
        hint = f"run the service as its owner: `gitopsd service install --user {owner}`"
    yield f"{folder} belongs to {owner}, and {account.name} writes what it rendered there", hint


def _owner(path: Path) -> str:
    user = path.stat().st_uid
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return str(user)
