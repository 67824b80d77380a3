"""Files encrypted with SOPS for recipients of age: decrypted here, and believed only if their MAC is right.

The format is that of getsops/sops 3.x, stores/yaml and aes/cipher.go: each value is `ENC[AES256_GCM,…]` under one data
key, with the way to it as additional data; `sops.age` has that key for each recipient; `sops.mac` is the SHA-512 of all
values in their order, which keeps whoever doesn't know the data key from moving, removing or adding any.
"""

import hmac
import os
import re
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from hashlib import sha256, sha512
from pathlib import Path
from typing import Any

import pyrage
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gitopsd.compiler.yaml.reader import read_yaml
from gitopsd.daemon.configuration.configuration import IDENTITY_VARIABLE
from gitopsd.daemon.secrets.environment import taken_variable
from gitopsd.daemon.secrets.errors import SecretError
from gitopsd.model.secret import SecretValue
from gitopsd.repo.artifacts import read_artifact_commit, read_file
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository

_IDENTITY = "AGE-SECRET-KEY-1"
_ENCRYPTED = re.compile(r"ENC\[AES256_GCM,data:([^,\]]*),iv:([^,\]]+),tag:([^,\]]+),type:([a-z]+)\]")
_LARGEST_FILE = 4 * 1024 * 1024
_TEXTS = ("str", "bytes", "int", "float")
_ONLY_ENCRYPTED_START = sha256(b"sops").digest()  # MACOnlyEncryptedInitialization of sops.go


@dataclass(frozen=True, slots=True, kw_only=True)
class _Leaf:
    """One value; `type` is empty where it wasn't encrypted."""

    way: tuple[str, ...]
    value: bytes = field(repr=False)
    type: str


class SopsFiles:
    """Files of one commit, or of this machine where the path is absolute; each is decrypted once."""

    def __init__(self, repository: Repository, commit: str) -> None:
        self._repository = repository
        self._commit = commit
        self._decrypted: dict[str, list[_Leaf]] = {}

    def value(self, path: str, key: str) -> SecretValue:
        """The value at `key`, its parts joined by dots. Raises SecretError."""
        if path not in self._decrypted:
            self._decrypted[path] = decrypt(path, self._read(path), _identities())
        found = [leaf for leaf in self._decrypted[path] if ".".join(leaf.way) == key and leaf.type != "comment"]
        if len(found) != 1:
            raise SecretError(f"{path} has {'no' if not found else 'more than one'} value `{key}`")
        (leaf,) = found
        if not leaf.type:
            raise SecretError(f"{path}: the value `{key}` is not encrypted: whoever sees the file knows it")
        if leaf.type not in _TEXTS:
            raise SecretError(f"{path}: the value `{key}` is neither a text nor a number")
        return SecretValue(leaf.value)

    def _read(self, path: str) -> bytes:
        if path.startswith("/"):
            try:
                with Path(path).open("rb") as file:
                    return file.read(_LARGEST_FILE + 1)
            except OSError as error:
                raise SecretError(f"{path} can't be read: {error.strerror}") from None
        try:
            content = read_file(self._repository, read_artifact_commit(self._repository, self._commit).tree, path)
        except RepositoryError as error:
            raise SecretError(f"{path} can't be read: {error.message}") from None
        if content is None:
            raise SecretError(f"{path} is not a file of commit {self._commit[:12]}: commit it")
        return content


def decrypt(path: str, content: bytes, identities: list[pyrage.x25519.Identity]) -> list[_Leaf]:
    """Every value of the file in its order, once the MAC says that nobody but a holder of the data key wrote them.

    Raises SecretError, which quotes nothing of the content.
    """
    document, mistakes = read_yaml(path, content) if len(content) <= _LARGEST_FILE else (None, [])
    value = document.value if document is not None and not mistakes else None
    metadata = value.get("sops") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(metadata, dict):
        raise SecretError(f"{path} is not a YAML or JSON file encrypted with SOPS")
    cipher = AESGCM(_data_key(path, metadata, identities))
    leaves = list(_leaves(path, {key: part for key, part in value.items() if key != "sops"}, (), cipher))
    _check_mac(path, metadata, leaves, cipher)
    return leaves


def _data_key(path: str, metadata: dict[str, Any], identities: list[pyrage.x25519.Identity]) -> bytes:
    recipients = metadata.get("age")
    if metadata.get("key_groups") or not isinstance(recipients, list) or not recipients:
        raise SecretError(f"{path} isn't encrypted for recipients of age, which is what gitopsd can decrypt")
    if not identities:
        raise SecretError(
            f"{path} needs an identity of age: put it into {_identity_file()}, or name its file in SOPS_AGE_KEY_FILE"
        )
    for recipient in recipients:
        encrypted = recipient.get("enc") if isinstance(recipient, dict) else None
        try:
            key: bytes = pyrage.decrypt(str(encrypted).encode(), identities)
        except pyrage.DecryptError:
            continue
        if len(key) == 32:
            return key
    raise SecretError(f"{path} is encrypted for none of the identities of age that are here")


def _leaves(path: str, value: Any, way: tuple[str, ...], cipher: AESGCM) -> Iterator[_Leaf]:
    match value:
        case dict():
            for key, part in value.items():
                yield from _leaves(path, part, (*way, key), cipher)
        case list():  # its items share its way
            for part in value:
                yield from _leaves(path, part, way, cipher)
        case None:
            return
        case str() if encrypted := _ENCRYPTED.fullmatch(value):
            additional = "".join(f"{key}:" for key in way)
            yield _Leaf(way=way, value=_decrypted(path, encrypted, additional, cipher), type=encrypted[4])
        case _:
            yield _Leaf(way=way, value=_plain(value), type="")


def _decrypted(path: str, encrypted: re.Match[str], additional: str, cipher: AESGCM) -> bytes:
    try:
        data, vector, tag = (b64decode(encrypted[part], validate=True) for part in (1, 2, 3))
        return cipher.decrypt(vector, data + tag, additional.encode())
    except (InvalidTag, ValueError):
        raise SecretError(f"{path} was changed after it was encrypted: a value does not decrypt") from None


def _plain(value: object) -> bytes:
    """A value that was left unencrypted, as sops hashes it (ToBytes of sops.go)."""
    if isinstance(value, float):
        return f"{Decimal(repr(value)).normalize():f}".encode()
    return str(value).encode()


def _check_mac(path: str, metadata: dict[str, Any], leaves: list[_Leaf], cipher: AESGCM) -> None:
    only_encrypted = metadata.get("mac_only_encrypted") is True
    digest = sha512(_ONLY_ENCRYPTED_START if only_encrypted else b"")
    for leaf in leaves:
        if leaf.type != "comment" and (leaf.type or not only_encrypted):
            digest.update(leaf.value)
    sealed = _ENCRYPTED.fullmatch(str(metadata.get("mac")))
    if sealed is None:
        raise SecretError(f"{path} has no MAC: encrypt it with `sops` again")
    expected = _decrypted(path, sealed, str(metadata.get("lastmodified")), cipher)
    if not hmac.compare_digest(expected, digest.hexdigest().upper().encode()):
        raise SecretError(
            f"{path} was changed after it was encrypted: its MAC is not that of its values; take it from before that"
        )


def _identities() -> list[pyrage.x25519.Identity]:
    """The private keys of age, from where `sops` takes them too."""
    given = taken_variable(IDENTITY_VARIABLE)
    if given is not None:
        text, place = given.reveal().decode("utf-8", "replace"), IDENTITY_VARIABLE
    else:
        path = _identity_file()
        try:
            text, place = path.read_text(encoding="utf-8"), str(path)
        except FileNotFoundError:
            return []
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise SecretError(f"the identities of age in {path} can't be read: {reason}") from None
    try:
        lines = [line.strip() for line in text.splitlines()]
        return [pyrage.x25519.Identity.from_str(line) for line in lines if line.startswith(_IDENTITY)]
    except pyrage.IdentityError:
        raise SecretError(f"{place} holds an identity of age that is damaged") from None


def _identity_file() -> Path:
    named = os.environ.get("SOPS_AGE_KEY_FILE", "")
    base = os.environ.get("XDG_CONFIG_HOME", "")
    folder = Path(base) if base.startswith("/") else Path.home() / ".config"
    return Path(named) if named else folder / "sops/age/keys.txt"
