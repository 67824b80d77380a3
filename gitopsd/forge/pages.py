"""Addresses of pages that people look at on a forge."""

from typing import assert_never
from urllib.parse import quote

from gitopsd.forge.forge import ForgeKind

FRONT_PAGES = {"github": "https://github.com", "gitlab": "https://gitlab.com"}


def file_page(kind: ForgeKind, url: str, repository: str, commit: str) -> str:
    """A line of a file in a commit, with `{path}` and `{line}` in it; `url` is the front page, empty for the usual one.

    Empty where that isn't known.
    """
    front = (url or FRONT_PAGES.get(kind, "")).rstrip("/")
    if not front:
        return ""
    match kind:
        case "github":
            folder = "blob"
        case "gitlab":
            folder = "-/blob"
        case "gitea" | "forgejo":
            folder = "src/commit"
        case _:
            assert_never(kind)
    return f"{front}/{quote(repository)}/{folder}/{quote(commit)}/{{path}}#L{{line}}"
