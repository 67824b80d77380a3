"""The texts of the service: its unit as it is shipped, the drop-in that makes it this machine's, a configuration."""

from collections.abc import Sequence
from pathlib import Path

from gitopsd.daemon.configuration.configuration import SYSTEM_PATH
from gitopsd.daemon.service.account import Account
from gitopsd.daemon.service.needs import Needs, credential_source
from gitopsd.daemon.service.places import ACCOUNT, CREDENTIALS, shipped


def unit_text() -> str:
    """The unit, the same on every machine."""
    return shipped("gitopsd.service").read_text(encoding="utf-8")


def drop_in_text(command: Sequence[str], configuration: Path, account: Account, group: str, needs: Needs) -> str:
    """What differs from machine to machine. `group` is the name of the account's own."""
    options = [] if configuration == SYSTEM_PATH else ["--config", str(configuration)]
    lines = [
        "# Written by `gitopsd service install`, from the configuration; run it again when that has changed.",
        "# A drop-in of your own, such as `systemctl edit gitopsd` makes, is left alone.",
        "[Service]",
        "ExecStart=",
        f"ExecStart={' '.join(quoted(word) for word in (*command, *options, 'daemon'))}",
    ]
    if account.name != ACCOUNT:
        lines += [f"User={account.name}", f"Group={group}"]
    lines += [f"ReadWritePaths={quoted(str(folder))}" for folder in needs.folders]
    for name in needs.credentials:
        source = credential_source(name, CREDENTIALS) or CREDENTIALS / name
        setting = "LoadCredentialEncrypted" if source.suffix == ".cred" else "LoadCredential"
        lines.append(f"{setting}={name}:{source}")
    return "\n".join(lines) + "\n"


def installed_user(drop_in: str) -> str | None:
    """Whom that drop-in has the service run as; None for the account of its own."""
    return next((line.removeprefix("User=") for line in drop_in.splitlines() if line.startswith("User=")), None)


def configuration_text(repository: str) -> str:
    """A configuration to begin with, every line of it explained."""
    text = shipped("config.yaml").read_text(encoding="utf-8")
    if not repository:
        return text
    return text.replace("#repository: /srv/git/fleet.git", f"repository: {_yaml_text(repository)}")


def quoted(word: str) -> str:
    """One word of a line in a unit file (systemd.syntax(7)): nothing in it is expanded or splits it."""
    escaped = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return escaped if escaped == word and not set(word) & set(" \t';#") else f'"{escaped}"'


def _yaml_text(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
