"""What may be in the source branch: which folders are read, and what is refused. Pure."""

import re
import unicodedata
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from gitopsd.model.event_tests import TESTS_FOLDER

TOP_FILE = "gitopsd.yaml"
TOP_FOLDERS = frozenset({"workflows", "modules", "blueprints", "files", "fleets"})

MAX_TEXT_BYTES = 1 << 20  # what people write: YAML
MAX_FILE_BYTES = 16 << 20  # what they ship, under files/; larger ones belong behind a `url:`
MAX_RULES_BYTES = 64 << 10  # .gitignore, .gitattributes: each pattern may be held against each path
MAX_TOTAL_BYTES = 256 << 20
MAX_ENTRIES = 20_000  # files and folders together, so a tree that repeats itself ends as well
MAX_DEPTH = 32  # folders on the way to a file
MAX_PROBLEMS = 1_000

_SHIPPED = re.compile(r"(modules/vendor/[^/]+/)*files/")
"""What jobs ship: of the repository itself, and of libraries that were copied into it."""

_GIT_FOLDER = re.compile(r"(\.git|git~1)[. ]*([:\\].*)?", re.IGNORECASE | re.DOTALL)
"""What file systems of macOS and Windows take for `.git`: is_ntfs_dotgit in Git's path.c."""

_LARGE_FILE_POINTER = b"version https://git-lfs.github.com/spec/v1\n"
_POINTER_BYTES = 1024  # a pointer is smaller: docs/spec.md of Git LFS

Belongs = Callable[..., bool]
"""Which entries of the root are read: `is_source` or `is_tests`."""

ProblemCode = Literal[
    "symlink", "submodule", "special-file", "unsafe-name", "non-utf8-name", "unprintable-name", "name-collision",
    "file-too-large", "source-too-large", "too-many-files", "too-deep", "large-file-pointer", "unreadable-file",
]  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceProblem:
    """One thing in the source tree that is refused. `path` is printable; what it names was not read."""

    path: str
    code: ProblemCode
    message: str
    hint: str


def is_source(name: bytes, *, folder: bool) -> bool:
    """Whether an entry of the root is part of the source tree.

    A link, submodule or file that has the name of one of our folders is: it gets refused, not passed over.
    """
    text = name.decode("utf-8", "replace")
    return text in TOP_FOLDERS or (not folder and text == TOP_FILE)


def is_tests(name: bytes, *, folder: bool) -> bool:
    """Whether an entry of the root holds the repository's tests, which are no part of what is deployed."""
    del folder  # whatever has the name: a link is refused then
    return name == TESTS_FOLDER.encode()


def size_limit(path: str) -> int:
    """The largest size in bytes of the file at `path`."""
    return MAX_FILE_BYTES if _SHIPPED.match(path) else MAX_TEXT_BYTES


def printable(name: bytes) -> str:
    """A name for messages, whatever its bytes are."""
    text = name.decode("utf-8", "backslashreplace")
    return "".join(character if character.isprintable() else ascii(character)[1:-1] for character in text)


def check_name(folder: str, name: bytes) -> tuple[str, SourceProblem | None]:
    """The decoded path of `name` inside `folder` ("" for the root), and what is wrong with the name, if anything."""
    shown = f"{folder}{printable(name)}"
    try:
        text = name.decode("utf-8")
    except UnicodeDecodeError:
        return shown, SourceProblem(
            path=shown, code="non-utf8-name", message="the name is not UTF-8", hint="rename it with `git mv`"
        )
    if text in {"", ".", ".."} or "/" in text or _GIT_FOLDER.fullmatch(text):
        return shown, SourceProblem(
            path=shown, code="unsafe-name", message="the name could lead out of its folder", hint="remove the entry"
        )
    if not text.isprintable():
        return shown, SourceProblem(
            path=shown,
            code="unprintable-name",
            message="the name holds control, invisible or direction-changing characters",
            hint="rename it with `git mv`",
        )
    return folder + text, None


def find_collisions(folder: str, names: Iterable[str]) -> list[SourceProblem]:
    """Names of one folder that some file systems would hold to be the same, one problem for each pair."""
    seen: dict[str, str] = {}
    problems = []
    for name in sorted(names):
        folded = _folded(name)
        if folded in seen:  # twice the same name counts too: a hand-made tree can have that
            problems.append(
                SourceProblem(
                    path=folder + name,
                    code="name-collision",
                    message=f"differs from {folder + seen[folded]!r} only in case or in the composition of characters",
                    hint="rename one of them with `git mv`",
                )
            )
        seen[folded] = name
    return problems


def may_be_refused(size: int) -> bool:
    """Whether `check_content` can find anything in a file of `size` bytes: large ones needn't be read for it."""
    return len(_LARGE_FILE_POINTER) <= size < _POINTER_BYTES


def check_content(path: str, data: bytes) -> SourceProblem | None:
    """What is wrong with the content of a file, as far as this layer can tell."""
    if data.startswith(_LARGE_FILE_POINTER):
        return SourceProblem(
            path=path,
            code="large-file-pointer",
            message="is a Git LFS pointer: its content is not in the repository",
            hint="commit the file itself, or install it on the workers by other means",
        )
    return None


def too_large(path: str, size: int, *, limit: int | None = None) -> SourceProblem:
    """The problem of a file over its limit; sizes in bytes."""
    return SourceProblem(
        path=path,
        code="file-too-large",
        message=f"has {size:,} bytes; the limit is {size_limit(path) if limit is None else limit:,}",
        hint=_hint_for_large(path, limit),
    )


def _hint_for_large(path: str, limit: int | None) -> str:
    if limit is not None:
        return "remove what isn't needed of it"
    return "split it" if path.endswith(".yaml") else "what is larger is installed on the workers by other means"


def refused_kind(path: str, kind: Literal["symlink", "submodule", "special-file"]) -> SourceProblem:
    """The problem of an entry that is neither a file nor a folder."""
    messages = {
        "symlink": ("is a symbolic link", "put a copy of the file in its place"),
        "submodule": ("is another repository", "copy what you need: `gitopsd vendor add` for modules"),
        "special-file": ("is neither a file nor a folder", "remove it"),
    }
    message, hint = messages[kind]
    return SourceProblem(path=path, code=kind, message=message, hint=hint)


def limit_reached(path: str, code: Literal["source-too-large", "too-many-files", "too-deep"]) -> SourceProblem:
    """The problem of a tree over a limit; what lies beyond was not read."""
    messages = {
        "source-too-large": f"with this file the source has more than {MAX_TOTAL_BYTES:,} bytes",
        "too-many-files": f"with this entry the source has more than {MAX_ENTRIES:,} files and folders",
        "too-deep": f"lies deeper than {MAX_DEPTH} folders",
    }
    return SourceProblem(path=path, code=code, message=messages[code], hint="keep generated and large files elsewhere")


def _folded(name: str) -> str:
    if name.isascii():
        return name.lower()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
