"""Repositories made up by Hypothesis. Written as JSON, which is YAML too, so that keys can be put in any order."""

import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from hypothesis import strategies as st

from gitopsd.compiler.front import compile_front
from gitopsd.compiler.place import Placement, fleet_workers, place
from gitopsd.model.artifacts import ArtifactState
from gitopsd.model.diagnostic import Diagnostic
from tests.contents import in_memory


@dataclass(frozen=True)
class Pair:
    """Two steps joined by a channel: `worker` keeps them together, `file-store` doesn't."""

    replicas: int
    together: bool
    region: str | None
    packs: bool = False


@dataclass(frozen=True)
class Repository:
    """Workers by name with their region, and workflows as lists of pairs of steps."""

    workers: Mapping[str, str]
    workflows: tuple[tuple[Pair, ...], ...]
    slots: int = 1000

    def without(self, worker: str) -> "Repository":
        return replace(self, workers={name: region for name, region in self.workers.items() if name != worker})

    def with_worker(self, worker: str, region: str) -> "Repository":
        return replace(self, workers={**self.workers, worker: region})

    def source(self, seed: int = 0) -> dict[str, bytes]:
        """The files; another seed gives other orders of files and keys."""
        mixed = random.Random(seed)  # noqa: S311 - orders that can be had again
        workers = {
            name: {
                "connection": "local",
                "service_manager": "supervisor",
                "labels": {"region": region},
                "slots": self.slots,
            }
            for name, region in self.workers.items()
        }
        files: dict[str, Any] = {
            "gitopsd.yaml": {"environments": {"production": {"fleet": "fleets/production.yaml"}}},
            "fleets/production.yaml": {"groups": {"edge": {"mounts": {"/mnt": "shared"}, "workers": workers}}},
        }
        for number, pairs in enumerate(self.workflows):
            files[f"workflows/flow-{number}.yaml"] = _workflow(number, pairs)
        paths = list(files)
        mixed.shuffle(paths)
        return {path: json.dumps(_mixed(files[path], mixed)).encode() for path in paths}


def _workflow(number: int, pairs: tuple[Pair, ...]) -> dict[str, Any]:
    steps: dict[str, Any] = {}
    channels: dict[str, Any] = {}
    for index, pair in enumerate(pairs):
        where: dict[str, Any] = {"group": "edge", "replicas": pair.replicas}
        if pair.region:
            where["constraints"] = [f"label.region == {pair.region}"]
        if pair.packs:
            where["strategy"] = "pack"
        glob = "/srv/in/${{ worker.name }}/${{ job.replica }}"
        steps[f"read-{index}"] = {"use": "std/read-files", "with": {"glob": glob}, "out": f"c{index}", "place": where}
        steps[f"write-{index}"] = {
            "use": "std/write-files", "with": {"path": f"/srv/{number}/{index}"}, "in": f"c{index}", "place": where,
        }  # fmt: skip
        channels[f"c{index}"] = (
            {"transport": "worker"}
            if pair.together
            else {"transport": "file-store", "path": f"/mnt/flow-{number}/{index}"}
        )
    return {"workflow": f"flow-{number}", "steps": steps, "channels": channels}


def _mixed(value: Any, mixed: random.Random) -> Any:
    if not isinstance(value, dict):
        return value
    keys = list(value)
    mixed.shuffle(keys)
    return {key: _mixed(value[key], mixed) for key in keys}


REGIONS = st.sampled_from(["eu", "us"])
PAIRS = st.builds(
    Pair, replicas=st.integers(1, 5), together=st.booleans(), region=st.none() | REGIONS, packs=st.booleans()
)
REPOSITORIES = st.builds(
    Repository,
    # there is always a worker in each region, so that every step can be placed
    workers=st.dictionaries(st.sampled_from([f"edge-{n}" for n in range(9)]), REGIONS, max_size=7).map(
        lambda workers: {**workers, "first-eu": "eu", "first-us": "us"}
    ),
    workflows=st.lists(st.lists(PAIRS, min_size=1, max_size=3).map(tuple), min_size=1, max_size=3).map(tuple),
)


def placed(repository: Repository, before: Mapping[str, str] | None = None, **other: Any) -> dict[str, str]:
    """Job -> worker."""
    placement, mistakes = try_to_place(repository, before, **other)
    assert placement is not None, mistakes
    return dict(placement.jobs)


def try_to_place(
    repository: Repository,
    before: Mapping[str, str] | None = None,
    *,
    cordoned: frozenset[str] = frozenset(),
    drained: frozenset[str] = frozenset(),
    lost: frozenset[str] = frozenset(),
) -> tuple[Placement | None, list[Diagnostic]]:
    front = compile_front(in_memory(repository.source()), None)
    assert front.linked is not None, front.diagnostics
    assert not front.diagnostics, front.diagnostics
    summaries = [flow.summary for flow in front.flows if flow.summary]
    state = ArtifactState(placement=before or {}, cordoned=cordoned, drained=drained, lost=lost)
    return place(front.linked, fleet_workers(front.linked), summaries, state)
