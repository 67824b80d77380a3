"""What taking a worker over comes to: which of its jobs the next activation stops, starts, restarts or leaves."""

from dataclasses import dataclass

from gitopsd.model.facts import Observation
from gitopsd.model.release import DesiredRelease
from gitopsd.planner.drift import Drift, find_drift


@dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """Each job once, by name; `stops` are units that no job of the release has, and are removed."""

    stops: tuple[str, ...]
    starts: tuple[str, ...]
    restarts: tuple[str, ...]
    stays: tuple[str, ...]
    drift: tuple[Drift, ...]


def takeover(desired: DesiredRelease, observed: Observation, service_manager: str) -> Takeover:
    """By the differences that converging would put right; secrets aren't compared."""
    drift = find_drift(desired, observed, service_manager)
    jobs = desired.record.jobs
    differs = {one.subject for one in drift if one.subject in jobs}
    down = {"not-running", "missing-replica", "failed"}
    starts = {one.subject for one in drift if one.subject in jobs and one.kind in down}
    return Takeover(
        stops=tuple(one.subject for one in drift if one.kind in {"orphan", "changed-placement"}),
        starts=tuple(sorted(starts)),
        restarts=tuple(sorted(differs - starts)),
        stays=tuple(sorted(jobs.keys() - differs)),
        drift=drift,
    )
