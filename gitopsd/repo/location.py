"""Where a repository is: a path or a URL, and the one canonical identity behind all spellings of it."""

import re
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from gitopsd.repo.errors import RepositoryError

_DEFAULT_PORTS = {"ssh": 22, "https": 443, "http": 80}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*(?:::|://)")
_SCP_FORM = re.compile(
    r"(?:(?P<user>[^@/:\s]+)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^@/:\s\[\]]+):(?P<path>(?!//).+)", re.DOTALL
)
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


@dataclass(frozen=True, slots=True, kw_only=True)
class RemoteUrl:
    """A URL that Git can fetch from.

    `canonical` is the same for every spelling of one repository and carries no password. `public` is the URL as given
    but without credentials, fit for a configuration file; `secret` is the URL as given, for Git's environment alone.
    Printing the value shows `canonical`.
    """

    canonical: str
    public: str = field(repr=False)
    secret: str = field(repr=False)

    def __str__(self) -> str:
        return self.canonical


def looks_like_url(location: str) -> bool:
    """Whether `location` names a repository elsewhere: `scheme://…`, or `[user@]host:path` as scp has it."""
    if _SCHEME.match(location):
        return True
    # As Git decides: a slash before the first colon makes it a path, and so does an existing file of that name.
    return _SCP_FORM.fullmatch(location) is not None and not Path(location).exists()


def parse_url(location: str) -> RemoteUrl:
    """The URL in `location`, checked.

    Allowed: ssh, https, file, the scp form, and http to this machine only. Raises RepositoryError for anything else:
    `ext::` would run commands, `git://` and `http://` let anyone on the way change what is deployed.
    """
    shown = _shown(location)
    if any(character.isspace() or not character.isprintable() for character in location):
        raise RepositoryError(f"the URL {shown!r} has white space or control characters in it")
    if not _SCHEME.match(location):
        scp = _SCP_FORM.fullmatch(location)
        if scp is None:
            raise RepositoryError(f"{shown!r} is not a URL", "write ssh://[user@]host/path or https://host/path")
        return RemoteUrl(canonical=_canonical_scp(scp, shown), public=location, secret=location)
    scheme = location.split(":", 1)[0].lower()
    if location[len(scheme) :].startswith("::") or scheme not in {"ssh", "https", "http", "file"}:
        raise RepositoryError(
            f"{shown!r}: the protocol {scheme!r} is not used", "use ssh://, https:// or file://, or a path"
        )
    try:
        parts = urlsplit(location)
        host, port, user = _checked_host(parts.hostname or "", shown), parts.port, parts.username or ""
    except ValueError as error:
        raise RepositoryError(f"{shown!r} is not a URL: {error}") from None
    if parts.query or parts.fragment:
        raise RepositoryError(f"{shown!r}: the URL of a repository has no ? or # part")
    if scheme == "file":
        if host not in {"", "localhost"}:
            raise RepositoryError(f"{shown!r}: a file:// URL names a path on this machine", "write file:///path")
        return RemoteUrl(canonical=path_identity(Path(unquote(parts.path))), public=location, secret=location)
    if not host:
        raise RepositoryError(f"{shown!r} names no host")
    if scheme == "http" and host not in _LOOPBACK:
        raise RepositoryError(f"{shown!r}: plain http can be changed on the way", "use https:// or ssh://")
    if scheme == "ssh" and parts.password is not None:
        raise RepositoryError(f"{shown!r}: ssh takes no password from a URL", "use a key")
    public = location if scheme == "ssh" else location.replace(f"{parts.netloc.rpartition('@')[0]}@", "", 1)
    return RemoteUrl(
        canonical=_canonical(scheme, user, host, port, unquote(parts.path)), public=public, secret=location
    )


def path_identity(path: Path) -> str:
    """The identity of a repository on this machine: its real path as a file:// URL, without a `.git` folder."""
    real = path.resolve()
    suffixed = real.with_name(real.name + ".git")
    if not real.exists() and suffixed.exists():  # Git finds fleet.git by the name fleet too
        real = suffixed
    return "file://" + quote(str(real.parent if real.name == ".git" else real))


def _canonical_scp(scp: re.Match[str], shown: str) -> str:
    host = _checked_host(scp["host"].strip("[]").lower(), shown)
    path = scp["path"]
    # `host:path` is relative to the home of that user
    return _canonical("ssh", scp["user"] or "", host, None, path if path.startswith(("/", "~")) else f"~/{path}")


def _canonical(scheme: str, user: str, host: str, port: int | None, path: str) -> str:
    if scheme == "ssh" and user == "git":
        # The forges' convention: one account, and paths from the root of the forge either way.
        path = path.removeprefix("/").removeprefix("~/")
    names = [name for name in path.split("/") if name not in {"", "."}]
    if ".." in names:
        raise RepositoryError(f"the URL of a repository on {host} has `..` in its path")
    if not names:
        raise RepositoryError(f"the URL names the host {host} and no repository on it")
    names[-1] = names[-1].removesuffix(".git") or names[-1]
    # Other accounts of one host may have homes of their own, so an ssh user is part of the identity.
    account = f"{quote(user)}@" if scheme == "ssh" and user not in {"", "git"} else ""
    location = f"[{host}]" if ":" in host else host
    if port is not None and port != _DEFAULT_PORTS[scheme]:
        location += f":{port}"
    return f"{scheme}://{account}{location}/{quote('/'.join(names), safe='/~')}"


def _checked_host(host: str, shown: str) -> str:
    if host.startswith("-"):  # ssh would take it for an option
        raise RepositoryError(f"{shown!r}: a host name cannot begin with '-'")
    return host.rstrip(".")


def _shown(location: str) -> str:
    return re.sub(r"(?<=://)[^/@\s]+(?=@)", "***", location)
