"""A small repository, written so that a test can say what is different about it."""

import json
from collections.abc import Mapping
from typing import Any

Steps = Mapping[str, Mapping[str, Any]]


def source(
    steps: Steps,
    channels: Mapping[str, Any],
    workers: Mapping[str, Any] | None = None,
    *,
    mounts: Mapping[str, str] | None = None,
    messages: Mapping[str, Any] | None = None,
    **files: Any,
) -> dict[str, bytes]:
    """The workflow `orders` on the group `edge`. Workers are local, and each a machine of its own by its name."""
    group = {"mounts": dict(mounts or {}), "workers": dict(workers or {"edge-1": machine(1)})}
    content = {
        "gitopsd.yaml": {"environments": {"production": {"fleet": "fleets/production.yaml"}}},
        "fleets/production.yaml": {"groups": {"edge": group}},
        "workflows/orders.yaml": {
            "workflow": "orders",
            "steps": steps,
            "channels": channels,
            "messages": messages or {},
        },
        **{f"blueprints/{name}.yaml": blueprint for name, blueprint in files.items()},
    }
    return {path: json.dumps(value).encode() for path, value in content.items()}


def machine(number: int, **more: Any) -> dict[str, Any]:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIDRqpX2nJ8oWkBKmZQ1L8D0Ck7W4o3y2UuJbqv0mAOt"
    return {"address": f"10.0.0.{number}", "host_key": f"{key}{chr(64 + number)}", **more}


def step(use: str, replicas: int = 1, constraints: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """`in_` and `with_` stand for `in` and `with`."""
    place = {"group": "edge", "replicas": replicas, "constraints": constraints or []}
    return {"use": use, "place": place, **{key.rstrip("_"): value for key, value in more.items()}}


def reads(out: str = "rows", glob: str = "/srv/in/*", **more: Any) -> dict[str, Any]:
    given = {"glob": glob, "mode": more.pop("mode", "tail"), "format": more.pop("format", "jsonl")}
    return step("std/read-files", with_=given, out=out, **more)


def writes(in_: str = "rows", path: str = "/srv/out", **more: Any) -> dict[str, Any]:
    return step("std/write-files", with_={"path": path}, in_=in_, **more)


def store(path: str = "/srv/store") -> dict[str, str]:
    return {"transport": "file-store", "path": path}


WORKER = {"transport": "worker"}
