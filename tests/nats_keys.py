"""The keys, JWTs and .creds files of NATS, made by OpenSSL's Ed25519 as `nsc` would make them."""

from __future__ import annotations

import base64
import binascii
import json
import time
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

_KINDS = {"A": 0, "O": 14 << 3, "U": 20 << 3}
_SEED = 18 << 3
_UNLIMITED = {"subs": -1, "data": -1, "payload": -1}
_ACCOUNT = {**_UNLIMITED, "imports": -1, "exports": -1, "wildcards": True, "conn": -1, "leaf": -1}
_STORAGE = {"mem_storage": -1, "disk_storage": -1, "streams": -1, "consumer": -1}
CREDS = """\
-----BEGIN NATS USER JWT-----
{jwt}
------END NATS USER JWT------

************************* IMPORTANT *************************
NKEY Seed printed below can be used to sign and prove identity.
NKEYs are sensitive and should be treated as secrets.

-----BEGIN USER NKEY SEED-----
{seed}
------END USER NKEY SEED------

*************************************************************
"""


class Nkey:
    """A new key of a kind: `O` for an operator, `A` for an account, `U` for a user."""

    def __init__(self, kind: str) -> None:
        self._key = Ed25519PrivateKey.generate()
        number = _KINDS[kind]
        secret = self._key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        self.seed = _text(bytes((_SEED | number >> 5, (number & 31) << 3)) + secret)
        self.public = _text(bytes((number,)) + self._key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def sign(self, text: str) -> str:
        return _base64(self._key.sign(text.encode()))

    def vouch(self, subject: Nkey, nats: dict[str, Any], *, expires: float | None = None) -> str:
        """A JWT about another key."""
        claims = {"jti": subject.public, "iat": int(time.time()), "iss": self.public, "sub": subject.public}
        claims |= {"name": subject.public[:6], "nats": {"version": 2, **nats}}
        if expires is not None:
            claims["exp"] = int(expires)
        header = {"typ": "JWT", "alg": "ed25519-nkey"}
        signed = ".".join(_base64(json.dumps(part).encode()) for part in (header, claims))
        return f"{signed}.{self.sign(signed)}"


class Decentralised:
    """An operator with an account whose users JWTs let in; the server knows no user."""

    def __init__(self) -> None:
        self._operator, self.account, self._system = Nkey("O"), Nkey("A"), Nkey("A")

    def configuration(self) -> str:
        """What a server is told."""
        operator = self._operator.vouch(self._operator, {"type": "operator"})
        limits = {self.account: {**_ACCOUNT, **_STORAGE}, self._system: _ACCOUNT}
        accounts = "\n".join(
            f"{key.public}: {self._operator.vouch(key, {'type': 'account', 'limits': limit})}"
            for key, limit in limits.items()
        )
        return (
            f"operator: {operator}\nresolver: MEMORY\nsystem_account: {self._system.public}\n"
            f"resolver_preload: {{\n{accounts}\n}}\n"
        )

    def creds(self, *, user: Nkey | None = None, expires: float | None = None) -> str:
        """The file of a user who may do what a job has to, and no more."""
        user = user or Nkey("U")
        may = {"pub": {"allow": ["gitopsd.>", "$JS.API.>", "$JS.ACK.>"]}, "sub": {"allow": ["_INBOX.>"]}}
        jwt = self.account.vouch(user, {"type": "user", **_UNLIMITED, **may}, expires=expires)
        return CREDS.format(jwt=jwt, seed=user.seed)


def _text(raw: bytes) -> str:
    return base64.b32encode(raw + binascii.crc_hqx(raw, 0).to_bytes(2, "little")).decode().rstrip("=")


def _base64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")
