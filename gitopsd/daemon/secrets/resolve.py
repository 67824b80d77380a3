"""From the names of secrets to their values, at the time of deploying: nothing that is written down has them."""

import os
import stat
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import UnsetType

from gitopsd.daemon.configuration.configuration import Configuration, OnThisMachine, SecretConfiguration
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.secrets.credential import credential_file
from gitopsd.daemon.secrets.environment import taken_variable
from gitopsd.daemon.secrets.errors import SecretError
from gitopsd.model.secret import SecretValue
from gitopsd.repo.repository import Repository

if TYPE_CHECKING:
    from gitopsd.daemon.secrets.sops import SopsFiles

LARGEST = 256 * 1024
"""Bytes. systemd hands at most 1 MiB to a unit, all of its credentials together (systemd.exec(5))."""

_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """Values by name, and why others couldn't be had; `problems` hold no value."""

    values: Mapping[str, SecretValue]
    problems: Mapping[str, str]


def resolve_secrets(
    configuration: Configuration, names: Collection[str], repository: Repository, commit: str
) -> Resolved:
    """Look each one up where the configuration says; files of the source branch are those of `commit`."""
    declared = {} if isinstance(configuration.secrets, UnsetType) else configuration.secrets
    sources = _Sources(repository, commit)
    values: dict[str, SecretValue] = {}
    problems: dict[str, str] = {}
    for name in sorted(names):
        try:
            values[name] = sources.value(declared.get(name))
        except SecretError as error:
            problems[name] = error.message
    return Resolved(values=values, problems=problems)


def require_secrets(
    configuration: Configuration, names: Collection[str], repository: Repository, commit: str
) -> Mapping[str, SecretValue]:
    """All of them. Raises ControllerError that names those which can't be had, each with its source and the reason."""
    resolved = resolve_secrets(configuration, names, repository, commit)
    if resolved.problems:
        shown = [f"the secret `{name}`: {problem}" for name, problem in list(resolved.problems.items())[:_SHOWN]]
        more = len(resolved.problems) - _SHOWN
        raise ControllerError(
            "\n".join([*shown, *([f"and {more} more"] if more > 0 else [])]),
            "nothing was committed: put the values there, or correct `secrets` in the operator's configuration",
        )
    return resolved.values


class _Sources:
    def __init__(self, repository: Repository, commit: str) -> None:
        self._repository = repository
        self._commit = commit

    @cached_property
    def _sops(self) -> "SopsFiles":
        from gitopsd.daemon.secrets.sops import SopsFiles  # noqa: PLC0415 - 40 ms that only these secrets are worth

        return SopsFiles(self._repository, self._commit)

    def value(self, secret: SecretConfiguration | None) -> SecretValue:
        if secret is None:
            raise SecretError("the operator's configuration here doesn't say where its value is")
        if isinstance(secret.sops, str):
            place = f"`{secret.key}` in {secret.sops}"
            return _of_right_size(place, self._sops.value(secret.sops, str(secret.key)))
        return value_on_this_machine(secret)


def value_on_this_machine(source: OnThisMachine) -> SecretValue:
    """The value of a variable, a file or a credential. Raises SecretError."""
    if isinstance(source.env, str):
        place, value = f"the environment variable {source.env}", taken_variable(source.env)
    elif isinstance(source.credential, str):
        place, value = f"the credential {source.credential}", _read(credential_file(source.credential), closed=False)
    else:
        place, value = str(source.file), _read(Path(str(source.file)))
    if value is None:
        raise SecretError(f"{place} is not set")
    return _of_right_size(place, value)


def _of_right_size(place: str, value: SecretValue) -> SecretValue:
    size = len(value.reveal())
    if size == 0:
        raise SecretError(f"{place} is empty")
    if size > LARGEST:
        raise SecretError(f"{place} holds more than {LARGEST // 1024} KiB, which is too much for a secret")
    return value


def _read(path: Path, *, closed: bool = True) -> SecretValue:
    """The file's content without the newline at its end, which editors and `echo` put there.

    `closed`: a file that everyone can read is refused; the folder of credentials is closed already.
    """
    try:
        # without waiting for somebody to write, were it a pipe
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise SecretError(f"{path} is not a file")
            if closed and status.st_mode & stat.S_IROTH:
                raise SecretError(f"{path} can be read by everyone: `chmod o= {path}`")
            return SecretValue(file.read(LARGEST + 2).removesuffix(b"\n"))
    except OSError as error:
        raise SecretError(f"{path} can't be read: {error.strerror}") from None
