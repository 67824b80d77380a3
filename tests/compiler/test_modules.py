"""Modules put in the place of the steps that use them."""

from typing import TYPE_CHECKING, Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from gitopsd.compiler.front import compile_front
from gitopsd.model.system import System
from tests.compiler.cases import GOLDEN, Case, compile_with, rendered_files
from tests.contents import in_memory

if TYPE_CHECKING:
    from gitopsd.compiler.back import Compiled

FLEET = b"groups: {edge: {workers: {edge-1: {connection: local, service_manager: supervisor}}}}"
ENVIRONMENTS = b"environments: {production: {fleet: fleets/production.yaml}}"


def system_of(files: dict[str, bytes]) -> System:
    front = compile_front(in_memory({"gitopsd.yaml": ENVIRONMENTS, "fleets/production.yaml": FLEET, **files}), None)
    assert front.diagnostics == ()
    return front.flows[0].system


def test_steps_of_nested_modules_are_named_after_the_steps_around_them() -> None:
    compiled = Case(path=GOLDEN / "the-example-of-the-design").compile()
    assert compiled.diagnostics == ()
    system = compiled.flows[0].system
    assert list(system.steps) == ["cleanse.filter", "cleanse.mark.set", "collect", "deliver", "reject"]
    assert list(system.channels) == ["cleanse.parsed", "orders_bad", "orders_ok", "orders_raw"]
    assert system.channels["orders_ok"].transport == "nats", "a port's transport is that of the outer channel"


def test_a_value_that_only_the_worker_knows_passes_through_modules() -> None:
    compiled = Case(path=GOLDEN / "the-example-of-the-design").compile()
    files = rendered_files(compiled)
    for worker, replica in (("edge-1", 1), ("edge-2", 0)):
        path = f"workers/{worker}/jobs/orders.cleanse.mark.set.{replica}/job.json"
        actions = msgspec.json.decode(files[path][0])["runner"]["with"]["actions"]
        assert actions == [{"set": {"level": f"'warning on {worker}'"}}]


def test_the_same_as_a_module_and_written_out_does_the_same() -> None:
    """But for its name a step inside a module is told exactly what it would be told outside."""
    head = b"""\
workflow: orders
steps:
  collect: {use: std/read-files, with: {glob: /srv/in/*}, out: raw, place: {group: edge}}
"""
    tail = b"  deliver: {use: std/write-files, in: ok, with: {path: /srv/out}, place: {group: edge}}\n"
    channels = b"channels: {raw: {transport: worker}, ok: {transport: worker}}\n"
    plain = (
        head
        + b"  shape: {use: std/transform, in: raw, out: ok, with: {actions: [{parse: json}]}, place: {group: edge}}\n"
    )
    using = head + b"  shape: {use: modules/shape, in: raw, out: ok, place: {group: edge}}\n"
    module = b"""\
module: shape
in: {rows: rows}
out: {shaped: shaped}
steps:
  one: {use: std/transform, in: rows, out: shaped, with: {actions: [{parse: json}]}}
channels: {rows: {transport: worker}, shaped: {transport: worker}}
"""
    outside = system_of({"workflows/orders.yaml": plain + tail + channels}).steps["shape"]
    inside = system_of({"workflows/orders.yaml": using + tail + channels, "modules/shape.yaml": module}).steps[
        "shape.one"
    ]
    assert (inside.params, inside.place, inside.inputs, inside.outputs) == (
        outside.params,
        outside.place,
        outside.inputs,
        outside.outputs,
    )


def test_an_inner_step_narrows_the_place_of_its_user() -> None:
    module = b"""\
module: one
steps:
  collect: {use: std/read-files, out: x, with: {glob: /srv/in/*}, place: {replicas: 1, constraints: ["label.a == b"]}}
  deliver: {use: std/write-files, in: x, with: {path: /srv/out}}
channels: {x: {transport: file-store, path: /srv/x}}
"""
    workflow = b"""\
workflow: orders
steps:
  all: {use: modules/one, place: {group: edge, replicas: 3, constraints: ["label.c == d"]}}
"""
    steps = system_of({"workflows/orders.yaml": workflow, "modules/one.yaml": module}).steps
    assert (steps["all.collect"].place.replicas, steps["all.deliver"].place.replicas) == (1, 3)
    assert steps["all.collect"].place.constraints == ("label.c == d", "label.a == b")
    assert steps["all.collect"].place.group == "edge"


def test_every_use_of_a_module_has_channels_and_steps_of_its_own() -> None:
    module = b"""\
module: pair
in: {rows: rows}
steps:
  first: {use: std/transform, in: rows, out: inner, with: {actions: [{parse: json}]}}
  last: {use: std/write-files, in: inner, with: {path: "/srv/${{ params.name }}"}}
params: {name: {type: string}}
channels: {rows: {transport: worker}, inner: {transport: worker}}
"""
    workflow = b"""\
workflow: orders
steps:
  collect: {use: std/read-files, with: {glob: /srv/in/*}, out: raw, place: {group: edge}}
  a: {use: modules/pair, in: raw, with: {name: one}, place: {group: edge}}
  b: {use: modules/pair, in: raw, with: {name: two}, place: {group: edge}}
channels: {raw: {transport: worker}}
"""
    system = system_of({"workflows/orders.yaml": workflow, "modules/pair.yaml": module})
    assert [end.step for end in system.channels["raw"].consumers] == ["a.first", "b.first"]
    assert {"a.inner", "b.inner"} <= system.channels.keys()
    assert [system.steps[name].params["path"] for name in ("a.last", "b.last")] == ["/srv/one", "/srv/two"]


NAMES = st.sampled_from(["a", "b", "c", "d"])


@st.composite
def module_graphs(draw: st.DrawFn) -> dict[str, bytes]:
    """Modules that use each other in any way, circles among them."""
    files: dict[str, Any] = {}
    names = ["a", "b", "c", "d"]
    for name in names:
        uses = draw(st.lists(NAMES, max_size=3))
        steps: dict[str, Any] = {"own": {"use": "std/read-files", "with": {"glob": "/srv/*"}, "out": "rows"}}
        steps["end"] = {"use": "std/write-files", "with": {"path": "/srv/out"}, "in": "rows"}
        steps |= {f"use-{index}": {"use": f"modules/{used}"} for index, used in enumerate(uses)}
        files[f"modules/{name}.yaml"] = {"module": name, "steps": steps, "channels": {"rows": {"transport": "worker"}}}
    files["workflows/all.yaml"] = {
        "workflow": "all",
        "steps": {f"s-{name}": {"use": f"modules/{name}", "place": {"group": "edge"}} for name in names},
    }
    encoded = {path: msgspec.json.encode(value) for path, value in files.items()}
    return {"gitopsd.yaml": ENVIRONMENTS, "fleets/production.yaml": FLEET, **encoded}


@given(files=module_graphs())
def test_any_graph_of_modules_ends_in_steps_or_names_a_circle(files: dict[str, bytes]) -> None:
    compiled: Compiled = compile_with(files)
    codes = {diagnostic.code for diagnostic in compiled.diagnostics}
    assert codes in ({"module-cycle"}, set(), {"no-eligible-worker"})
    if not codes:
        assert all(not step.use.startswith("modules/") for step in compiled.flows[0].system.steps.values())


def test_a_port_of_one_name_on_both_sides_is_two_ports() -> None:
    module = b"""\
module: mini
in: {default: one}
out: {default: two}
steps: {t: {use: std/transform, in: one, out: two, with: {actions: [{parse: json}]}}}
channels: {one: {transport: worker}, two: {transport: worker}}
"""
    workflow = b"""\
workflow: orders
steps:
  collect: {use: std/read-files, with: {glob: /srv/in/*}, out: raw, place: {group: edge}}
  mini: {use: modules/mini, in: raw, out: ok, place: {group: edge}}
  deliver: {use: std/write-files, in: ok, with: {path: /srv/out}, place: {group: edge}}
channels: {raw: {transport: worker}, ok: {transport: worker}}
"""
    step = system_of({"workflows/orders.yaml": workflow, "modules/mini.yaml": module}).steps["mini.t"]
    assert (step.inputs, step.outputs) == ({"default": "raw"}, {"default": "ok"})
