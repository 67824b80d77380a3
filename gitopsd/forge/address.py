"""Where the API of a forge is, from the address that people know."""

import re
from ipaddress import ip_address
from urllib.parse import quote, urlsplit

from gitopsd.forge.forge import ForgeKind

_DEFAULT = {"github": "https://github.com", "gitlab": "https://gitlab.com"}
_ROOT = {"github": "/api/v3", "gitlab": "/api/v4", "gitea": "/api/v1", "forgejo": "/api/v1"}
_PART = r"(?!\.{1,2}(?:/|$))[A-Za-z0-9_.][A-Za-z0-9_.-]*"
_PAIR = re.compile(f"{_PART}/{_PART}")
_GROUPS = re.compile(f"{_PART}(/{_PART})+")


def api_address(kind: ForgeKind, url: str) -> str:
    """The root of the API, without a slash at its end; `url` is that of the forge's front page, and may be empty.

    Raises ValueError, whose text says what is wrong with `url`: TLS is for every host but this machine itself.
    """
    if not url and kind not in _DEFAULT:
        raise ValueError("the address of the forge is missing")
    front = (url or _DEFAULT[kind]).rstrip("/")
    try:
        parts = urlsplit(front)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        raise ValueError("the address of the forge is not one of the web") from None
    if parts.scheme not in {"https", "http"} or not host or parts.query or parts.fragment or not front.isprintable():
        raise ValueError("the address of the forge is not one of the web")
    if parts.username is not None or parts.password is not None:
        raise ValueError("the address of the forge must not have a name or a password in it")
    if parts.scheme == "http" and not is_loopback(host):
        raise ValueError("the forge must be reached by https")
    if kind == "github" and host == "github.com":
        return "https://api.github.com"
    if kind == "github" and host.endswith(".ghe.com"):
        return f"https://api.{host}"
    return front + _ROOT[kind]


def is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_repository(kind: ForgeKind, name: str) -> bool:
    """OWNER/NAME; on GitLab groups may be in groups."""
    return (_GROUPS if kind == "gitlab" else _PAIR).fullmatch(name) is not None


def repository_path(kind: ForgeKind, name: str) -> str:
    """Where the API has this repository. Raises ValueError for a name that is none."""
    if not is_repository(kind, name):
        raise ValueError(f"the repository must be given as {'GROUP/NAME' if kind == 'gitlab' else 'OWNER/NAME'}")
    return f"/projects/{quote(name, safe='')}" if kind == "gitlab" else f"/repos/{name}"
