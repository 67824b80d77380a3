"""One worker's release, before or after: its jobs, and the files that each is made of."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from gitopsd.model.artifacts import RELEASE_FILE
from gitopsd.model.release import ReleaseRecord
from gitopsd.model.trees import TreeEntry
from gitopsd.planner.plan.job_document import JobDocument, read_document

JobEntry = Mapping[str, Any]
"""A job's part of `release.json`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """`jobs` are the entries of `release.json`; `files_of` gives a job's files by path in the release.

    `draining` are those of jobs that are not placed here any more, and end once nothing is left for them. `blob` reads
    a file by its id. `runtime` is the id of the runner's folder, `libraries` are those of the folders beside it.
    `adapters` says of adapter jobs why they are there, as far as it is known.
    """

    jobs: Mapping[str, JobEntry]
    draining: Mapping[str, JobEntry] = field(default_factory=dict)
    files_of: Callable[[str], Mapping[str, TreeEntry]]
    blob: Callable[[str], bytes]
    runtime: str = ""
    libraries: Mapping[str, str] = field(default_factory=dict)
    adapters: Mapping[str, str]

    def document(self, job: str) -> JobDocument:
        """What the job is told; nothing at all of a job that isn't here."""
        entry = self.files_of(job).get(document_path(job))
        return read_document(self.blob(entry.id)) if entry else JobDocument()


def document_path(job: str) -> str:
    return f"jobs/{job}/job.json"


def no_side() -> Side:
    """A worker that has no release."""
    return Side(jobs={}, files_of=lambda _: {}, blob=_nothing_to_read, adapters={})


def _nothing_to_read(blob: str) -> bytes:
    raise LookupError(blob)


def side_of(
    entries: Mapping[str, TreeEntry], blob: Callable[[str], bytes], adapters: Mapping[str, str] | None = None
) -> Side:
    """From the files of a release by path. A job's are `jobs/<job>/…`, and the units that `release.json` names.

    Raises msgspec.DecodeError for a `release.json` that isn't one.
    """
    found = entries.get(RELEASE_FILE)
    content: dict[str, Any] = {}
    record: ReleaseRecord | None = None
    files: dict[str, dict[str, TreeEntry]] = {}
    if found:
        data = blob(found.id)
        record = msgspec.json.decode(data, type=ReleaseRecord)  # first: by a type it isn't read however deep it goes
        content = msgspec.json.decode(data)
        for job, known in record.jobs.items():
            units = [f"units/{unit}" for unit in known.units]
            files[job] = {path: entries[path] for path in units if path in entries}
    jobs: dict[str, JobEntry] = content.get("jobs", {})
    for path, entry in entries.items():
        if path.startswith("jobs/"):
            job = path.split("/", 2)[1]
            if job in files:
                files[job][path] = entry
    return Side(
        jobs={name: entry for name, entry in jobs.items() if "draining" not in entry},
        draining={name: entry for name, entry in jobs.items() if "draining" in entry},
        files_of=lambda job: files.get(job, {}),
        blob=blob,
        runtime=record.runtime or "" if record else "",
        libraries=record.libraries if record else {},
        adapters=adapters or {},
    )
