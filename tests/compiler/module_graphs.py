"""Repositories of modules that use modules, made up by Hypothesis: nested, in cycles, with wrong ports and channels."""

import json
from typing import Any

from hypothesis import strategies as st

Files = dict[str, bytes]

GITOPSD = {"environments": {"production": {"fleet": "fleets/production.yaml"}}}
FLEET = {
    "groups": {
        "edge": {
            "mounts": {"/mnt": "shared"},
            "workers": {
                name: {"connection": "local", "service_manager": "supervisor"} for name in ("edge-1", "edge-2")
            },
        }
    }
}

MODULES = [f"m{number}" for number in range(5)]
CHANNELS = st.sampled_from(["a", "b", "c", "gone"])
PORTS = st.sampled_from(["default", "rows", "error", "gone"])
BINDINGS = CHANNELS | st.dictionaries(PORTS, CHANNELS, max_size=2)
USES = st.sampled_from(
    [
        *(f"modules/{name}" for name in MODULES),
        *(f"modules/vendor/lib/{name}" for name in MODULES[:2]),
        "std/exec", "std/read-files", "std/write-files", "std/transform", "modules/gone", "blueprints/gone", "modules/",
    ]
)  # fmt: skip
VALUES = st.sampled_from(
    [
        "/srv/x",
        "${{ params.p }}",
        "${{ params.p }}/y",
        "${{ worker.name }}",
        "${{ params.gone }}",
        "${{ step.name }}",
        1,
    ]
)
WITH = st.dictionaries(st.sampled_from(["p", "path", "glob", "command", "gone"]), VALUES | st.lists(VALUES), max_size=3)
PLACES = st.fixed_dictionaries(
    {},
    optional={
        "group": st.sampled_from(["edge", "edge", "gone"]),
        "replicas": st.integers(1, 3),
        "constraints": st.just(["label.x == y"]),
        "strategy": st.sampled_from(["spread", "pack"]),
    },
)
TRANSPORTS = st.sampled_from(
    [
        {"transport": "worker"}, {"transport": "worker"}, {"transport": "file-store", "path": "/mnt/x"},
        {"transport": "file-store", "path": "/mnt/${{ params.p }}"}, {"transport": "worker"},
        {"transport": "worker"},
    ]
)  # fmt: skip


def steps(places: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    step = st.fixed_dictionaries(
        {"use": USES}, optional={"with": WITH, "in": BINDINGS, "out": BINDINGS, "place": places}
    )
    return st.dictionaries(st.sampled_from(["s", "t", "u"]), step, min_size=1, max_size=3)


def declarations(kind: str, name: str) -> st.SearchStrategy[dict[str, Any]]:
    parameter = st.sampled_from(
        [{"type": "string"}, {"type": "string", "default": "d"}, {"type": "integer", "default": 1}]
    )
    common = {
        "params": st.dictionaries(st.just("p"), parameter, max_size=1),
        "channels": st.dictionaries(CHANNELS, TRANSPORTS, max_size=3),
    }
    if kind == "workflow":
        placed = PLACES.map(lambda place: {"group": "edge", **place})
        return st.fixed_dictionaries({"workflow": st.just(name), "steps": steps(placed)}, optional=common)
    interface = st.dictionaries(PORTS, CHANNELS, max_size=2)
    return st.fixed_dictionaries(
        {"module": st.just(name), "steps": steps(PLACES)}, optional={**common, "in": interface, "out": interface}
    )


def written(value: Any) -> bytes:
    return json.dumps(value, indent=1).encode()


GRAPHS: st.SearchStrategy[Files] = st.fixed_dictionaries(
    {
        "gitopsd.yaml": st.just(GITOPSD),
        "fleets/production.yaml": st.just(FLEET),
        "workflows/flow.yaml": declarations("workflow", "flow"),
    },
    optional={
        **{f"modules/{name}.yaml": declarations("module", name) for name in MODULES},
        **{f"modules/vendor/lib/modules/{name}.yaml": declarations("module", name) for name in MODULES[:2]},
    },
).map(lambda files: {path: written(value) for path, value in files.items()})
"""Anything goes: most of these don't link."""


@st.composite
def linked_graphs(draw: st.DrawFn) -> Files:
    """Modules that use only those after them, with channels that exist: these get as far as being expanded."""
    files: dict[str, Any] = {"gitopsd.yaml": GITOPSD, "fleets/production.yaml": FLEET}
    count = draw(st.integers(0, 4))
    for number in range(count + 1):
        inner = [f"modules/m{later}" for later in range(number + 1, count + 1)]
        outermost = number == 0
        steps: dict[str, Any] = {}
        for name in draw(st.lists(st.sampled_from(["s", "t", "u"]), min_size=1, unique=True)):
            use = draw(st.sampled_from([*inner, *inner, "std/exec", "std/read-files", "std/write-files"]))
            own = {"p": draw(st.sampled_from(["/srv/x", "${{ params.p }}/y"]))}
            step: dict[str, Any] = {"use": use, "with": _WITH.get(use, own)}
            if use != "std/read-files":
                step["in"] = draw(st.sampled_from(["a", "b", "c"]))
            if use != "std/write-files":
                step["out"] = draw(st.sampled_from(["a", "b", "c"]))
            if outermost or draw(st.booleans()):
                place = {"group": "edge", **draw(PLACES)} if outermost else {"replicas": draw(st.integers(1, 2))}
                step["place"] = place
            steps[name] = step
        declared: dict[str, Any] = {
            "params": {"p": {"type": "string", "default": "/srv/p"}},
            "steps": steps,
            "channels": {name: draw(TRANSPORTS) for name in ("a", "b", "c")},
        }
        if outermost:
            files["workflows/flow.yaml"] = {"workflow": "flow", **declared}
        else:
            read = {step["in"] for step in steps.values() if "in" in step}
            given = {step["out"] for step in steps.values() if "out" in step}
            interface = {
                side: {"default": min(names)} for side, names in (("in", read - given), ("out", given - read)) if names
            }
            files[f"modules/m{number}.yaml"] = {"module": f"m{number}", **interface, **declared}
    return {path: written(value) for path, value in files.items()}


_WITH = {
    "std/exec": {"command": ["cat"]},
    "std/read-files": {"glob": "${{ params.p }}/*"},
    "std/write-files": {"path": "${{ params.p }}/${{ worker.name }}"},
}


def chain(length: int, *, width: int) -> Files:
    """Each module uses the next one `width` times; the last one uses a blueprint."""
    leaf = {"use": "std/exec", "with": {"command": ["true"]}, "in": "x", "out": "y"}
    channels = {"x": {"transport": "worker"}, "y": {"transport": "worker"}}
    files: dict[str, Any] = {
        "gitopsd.yaml": GITOPSD,
        "fleets/production.yaml": FLEET,
        "workflows/flow.yaml": {"workflow": "flow", "steps": {"s": {"use": "modules/m0", "place": {"group": "edge"}}}},
    }
    for number in range(length):
        last = number == length - 1
        inner = leaf if last else {"use": f"modules/m{number + 1}"}
        module: dict[str, Any] = {"module": f"m{number}", "steps": {f"s{n}": inner for n in range(width)}}
        files[f"modules/m{number}.yaml"] = {**module, "channels": channels} if last else module
    return {path: written(value) for path, value in files.items()}
