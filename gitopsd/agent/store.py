"""Releases on disk: staged aside, verified, renamed into place, pointed at by `current`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from .durable import make_directory, remove, replace_link, sync, write_file
from .errors import AgentError
from .githash import Entry, blob_id, read_directory, read_file, tree_id
from .manifest import MODES, is_object_id
from .shared_files import link_runtime

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from pathlib import Path

    from .layout import Layout
    from .manifest import Manifest


def release_ids(layout: Layout) -> list[str]:
    if not layout.releases.is_dir():
        return []
    return sorted(path.name for path in layout.releases.iterdir() if is_object_id(path.name))


def current_release(layout: Layout) -> str | None:
    """The id that `current` points at, whether or not that release is there and whole."""
    try:
        target = os.readlink(layout.current)  # noqa: PTH115 -- a Path would hide what the link says exactly
    except OSError:
        return None
    parent, _, name = target.rpartition("/")
    return name if parent == "releases" and is_object_id(name) else None


def doomed(layout: Layout, release: str) -> Path:
    """Where a release is renamed to, to be removed: half of one must not lie in releases/, were we killed."""
    return layout.staging / f"removed-{release}"


def half_removed(layout: Layout) -> list[Path]:
    """Releases whose removal was cut short."""
    return sorted(layout.staging.glob("removed-*")) if layout.staging.is_dir() else []


def damaged_paths(layout: Layout, manifest: Manifest) -> set[str] | None:
    """Paths on disk that are not as the manifest says, extra ones included; None when the release isn't there."""
    directory = layout.releases / manifest.release
    if directory.is_symlink() or not directory.is_dir():
        return None
    return {entry.path for entry in set(read_directory(directory)) ^ set(manifest.entries)}


def collect(layout: Layout, entries: Collection[Entry], sent: Mapping[str, bytes]) -> dict[str, bytes]:
    """The bytes of every blob of these files: from the payload, else from a release on this worker, verified.

    AgentError `bad-payload` with `missing`, the blob ids, when the worker does not have them either.
    """
    blobs = dict(sent)
    current = current_release(layout)
    # most files are as they are in the current one
    releases = [layout.releases / name for name in sorted(release_ids(layout), key=lambda name: name != current)]
    for entry in entries:
        if entry.blob not in blobs:
            blobs.update(_at_same_path(releases, entry))
    wanted = {entry.blob for entry in entries} - blobs.keys()
    if wanted:
        blobs.update(_anywhere(releases, wanted))
    missing = [entry for entry in entries if entry.blob not in blobs]
    if missing:
        raise AgentError(
            "bad-payload",
            f"{len(missing)} files were not sent and are on no release of this worker, first {missing[0].path}",
            missing=sorted({entry.blob for entry in missing}),
        )
    return blobs


def stage(layout: Layout, manifest: Manifest, sent: Mapping[str, bytes]) -> None:
    """Bring a release into releases/: nobody ever sees less than all of it there. AgentError as for `collect`."""
    staged = layout.staging / manifest.release
    remove(layout.staging)
    make_directory(layout.staging, 0o700)
    directories = _make_directories(staged, manifest)
    current = current_release(layout)
    linked = set() if current is None else link_runtime(layout.releases / current, staged, manifest)
    _write(layout, staged, [entry for entry in manifest.entries if entry not in linked], sent)
    found = read_directory(staged)
    edited = linked.difference(found)
    if edited:
        for entry in edited:
            remove(staged / entry.path)
        _write(layout, staged, edited, sent)
        found = read_directory(staged)
    for directory in directories:
        sync(directory)
    _verify(found, manifest)
    make_directory(layout.releases, 0o755)
    target = layout.releases / manifest.release
    if target.is_symlink() or target.exists():
        remove(target)  # not a directory, or it would have been repaired in place
    staged.rename(target)
    sync(layout.releases)
    sync(layout.root)


def _write(layout: Layout, staged: Path, entries: Collection[Entry], sent: Mapping[str, bytes]) -> None:
    blobs = collect(layout, entries, sent)
    for entry in entries:
        write_file(staged / entry.path, blobs[entry.blob], MODES[entry.mode])
    for entry in entries:
        sync(staged / entry.path)


def _make_directories(staged: Path, manifest: Manifest) -> list[Path]:
    """Those of a release, the innermost first."""
    below: set[str] = set()
    for entry in manifest.entries:
        path = entry.path.rpartition("/")[0]
        while path and path not in below:
            below.add(path)
            path = path.rpartition("/")[0]
    directories = [staged, *(staged / path for path in sorted(below))]
    for directory in directories:
        make_directory(directory, 0o755)
    return directories[::-1]


def repair(layout: Layout, manifest: Manifest, damaged: set[str], blobs: Mapping[str, bytes]) -> None:
    """Make a release that somebody edited whole again, one rename a file, so that `current` always leads somewhere."""
    directory = layout.releases / manifest.release
    wanted = {entry.path: entry for entry in manifest.entries}
    remove(layout.staging)
    make_directory(layout.staging, 0o700)
    for path in sorted(damaged - wanted.keys()):
        remove(directory / path)
    for path in sorted(damaged & wanted.keys()):
        entry, target = wanted[path], directory / path
        for parent in _missing_parents(target.parent):
            make_directory(parent, 0o755)
        aside = layout.staging / "file"
        write_file(aside, blobs[entry.blob], MODES[entry.mode])
        sync(aside)
        if target.is_dir() and not target.is_symlink():
            remove(target)
        aside.replace(target)
        for parent in _up_to(target.parent, directory):
            sync(parent)
    _verify(read_directory(directory), manifest)


def swap(layout: Layout, release: str) -> None:
    """Point `current` at a release, in one rename, on disk when this returns."""
    if layout.current.is_dir() and not layout.current.is_symlink():
        # somebody put a directory in the link's place: set it aside, the next staging clears it away
        make_directory(layout.staging, 0o700)
        remove(layout.staging / "displaced")
        layout.current.rename(layout.staging / "displaced")
    replace_link(layout.current, f"releases/{release}")
    sync(layout.root)


def _verify(found: Collection[Entry], manifest: Manifest) -> None:
    if set(found) != set(manifest.entries):
        raise AgentError(
            "bad-payload",
            f"the files on this worker's disk make up tree {tree_id(found)}, not release {manifest.release}",
        )


def _at_same_path(releases: list[Path], entry: Entry) -> dict[str, bytes]:
    for release in releases:
        try:
            content = read_file(f"{release}/{entry.path}")
        except OSError:
            continue  # it has none there, or something else than a file
        if blob_id(content) == entry.blob:
            return {entry.blob: content}
    return {}


def _anywhere(releases: list[Path], wanted: set[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for release in releases:
        for entry in read_directory(release):
            if entry.blob in wanted - found.keys() and entry.mode in MODES:
                content = (release / entry.path).read_bytes()
                if blob_id(content) == entry.blob:
                    found[entry.blob] = content
    return found


def _missing_parents(directory: Path) -> list[Path]:
    missing: list[Path] = []
    while not directory.exists():
        missing.append(directory)
        directory = directory.parent
    return missing[::-1]


def _up_to(directory: Path, top: Path) -> Iterator[Path]:
    while True:
        yield directory
        if directory == top:
            return
        directory = directory.parent
