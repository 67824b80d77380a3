"""A thousand workers that aren't there: they answer at the protocol of hosts, in this process, at once.

What is left is what the controller itself costs: comparing, planning the waves, encoding and decoding every request and
answer. There is no SSH, no systemd and nobody to wait for; figures with these say so.
"""

import json
import threading
import zlib
from collections.abc import Iterator, Mapping
from typing import Any, Self

from gitopsd.fleet.connect import Workers
from gitopsd.fleet.target import Target


class SimulatedWorkers(Workers):
    """Each remembers the release that it was given, and runs all that is in it."""

    def __init__(self) -> None:
        super().__init__()
        self.machines: dict[str, _Machine] = {}
        self._guard = threading.Lock()

    def connect(self, target: Target, *, only_looks: bool = False) -> Any:  # noqa: ARG002 -- as those of real workers
        with self._guard:
            return _Connection(target, self.machines.setdefault(target.name, _Machine()))

    def connect_anew(self, target: Target) -> Any:
        return self.connect(target)


class _Machine:
    def __init__(self) -> None:
        self._release: str | None = None
        self._before: tuple[str, ...] = ()
        self._blobs: dict[str, bytes] = {}
        self._units: dict[str, Any] = {}
        self._applied: dict[str, str] = {}
        self._deployment = 0

    def observe(self, request: Mapping[str, Any]) -> dict[str, Any]:
        del request
        return {
            "owner": None,
            "release": self._release,
            "tree": self._release,
            "units": self._units,
            "applied": self._applied,
            "completed": [],
            "releases": [one for one in (self._release, *self._before) if one],
            "interrupted": False,
            "deployment": self._deployment,
        }

    def activate(self, request: Mapping[str, Any], payload: bytes) -> dict[str, Any]:
        content, at = zlib.decompress(payload) if payload else b"", 0
        for blob, size in request["payload"]:
            self._blobs[blob] = content[at : at + size]
            at += size
        paths = {path: blob for path, _, blob in request["manifest"]}
        jobs = json.loads(self._blobs[paths["release.json"]])["jobs"]
        digests = {name: job["digest"] for name, job in jobs.items()}
        changed = [name for name, digest in digests.items() if self._applied.get(name) != digest]
        self._before = tuple(one for one in (self._release, *self._before) if one)[:2]
        self._release, self._applied, self._deployment = request["release"], digests, request["deployment"]
        self._units = {
            path.removeprefix("units/"): {
                "active": "active", "sub": "running", "result": "success", "main_pid": 1, "restarts": 0,
                "enabled": True, "blob": blob,
            }
            for path, blob in paths.items()
            if path.startswith("units/")
        }  # fmt: skip
        return {
            "started": changed, "restarted": [], "reloaded": [], "stopped": [],
            "unchanged": [name for name in digests if name not in changed], "failed": {}, "daemon_reload": False,
            "seconds": {}, "observation": self.observe({}), "token": "simulated",
        }  # fmt: skip


class _Connection:
    def __init__(self, target: Target, machine: _Machine) -> None:
        self.target = target
        self._machine = machine

    def call(
        self, verb: str, request: Mapping[str, Any], payload: bytes = b"", timeout: float = 30.0
    ) -> dict[str, Any]:
        del timeout
        asked = json.loads(json.dumps(dict(request)))  # both ways, as over a wire
        match verb:
            case "observe":
                answer = self._machine.observe(asked)
            case "activate":
                answer = self._machine.activate(asked, payload)
            case "confirm":
                answer = {"confirmed": True}
            case "prune":
                answer = {"removed": []}
            case _:
                raise ValueError(f"a simulated worker knows no {verb}")
        found: dict[str, Any] = json.loads(json.dumps(answer))
        return found

    def follow(self, job: str, lines: int, stop: threading.Event) -> Iterator[str]:
        raise ValueError(f"{self.target.name} has no log of {job}, {lines} lines or {stop}")

    def close(self) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...
