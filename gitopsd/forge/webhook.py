"""Deliveries of webhooks: whose they are, before anything of them is read, and what they hint at.

A delivery is a hint and nothing more: nothing in it is taken for true, so one that is late, out of order, sent again or
left out does no harm. What is so is asked of the forge's API and of Git.
"""

import hmac
from collections.abc import Mapping
from enum import Enum
from hashlib import sha256

import msgspec

from gitopsd.forge.forge import ForgeKind
from gitopsd.model.secret import SecretValue

LARGEST = 1024 * 1024
"""Bytes. Forges send more for a push of thousands of commits; that one is found by looking."""

_SIGNATURES: Mapping[ForgeKind, tuple[str, str]] = {
    "github": ("x-hub-signature-256", "sha256="),
    "gitea": ("x-gitea-signature", ""),
    "forgejo": ("x-forgejo-signature", ""),
}
_EVENTS: Mapping[ForgeKind, str] = {
    "github": "x-github-event",
    "gitlab": "x-gitlab-event",
    "gitea": "x-gitea-event",
    "forgejo": "x-forgejo-event",
}


class Hint(Enum):
    """Where looking is worth it."""

    BRANCHES = "branches"
    PULL_REQUESTS = "pull requests"


_PUSHED = frozenset({Hint.BRANCHES, Hint.PULL_REQUESTS})  # a base that moved concerns its pull requests
_NOTHING: frozenset[Hint] = frozenset()
_HINTS: Mapping[str, frozenset[Hint]] = {
    "push": _PUSHED,
    "pull_request": _PUSHED,  # a merge is a push as well, whose own delivery may be lost
    "pull_request_review": frozenset({Hint.PULL_REQUESTS}),
    "pull_request_sync": frozenset({Hint.PULL_REQUESTS}),
    "pull_request_approved": frozenset({Hint.PULL_REQUESTS}),
    "pull_request_rejected": frozenset({Hint.PULL_REQUESTS}),
    "pull_request_review_approved": frozenset({Hint.PULL_REQUESTS}),
    "pull_request_review_rejected": frozenset({Hint.PULL_REQUESTS}),
    "Push Hook": _PUSHED,
    "Tag Push Hook": _PUSHED,
    "Merge Request Hook": _PUSHED,
}


class NotUnderstoodError(Exception):
    """It is signed, and yet not what this forge sends. The text says what is wrong."""


class _Named(msgspec.Struct):
    full_name: str = ""
    path_with_namespace: str = ""


class _Body(msgspec.Struct):
    """What is read of a delivery, whatever else it has."""

    repository: _Named | None = None
    project: _Named | None = None


def is_named(kind: ForgeKind, headers: Mapping[str, str]) -> bool:
    """Whether there is anything at all that could prove whose it is; if not, its body needn't be read."""
    return (("x-gitlab-token",) if kind == "gitlab" else _SIGNATURES[kind])[0] in headers


def is_signed(kind: ForgeKind, headers: Mapping[str, str], body: bytes, secret: SecretValue) -> bool:
    """Whether whoever sent it knows the secret; compared in constant time, on the bytes as they came.

    GitLab sends the secret itself, which says nothing of the body: listen behind TLS.
    """
    if kind == "gitlab":
        return hmac.compare_digest(headers.get("x-gitlab-token", "").encode("latin-1", "replace"), secret.reveal())
    header, prefix = _SIGNATURES[kind]
    given = headers.get(header, "").encode("latin-1", "replace")
    return hmac.compare_digest(given, prefix.encode() + hmac.new(secret.reveal(), body, sha256).hexdigest().encode())


def hints(kind: ForgeKind, headers: Mapping[str, str], body: bytes, repository: str) -> frozenset[Hint]:
    """What a signed delivery makes worth looking at; nothing for other events and other repositories.

    Raises NotUnderstoodError.
    """
    found = _HINTS.get(headers.get(_EVENTS[kind], ""), _NOTHING)
    if not found:
        return _NOTHING
    try:
        read = msgspec.json.decode(body, type=_Body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise NotUnderstoodError(f"its body is not that of an event: {str(error)[:120]}") from None
    where = read.project.path_with_namespace if read.project else ""
    name = where if kind == "gitlab" else read.repository.full_name if read.repository else ""
    return found if name.lower() == repository.lower() else _NOTHING
