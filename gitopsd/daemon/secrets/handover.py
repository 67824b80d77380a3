"""What one worker's jobs are handed, and how it is told whether the worker has it already."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field

from gitopsd.model.release import DesiredRelease
from gitopsd.model.secret import SecretValue

_KEY_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """The values of a worker's secrets, and the key that fingerprints of them are made with on both sides.

    The key is made for this one comparison and kept nowhere. So there is no fingerprint that would mean anything
    later, to whoever has the repository, a log, or another worker's answers.
    """

    values: Mapping[str, SecretValue] = field(repr=False)
    fingerprints: Mapping[str, Mapping[str, str]] = field(repr=False)
    key: bytes = field(repr=False)


def handover(desired: DesiredRelease, values: Mapping[str, SecretValue]) -> Handover | None:
    """For the secrets that the release's jobs ask for, as far as values are known; None where they ask for none."""
    needed = secret_names(desired)
    if not needed:
        return None
    key = os.urandom(_KEY_BYTES)
    return Handover(
        values={name: value for name, value in values.items() if name in needed},
        fingerprints={
            job: {name: values[name].fingerprint(key, job, name) for name in entry.secrets if name in values}
            for job, entry in desired.record.jobs.items()
            if entry.secrets
        },
        key=key,
    )


def secret_names(desired: DesiredRelease) -> frozenset[str]:
    """The secrets that a release's jobs ask for."""
    return frozenset(name for job in desired.record.jobs.values() for name in job.secrets)
