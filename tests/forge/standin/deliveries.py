"""Webhooks as each forge sends them: its headers, its signature, and the part of the body that anybody reads."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from hashlib import sha256
from itertools import count

import httpx

from gitopsd.forge.forge import ForgeKind
from tests.forge.standin.records import PullRecord

_numbers = count(1)
_Event = tuple[str, dict[str, object]]


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """As it was sent; `status` is the answer's, 0 where there was none."""

    headers: Mapping[str, str]
    body: bytes
    status: int


@dataclass(kw_only=True)
class Hook:
    kind: ForgeKind
    url: str
    secret: str
    deliveries: list[Delivery] = field(default_factory=list)

    def deliver(self, name: str, what: str, *, pull: PullRecord | None, branch: str, commit: str) -> None:
        event, body = _event(self.kind, name, what, pull, branch=branch, commit=commit)
        self.send(event, json.dumps(body).encode())

    def send(self, event: str, body: bytes) -> Delivery:
        """One delivery, signed; forges don't try again, and no more does this."""
        headers = {"content-type": "application/json", **signed(self.kind, event, body, self.secret)}
        try:
            status = _link().post(self.url, content=body, headers=headers).status_code
        except httpx.HTTPError:
            status = 0
        self.deliveries.append(Delivery(headers=headers, body=body, status=status))
        return self.deliveries[-1]

    def again(self, delivery: Delivery) -> int:
        """The very same once more, as whoever overheard it could; the answer's status."""
        return _link().post(self.url, content=delivery.body, headers=delivery.headers).status_code


@cache
def _link() -> httpx.Client:
    """One for all, since each costs the reading of all certificates."""
    return httpx.Client(timeout=10, trust_env=False)


def signed(kind: ForgeKind, event: str, body: bytes, secret: str) -> dict[str, str]:
    """The headers that say what it is and prove whose it is."""
    digest = hmac.new(secret.encode(), body, sha256).hexdigest()
    number = f"00000000-0000-4000-8000-{next(_numbers):012d}"
    match kind:
        case "github":
            return {
                "x-github-event": event,
                "x-github-delivery": number,
                "x-hub-signature-256": f"sha256={digest}",
            }
        case "gitlab":
            return {"x-gitlab-event": event, "x-gitlab-event-uuid": number, "x-gitlab-token": secret}
        case "gitea" | "forgejo":
            extra = {"x-forgejo-event": event, "x-forgejo-signature": digest} if kind == "forgejo" else {}
            return {
                "x-gitea-event": event,
                "x-gitea-delivery": number,
                "x-gitea-signature": digest,
                "x-github-event": event,
                "x-hub-signature-256": f"sha256={digest}",
                **extra,
            }


def _event(kind: ForgeKind, name: str, what: str, pull: PullRecord | None, *, branch: str, commit: str) -> _Event:
    if kind == "gitlab":
        return _gitlab_event(name, what, pull, branch=branch, commit=commit)
    repository = {"full_name": name}
    if pull is None:
        return "push", {"ref": f"refs/heads/{branch}", "after": commit, "repository": repository}
    about = {"number": pull.number, "merged": pull.state == "merged", "head": {"sha": pull.head}}
    if what == "reviewed":
        event = "pull_request_review" if kind == "github" else "pull_request_approved"
        return event, {"action": "submitted", "pull_request": about, "repository": repository}
    action = "synchronized" if what == "synchronize" and kind != "github" else what
    body = {"action": action, "number": pull.number, "pull_request": about, "repository": repository}
    return "pull_request", body


def _gitlab_event(name: str, what: str, pull: PullRecord | None, *, branch: str, commit: str) -> _Event:
    project = {"path_with_namespace": name}
    if pull is None:
        ref = f"refs/heads/{branch}"
        return "Push Hook", {"object_kind": "push", "ref": ref, "after": commit, "project": project}
    action = {"opened": "open", "synchronize": "update", "reviewed": "approved"}.get(what, "close")
    about = {"iid": pull.number, "action": "merge" if pull.state == "merged" else action}
    return "Merge Request Hook", {"object_kind": "merge_request", "project": project, "object_attributes": about}
