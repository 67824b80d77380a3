"""The key that signs what gitopsd commits, and the lists of those whose signatures count."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from msgspec import UnsetType

from gitopsd.daemon.configuration.configuration import Configuration
from gitopsd.daemon.secrets.credential import credential_file
from gitopsd.daemon.secrets.errors import SecretError
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.ssh_signature import sign


def signer_of(configuration: Configuration) -> Callable[[bytes], bytes] | None:
    """None where nothing is signed. What keeps the key from being used is told when something is to be signed."""
    if isinstance(configuration.signing, UnsetType):
        return None
    key = configuration.signing.key
    return partial(sign, Path(key)) if isinstance(key, str) else partial(_sign_with_credential, key.credential)


def listed_signers(configuration: Configuration) -> tuple[Path, ...] | None:
    """The lists of `policy.signers`; None where versions need no signature."""
    policy = configuration.policy
    return None if isinstance(policy, UnsetType) else _paths(policy.signers)


def listed_controllers(configuration: Configuration) -> tuple[Path, ...] | None:
    """The lists of `policy.controllers`; None where there are none."""
    policy = configuration.policy
    return None if isinstance(policy, UnsetType) else _paths(policy.controllers)


def _paths(files: tuple[str, ...] | UnsetType) -> tuple[Path, ...] | None:
    return None if isinstance(files, UnsetType) else tuple(map(Path, files))


def _sign_with_credential(name: str, data: bytes) -> bytes:
    try:
        return sign(credential_file(name), data)
    except SecretError as error:
        raise RepositoryError(
            f"nothing was committed: it can't be signed: {error.message}", "or name a file as `signing.key`"
        ) from None
