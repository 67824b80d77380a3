"""Releases as they are committed: what a worker should hold, and the bytes that it lacks."""

import zlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import msgspec
from msgspec import structs

from gitopsd.fleet.target import Target
from gitopsd.model.artifacts import WORKERS_FOLDER, PlacedWorker
from gitopsd.model.facts import Owner
from gitopsd.model.not_json import NOT_JSON
from gitopsd.model.release import DesiredRelease, ReleaseRecord
from gitopsd.repo.artifacts import find_entry, list_files, list_folder
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository

# level 1: the workers' links are the bottleneck of large payloads, this process of small ones
_COMPRESSION = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Payload:
    """(blob id, size) of each blob that travels, and their bytes in that order, compressed."""

    blobs: tuple[tuple[str, int], ...]
    content: bytes


def desired_releases(repository: Repository, tree: str) -> dict[str, DesiredRelease]:
    """Worker -> what it should hold, of one tree of the artifact branch."""
    found = {
        name: _desired(repository, name, entry.id)
        for name, entry in list_folder(repository, tree, WORKERS_FOLDER).items()
    }
    placed = {
        unit: name
        for name, one in found.items()
        for job in one.record.jobs.values()
        if job.draining is None
        for unit in job.units
    }
    return {name: structs.replace(one, placed=placed) for name, one in found.items()}


def desired_release(repository: Repository, tree: str, worker: str) -> DesiredRelease:
    """What one worker should hold. Raises RepositoryError where the tree has no release for it."""
    entry = find_entry(repository, tree, f"{WORKERS_FOLDER}/{worker}")
    if entry is None:
        raise RepositoryError(f"there is no release for {worker}", "`gitopsd apply` renders it anew")
    return _desired(repository, worker, entry.id)


def _desired(repository: Repository, worker: str, release: str) -> DesiredRelease:
    files = release_files(repository, release)
    try:
        record = msgspec.json.decode(repository.read(files["release.json"][1], "blob"), type=ReleaseRecord)
    except (KeyError, *NOT_JSON) as error:
        raise RepositoryError(
            f"the release of {worker} has no usable release.json: {error}", "`gitopsd apply` renders it anew"
        ) from None
    return DesiredRelease(worker=worker, id=release, record=record, files=files)


def release_files(repository: Repository, release: str) -> dict[str, tuple[str, str]]:
    """Path -> (mode, blob id) of a release by its id; empty for one that this repository doesn't have."""
    try:
        return {path: (f"{entry.mode:o}", entry.id) for path, entry in list_files(repository, release).items()}
    except RepositoryError:
        return {}  # another controller's, or of a history that we never fetched


def held_blobs(repository: Repository, releases: Iterable[str]) -> frozenset[str]:
    """Blobs of those releases that this repository knows: what a worker that holds them needs not be sent."""
    held: set[str] = set()
    for release in releases:
        held |= {blob for _, blob in release_files(repository, release).values()}
    return frozenset(held)


def payload(repository: Repository, desired: DesiredRelease, held: Collection[str]) -> Payload:
    """The blobs of a release that aren't among `held`."""
    wanted = dict.fromkeys(blob for _, blob in desired.files.values() if blob not in held)
    contents = {blob: repository.read(blob, "blob") for blob in wanted}
    return Payload(
        blobs=tuple((blob, len(content)) for blob, content in contents.items()),
        content=zlib.compress(b"".join(contents.values()), _COMPRESSION),
    )


def target_of(worker: PlacedWorker, root_commit: str | None, environment: str) -> Target:
    """How to reach a worker of `fleet.json`; without a root commit only for looking at it."""
    return Target(
        name=worker.name,
        connection=worker.connection,
        service_manager=worker.service_manager,
        address=worker.address or None,
        port=worker.port,
        user=worker.user or None,
        host_key=worker.host_key or None,
        owner=Owner(root_commit=root_commit, environment=environment) if root_commit else None,
    )
