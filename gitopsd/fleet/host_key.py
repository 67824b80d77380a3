"""Host keys pinned in the fleet file: the only ones that are ever accepted."""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING

import msgspec
import paramiko

if TYPE_CHECKING:
    from paramiko import PKey, SSHClient, Transport

    from gitopsd.fleet.target import Target


class HostKey(msgspec.Struct, frozen=True):
    """A public key as in the fleet file: `ssh-ed25519 AAAA…`, a comment allowed."""

    kind: str
    blob: bytes

    @property
    def fingerprint(self) -> str:
        """As `ssh-keygen -lf` prints it: `SHA256:…`."""
        return "SHA256:" + base64.b64encode(hashlib.sha256(self.blob).digest()).decode().rstrip("=")

    @property
    def line(self) -> str:
        return f"{self.kind} {base64.b64encode(self.blob).decode()}"


class HostKeyRefused(paramiko.SSHException):
    """The offered key is not the pinned one; raised through Paramiko before anything but the key exchange was sent."""

    def __init__(self, offered: HostKey) -> None:
        super().__init__(f"host key {offered.fingerprint} refused")
        self.offered = offered


class PinnedKeyPolicy(paramiko.MissingHostKeyPolicy):
    """A RejectPolicy with one exception: Paramiko is given no known hosts, so it asks about each key it meets."""

    def __init__(self, pinned: HostKey | None) -> None:
        self._pinned = pinned
        self.accepted = False

    def missing_host_key(self, client: SSHClient, hostname: str, key: PKey) -> None:  # noqa: ARG002 -- Paramiko's
        offered = HostKey(key.get_name(), key.asbytes())
        if self._pinned is None or offered.blob != self._pinned.blob:
            raise HostKeyRefused(offered)
        self.accepted = True


def parse_host_key(text: str) -> HostKey | None:
    """None when text is not a public key."""
    parts = text.split(maxsplit=2)
    if len(parts) < 2:
        return None
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except (binascii.Error, ValueError):
        return None
    # a key begins with the length and the name of its own kind (RFC 4253, section 6.6)
    name = parts[0].encode()
    if not blob.startswith(len(name).to_bytes(4, "big") + name):
        return None
    return HostKey(parts[0], blob)


def prefer(transport: Transport, pinned: HostKey | None) -> None:
    """Ask the server for the pinned kind of key first: it may have several, and the first in common is used."""
    if pinned is None:
        return
    options = transport.get_security_options()
    # one RSA key serves several signature algorithms
    names = ("rsa-sha2-512", "rsa-sha2-256") if pinned.kind == "ssh-rsa" else (pinned.kind,)
    known = list(options.key_types)
    first = [name for name in names if name in known]
    options.key_types = first + [name for name in known if name not in first]


def prefer_fast(transport: Transport) -> None:
    """Ask for curve25519 and AES-GCM first: other key exchanges take ten times the CPU, other ciphers a fifth more.

    A server that has neither is offered the rest.
    """
    options = transport.get_security_options()
    options.kex = sorted(options.kex, key=lambda name: not name.startswith("curve25519-"))
    options.ciphers = sorted(options.ciphers, key=lambda name: not name.startswith("aes128-gcm"))


def refusal_message(target: Target, where: str, pinned: HostKey | None, offered: HostKey) -> str:
    """What was expected, what was offered, and how to put things right."""
    kind = offered.kind.removeprefix("ssh-").split("-")[0]
    check = f"`ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub` on the machine itself"
    line = f'host_key: "{offered.line}"'
    if pinned is None:
        return (
            f"{target.name}: the fleet file has no host key for it, so nothing was sent. {where} offers "
            f"{offered.kind} {offered.fingerprint}: compare that with {check}, then write {line} for it there"
        )
    return (
        f"{target.name}: the host key of {where} is not the one in the fleet file, so nothing was sent. Expected "
        f"{pinned.kind} {pinned.fingerprint}, offered {offered.kind} {offered.fingerprint}. Was the machine "
        f"reinstalled? Then compare with {check} and write {line} for it in the fleet file. "
        "If not, somebody may be answering in its place"
    )
