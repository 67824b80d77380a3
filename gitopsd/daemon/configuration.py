"""The operator's configuration. It is not in the repository that it governs, and everything has a default."""

import os
from pathlib import Path

from msgspec import Struct, field

from gitopsd.compiler.declaration import decode
from gitopsd.compiler.yaml_reader import read_yaml
from gitopsd.daemon.errors import DiagnosticsError

SYSTEM_PATH = Path("/etc/gitopsd/config.yaml")


class SshConfiguration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How workers are reached; what is missing is taken from ~/.ssh as OpenSSH would."""

    identity: str = ""
    jump: str = ""


class Configuration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    repository: str = ""
    source_branch: str = ""
    ssh: SshConfiguration = field(default_factory=SshConfiguration)


def read_configuration(path: Path | None) -> Configuration:
    """The file at `path`, else the system's, else the user's, else the defaults. Raises DiagnosticsError."""
    chosen = path or next((known for known in (SYSTEM_PATH, _user_path()) if known.exists()), None)
    if chosen is None:
        return Configuration()
    try:
        content = chosen.read_bytes()
    except OSError as error:
        raise DiagnosticsError.at_file(
            str(chosen), "unreadable-file", f"the configuration can't be read: {error.strerror}", "check --config"
        ) from None
    document, mistakes = read_yaml(str(chosen), content)
    if document.value is None and not mistakes:
        return Configuration()
    configuration, more = (None, []) if mistakes else decode(document, Configuration)
    if configuration is None:
        raise DiagnosticsError((*mistakes, *more), {str(chosen): content})
    return configuration


def _user_path() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "gitopsd" / "config.yaml"
