"""Libraries below `modules/vendor/` against their lock: what others wrote is changed there, not here."""

import re
from collections.abc import Mapping

import msgspec

from gitopsd.compiler.yaml.reader import Document, read_yaml
from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.names import NAME_PATTERN
from gitopsd.model.source import Content, Files
from gitopsd.model.trees import EXECUTABLE, FILE, Graft, build_tree
from gitopsd.model.vendor import LOCK_FILE, LOCK_FORMAT, VENDOR_FOLDER, VendoredLibrary, VendorLock, library_folder

_CONFLICT = re.compile(rb"^<{7} ", re.MULTILINE)
_BYTE = re.compile(r"\(byte (\d+)\)")


class _Format(msgspec.Struct, frozen=True):
    """All that is the same in every format of the lock."""

    format: int = LOCK_FORMAT


def check_vendored(files: Files) -> list[Diagnostic]:
    """`files` are those of a whole source tree. Nothing is fetched: this compares ids."""
    found = vendored_libraries(files)
    content = files.get(LOCK_FILE)
    if content is None:
        return [_not_locked(name, library) for name, library in found.items()]
    lock, mistakes = read_lock(content.data)
    if lock is None:
        return mistakes
    document, _ = read_yaml(LOCK_FILE, content.data)
    diagnostics = [_not_locked(name, library) for name, library in found.items() if name not in lock.libraries]
    for name, locked in lock.libraries.items():
        if name not in found:
            diagnostics.append(_missing(name, locked, document))
        elif tree_id(found[name]) != locked.tree:
            diagnostics.append(_modified(name, locked, document))
    return diagnostics


def read_lock(content: bytes) -> tuple[VendorLock | None, list[Diagnostic]]:
    """The content of `lock.json`, or what is wrong with it."""
    try:
        written = msgspec.json.decode(content, type=_Format).format
        if written != LOCK_FORMAT:
            why = f"this gitopsd reads format {LOCK_FORMAT}, and it has {written}"
            return None, [_bad_lock(why, content, "use the gitopsd that wrote it, or a newer one")]
        return msgspec.json.decode(content, type=VendorLock), []
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return None, [_bad_lock(str(error), content)]


def encode_lock(lock: VendorLock) -> bytes:
    """Sorted and indented, so that changes of it read well."""
    return msgspec.json.format(msgspec.json.encode(lock, order="sorted"), indent=2) + b"\n"


def vendored_libraries(files: Files) -> dict[str, Files]:
    """Library -> its files, by their path below its folder. What lies beside libraries is left out."""
    found: dict[str, dict[str, Content]] = {}
    for path, content in files.items():
        if path.startswith(VENDOR_FOLDER):
            name, slash, inner = path.removeprefix(VENDOR_FOLDER).partition("/")
            if slash and re.match(NAME_PATTERN, name):
                found.setdefault(name, {})[inner] = content
    return dict(sorted(found.items()))


def tree_id(files: Files) -> str:
    """The Git tree id of exactly these files."""
    return build_tree(
        {path: Graft(id=one.blob, mode=EXECUTABLE if one.executable else FILE) for path, one in files.items()}
    ).id


def _bad_lock(why: str, content: bytes, hint: str = "") -> Diagnostic:
    position = _BYTE.search(why)
    at = int(position[1]) if position else 0
    hint = hint or f"only `gitopsd vendor` writes it: `git checkout HEAD -- {LOCK_FILE}` brings it back"
    conflict = _CONFLICT.search(content)
    if conflict:
        at, why = conflict.start(), "a merge left its conflict here"
        hint = "take one side of it from Git, then `gitopsd vendor update` for what the other side changed"
    line = 1 + content[:at].count(b"\n")
    return Diagnostic(
        code="bad-vendor-lock",
        message=f"the lock of vendored libraries can't be read: {_BYTE.sub('', why).strip()}",
        location=Location(path=LOCK_FILE, line=line, end_line=line),
        hint=hint,
    )


def _not_locked(name: str, library: Mapping[str, Content]) -> Diagnostic:
    return Diagnostic(
        code="vendor-not-locked",
        message=f"the library `{name}` is not in {LOCK_FILE}",
        location=Location(path=library_folder(name) + min(library)),
        hint="`gitopsd vendor add URL REF PATH` copies and locks one; what is your own goes to modules/",
    )


def _modified(name: str, locked: VendoredLibrary, document: Document) -> Diagnostic:
    return Diagnostic(
        code="vendor-modified",
        message=f"{library_folder(name)} is not what was copied from {locked.url} at {locked.commit[:12]}",
        location=document.locate("libraries", name, "tree"),
        hint=f"`gitopsd vendor update --force {name}` copies it anew;"
        " to change a module, move it to modules/ and own it",
    )


def _missing(name: str, locked: VendoredLibrary, document: Document) -> Diagnostic:
    return Diagnostic(
        code="vendor-missing",
        message=f"{library_folder(name)} is locked, and not there",
        location=document.locate_key("libraries", name),
        hint=f"`gitopsd vendor update {name}` copies it from {locked.url};"
        f" to be without it, remove the entry from {LOCK_FILE}",
    )
