"""What the service needs of the machine around it, by its configuration."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UnsetType

from gitopsd.daemon.configuration.configuration import Configuration, SecretConfiguration, secret_sources
from gitopsd.daemon.secrets.signing import listed_controllers, listed_signers
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.location import looks_like_url


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """`folders` are written to: that of a repository on this machine, and of a control socket elsewhere.

    `files` are read. `credentials` are names. `own_key`: no key to the workers is named, so it is the account's.
    """

    folders: tuple[Path, ...] = ()
    files: tuple[Path, ...] = ()
    credentials: tuple[str, ...] = ()
    own_key: bool = False


def needs_of(configuration: Configuration) -> Needs:
    """Raises RepositoryError where there is no such repository."""
    location = configuration.repository
    folders = [repository_folder(location)] if location and not looks_like_url(location) else []
    control = configuration.listen.control
    return Needs(
        folders=(*folders, *((Path(control).parent,) if control else ())),
        files=tuple(_files(configuration)),
        credentials=tuple(sorted(set(_credentials(msgspec.to_builtins(configuration))))),
        own_key=not configuration.ssh.identity,
    )


def repository_folder(location: str) -> Path:
    """All of a repository on this machine: its work tree, if it has one.

    Only looked at and not opened: it is another account's than root's, and Git opens none of those.
    """
    path = Path(location)
    if not path.is_absolute():
        raise RepositoryError(f"`repository: {location}` is not an absolute path", "write it from `/` on")
    for folder in (path.resolve(), path.with_name(f"{path.name}.git").resolve()):  # Git finds fleet.git by `fleet` too
        if (folder / ".git").exists() or ((folder / "HEAD").is_file() and (folder / "objects").is_dir()):
            return folder
    raise RepositoryError(
        f"`repository: {location}`: there is no repository",
        f"make one: `git init --bare --initial-branch=main {path}`, as the account that people push as",
    )


def credential_source(name: str, folder: Path) -> Path | None:
    """The file that a credential is loaded from, encrypted or not; None where there is none."""
    return next((path for path in (folder / f"{name}.cred", folder / name) if path.is_file()), None)


def _files(configuration: Configuration) -> Iterator[Path]:
    identity = configuration.ssh.identity
    if isinstance(identity, str) and identity:
        yield Path(identity)
    if not isinstance(configuration.signing, UnsetType) and isinstance(configuration.signing.key, str):
        yield Path(configuration.signing.key)
    yield from listed_signers(configuration) or ()
    yield from listed_controllers(configuration) or ()
    for source in secret_sources(configuration):
        if isinstance(source.file, str):
            yield Path(source.file)
        if isinstance(source, SecretConfiguration) and isinstance(source.sops, str) and source.sops.startswith("/"):
            yield Path(source.sops)


def _credentials(value: Any) -> Iterator[str]:
    """All of `{credential: NAME}`, wherever in the configuration that is."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if key == "credential" and isinstance(item, str):
                yield item
            else:
                yield from _credentials(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _credentials(item)
