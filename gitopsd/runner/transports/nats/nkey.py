from __future__ import annotations

import base64
import binascii

_SEED, _USER = 18 << 3, 20 << 3
"""What a key's bytes begin with; base32 shows them as `S` and `U`."""
_USER_SEED = bytes((_SEED | _USER >> 5, (_USER & 31) << 3))
_KINDS = {"SA": "an account", "SC": "a cluster", "SN": "a server", "SO": "an operator"}


class NkeyError(Exception):
    """Says what is wrong with a seed, to go on from "the seed …"; holds nothing of it."""


class UserKey:
    """The Ed25519 key that a user's seed stands for, as NATS writes it: base32 of kind, key and CRC-16."""

    def __init__(self, seed: str) -> None:
        """Raises NkeyError."""
        from ecdsa import eddsa  # noqa: PLC0415 -- 0.1 s of each start, which only those with an nkey should take

        self._key = eddsa.PrivateKey(eddsa.generator_ed25519, _secret_of(seed))
        self.public = _text(bytes((_USER,)) + bytes(self._key.public_key().public_key()))
        """`U…`, what the servers know the user by."""

    def sign(self, nonce: str) -> bytes:
        """What the servers ask for, as they want it."""
        return base64.urlsafe_b64encode(self._key.sign(nonce.encode())).rstrip(b"=")


def _secret_of(seed: str) -> bytes:
    try:
        raw = base64.b32decode(seed + "=" * (-len(seed) % 8))
    except ValueError:
        raw = b""
    if len(raw) != 36 or raw[-2:] != _checksum(raw[:-2]):
        raise NkeyError("is not as it was made, its checksum is wrong; copy it again")
    if raw[:2] != _USER_SEED:
        kind = _KINDS.get(seed[:2], "something else")
        raise NkeyError(f"is that of {kind}; take a user's, which begins with SU")
    return raw[2:-2]


def _text(raw: bytes) -> str:
    return base64.b32encode(raw + _checksum(raw)).decode().rstrip("=")


def _checksum(raw: bytes) -> bytes:
    return binascii.crc_hqx(raw, 0).to_bytes(2, "little")
