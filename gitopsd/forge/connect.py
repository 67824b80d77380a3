"""From what a configuration says to the forge itself."""

from typing import assert_never

from gitopsd.forge.address import api_address, repository_path
from gitopsd.forge.client import Client, Destination, Heard, Pace, Token, no_matter
from gitopsd.forge.forge import Forge, ForgeKind
from gitopsd.forge.gitea import Gitea
from gitopsd.forge.github import BETWEEN_WRITES, HEADERS, GitHub
from gitopsd.forge.gitlab import GitLab

NAMES = {"github": "GitHub", "gitlab": "GitLab", "gitea": "Gitea", "forgejo": "Forgejo"}


def connect(
    kind: ForgeKind, repository: str, url: str, token: Token, pace: Pace | None = None, *, heard: Heard = no_matter
) -> Forge:
    """The repository on that forge; nothing is asked yet. Raises ValueError for an address or a name that is none."""
    address, path, name = api_address(kind, url), repository_path(kind, repository), NAMES[kind]
    match kind:
        case "github":
            root = "/v3" if address.endswith("/api/v3") else ""
            to = Destination(
                address=address.removesuffix(root), name=name, token=token, authorisation=_bearer, headers=HEADERS,
                heard=heard,
            )  # fmt: skip
            return GitHub(Client(to, pace or Pace(between_writes=BETWEEN_WRITES)), repository, root)
        case "gitlab":
            to = Destination(address=address, name=name, token=token, authorisation=_bearer, heard=heard)
            return GitLab(Client(to, pace or Pace()), path)
        case "gitea" | "forgejo":
            to = Destination(address=address, name=name, token=token, authorisation=_token, heard=heard)
            return Gitea(Client(to, pace or Pace()), path, kind)
        case _:
            assert_never(kind)


def _bearer(token: str) -> tuple[str, str]:
    return "authorization", f"Bearer {token}"


def _token(token: str) -> tuple[str, str]:
    return "authorization", f"token {token}"
