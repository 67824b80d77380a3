from __future__ import annotations

import base64
import json
import re
from datetime import datetime, timezone
from typing import Any, NamedTuple

from gitopsd.runner.errors import JobError
from gitopsd.runner.transports.nats.nkey import NkeyError, UserKey

FORMS = "write USER:PASSWORD, a token, a user's seed (SU…) or a whole .creds file"

_PART = r"-{{3,}}BEGIN {}-{{3,}}\s+([\w.=-]+?)\s+-{{3,}}END"
_JWT, _SEED = (re.compile(_PART.format(what)) for what in ("NATS USER JWT", "USER NKEY SEED"))
_BARE_SEED = re.compile(r"SU[A-Z2-7]{30,}|S[ACNO][A-Z2-7]{56}")
"""A user's that was cut off too, so that it isn't sent to anybody as a token."""


class Login(NamedTuple):
    """How the servers are told who comes."""

    options: dict[str, Any]
    """For the client's `connect`; whatever is secret is only here."""
    public_key: str = ""
    """Who comes, where a key says it without a JWT."""
    secret: str = ""
    expires: float | None = None
    """When the JWT does, in seconds since the epoch."""

    def remark(self, now: float) -> str:
        """What the servers, which refuse the login, don't say about it."""
        if self.expires is None or now < self.expires:
            return ""
        day = datetime.fromtimestamp(self.expires, timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
        return f" (the JWT in the secret {self.secret} expired on {day}; put a new .creds file into it, and apply)"


def login_of(secret: str, text: str) -> Login:
    """What the text of a secret says, by its form. Raises JobError, which names the secret and holds nothing of it."""
    if "-----BEGIN " in text:
        return _creds(secret, text)
    if not text or "\n" in text:
        raise JobError(f"the secret {secret} must be one line, or a .creds file; {FORMS}")
    if _BARE_SEED.fullmatch(text):
        key = _key(secret, text)
        return Login({"signature_cb": key.sign}, key.public, secret)
    user, colon, password = text.partition(":")
    return Login({"user": user, "password": password} if colon else {"token": text}, secret=secret)


def _creds(secret: str, text: str) -> Login:
    """Of a .creds file: a user's JWT, which says what the user may, and the seed of that user."""
    jwt, seed = _JWT.search(text), _SEED.search(text)
    if not jwt or not seed:
        missing = "NATS USER JWT" if not jwt else "USER NKEY SEED"
        raise JobError(f"the secret {secret} has no {missing}, from its BEGIN to its END; copy the whole .creds file")
    key = _key(secret, seed[1])
    user, expires = _claims(secret, jwt[1])
    if user != key.public:
        raise JobError(
            f"the secret {secret} has the JWT of one user and the seed of another; make its .creds file anew, as with "
            "`nsc generate creds`"
        )
    token = jwt[1].encode()
    return Login({"signature_cb": key.sign, "user_jwt_cb": lambda: token}, secret=secret, expires=expires)


def _key(secret: str, seed: str) -> UserKey:
    try:
        return UserKey(seed)
    except NkeyError as error:
        raise JobError(f"the secret {secret} can't be used: the seed in it {error}") from None


def _claims(secret: str, jwt: str) -> tuple[str, float | None]:
    """Whose it is, and when it expires. Whether it is genuine is for the servers to say."""
    try:
        _, payload, _ = jwt.split(".")
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return str(claims["sub"]), float(claims["exp"]) if claims.get("exp") else None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise JobError(
            f"the secret {secret} has a JWT that can't be read, a part is missing; copy the whole .creds file"
        ) from None
