"""Paths in declarations: those that must be absolute, and those that must stay below their directory."""

from gitopsd.model.diagnostic import Diagnostic, Location

_SYSTEM_PATHS = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/run", "/sbin", "/sys",
    "/usr", "/var/lib/gitopsd", "/var/run",
)  # fmt: skip
_LONGEST_NAME = 255
_LONGEST_PATH = 1024
"""In bytes; a worker puts up to some 200 more before it, and the kernel takes 4,095."""


def is_plain_absolute(path: str) -> bool:
    """Absolute, without `.`, `..`, doubled slashes, quotes, backslashes or characters that don't print.

    Quotes and backslashes: systemd has no way to write them in a list of paths.
    """
    return path.startswith("/") and len(path) > 1 and _is_plain(path[1:]) and not any(mark in path for mark in "\"'\\")


def is_below(path: str) -> bool:
    """Whether a relative path stays below the directory that it starts in, and could be in a Git tree."""
    return _is_plain(path) and "\\" not in path and not any(part.lower() == ".git" for part in path.split("/"))


def _is_plain(path: str) -> bool:
    parts = path.split("/")
    return (
        path.isprintable()
        and not any(part in {"", ".", ".."} or len(part.encode()) > _LONGEST_NAME for part in parts)
        and len(path.encode()) <= _LONGEST_PATH
    )


def is_system_path(path: str) -> bool:
    """Whether no job may write there."""
    return any(f"{path}/".startswith(f"{system}/") for system in _SYSTEM_PATHS)


def path_outside(path: str, location: Location) -> Diagnostic:
    return Diagnostic(
        code="path-outside",
        message=f"the path `{path[:80]}` leaves its directory",
        location=location,
        hint="use a relative path without `.`, `..` or `.git` parts",
    )


def not_absolute(what: str, path: str, location: Location) -> Diagnostic:
    return Diagnostic(
        code="not-absolute",
        message=f"{what} must be an absolute path without `.`, `..` or quotes, not `{path[:80]}`",
        location=location,
        hint="write the whole path, such as /srv/orders/in",
    )


def system_path(path: str, location: Location) -> Diagnostic:
    return Diagnostic(
        code="system-path",
        message=f"jobs may not write below `{path[:80]}`",
        location=location,
        hint="use a place such as /srv or /var/lib/NAME",
    )
