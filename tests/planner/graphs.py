"""Graphs that the tests of pictures draw: what is usual, and what is awkward."""

from collections.abc import Mapping, Sequence

from gitopsd.planner.graph.draw import Change, Graph, GraphChannel, GraphEnd, GraphStep, WorkflowGraph

Ends = Sequence[str]


def step(name: str, use: str, group: str = "edge", *, workers: Sequence[str] = (), **change: int) -> GraphStep:
    named = tuple(workers) or (f"{group}-1",)
    return GraphStep(
        name=name, use=use, group=group, replicas=len(named), workers=named, change=Change(counts=change)
    )  # fmt: skip


def channel(name: str, transport: str, producers: Ends, consumers: Ends, **adapters: Change) -> GraphChannel:
    """`adapters`: step, with `_` for `-` and `.`, -> the change of the adapter between it and the channel."""

    def ends(steps: Ends) -> tuple[GraphEnd, ...]:
        written = {name: name.replace("-", "_").replace(".", "_") for name in steps}
        return tuple(GraphEnd(step=name, adapter=adapters.get(written[name])) for name in steps)

    return GraphChannel(name=name, transport=transport, producers=ends(producers), consumers=ends(consumers))


def graph(workflow: str, steps: Sequence[GraphStep], channels: Sequence[GraphChannel]) -> Graph:
    return Graph(
        environment="production",
        workflows=(WorkflowGraph(workflow=workflow, steps=tuple(steps), channels=tuple(channels)),),
    )


EDGES = ["edge-1", "edge-2"]

ROUNDTRIP = graph(
    "roundtrip",
    [step("collect", "std/read-files", "local"), step("deliver", "std/write-files", "local")],
    [channel("collected", "file-store", ["collect"], ["deliver"])],
)

ORDERS = graph(
    "orders",
    [
        step("collect", "std/read-files", workers=EDGES),
        step("cleanse.filter", "std/transform", workers=EDGES),
        step("deliver", "std/write-files", "core"),
        step("reject", "blueprints/alert", "core"),
    ],
    [
        channel("orders_raw", "worker", ["collect"], ["cleanse.filter"]),
        channel("orders_ok", "nats", ["cleanse.filter"], ["deliver"]),
        channel("orders_bad", "file-store", ["cleanse.filter"], ["reject"], reject=Change()),
    ],
)

PLANNED = graph(
    "orders",
    [
        step("collect", "std/read-files", workers=[f"edge-{n}" for n in range(1, 6)], update=5),
        step("cleanse.filter", "std/transform", workers=EDGES, create=1, unchanged=1),
        step("deliver", "std/write-files", "core", move=1),
        step("archive", "std/write-files", "core", held=1),
        step("reject", "blueprints/alert", "core", unchanged=1),
        GraphStep(name="report", change=Change(counts={"delete": 1})),
    ],
    [
        channel("orders_raw", "worker", ["collect"], ["cleanse.filter"]),
        channel("orders_ok", "nats", ["cleanse.filter"], ["deliver", "archive"]),
        channel(
            "orders_bad", "file-store", ["cleanse.filter"], ["reject"], reject=Change(counts={"create": 1}),
        ),
    ],
)  # fmt: skip


def _diamond() -> Graph:
    """Twelve steps: one source, five filters twice over, one sink; adapters around the second row."""
    rows = range(1, 6)
    steps = [step("source", "std/read-files"), step("sink", "std/write-files", "core")]
    channels = [channel("all", "file-store", ["source"], [f"a{n}" for n in rows])]
    for n in rows:
        steps += [step(f"a{n}", "std/transform"), step(f"b{n}", "std/exec", workers=EDGES)]
        adapters: Mapping[str, Change] = {f"b{n}": Change()}
        channels.append(channel(f"through_{n}", "file-store", [f"a{n}"], [f"b{n}"], **adapters))
    channels.append(channel("results", "file-store", [f"b{n}" for n in rows], ["sink"], b1=Change(), b4=Change()))
    channels.append(channel("shortcut", "nats", ["source"], ["sink"]))
    return graph("diamond", steps, channels)


DIAMOND = _diamond()

NESTED = graph(
    "nested",
    [
        step("collect", "std/read-files"),
        step("outer.before", "std/transform"),
        step("outer.inner.parse", "std/transform"),
        step("outer.inner.check", "std/exec"),
        step("outer.after", "std/transform"),
        step("deliver", "std/write-files", "core"),
        step("watch", "std/exec", "core"),
        step("lonely", "blueprints/ticker", "core"),
    ],
    [
        channel("raw", "worker", ["collect"], ["outer.before"]),
        channel("outer.prepared", "worker", ["outer.before"], ["outer.inner.parse", "outer.after"]),
        channel("outer.inner.parsed", "worker", ["outer.inner.parse"], ["outer.inner.check"]),
        channel("errors", "nats", ["outer.inner.parse", "outer.inner.check", "outer.after"], ["watch"]),
        channel("outer.checked", "worker", ["outer.inner.check"], ["outer.after"]),
        channel("done", "file-store", ["outer.after"], ["deliver"]),
    ],
)

ROUND_A_MODULE = graph(
    "there-and-back",
    [
        step("module.first", "std/transform"),
        step("outside", "std/exec"),
        step("module.second", "std/transform"),
        step("source", "std/read-files"),
    ],
    [
        channel("given", "worker", ["source"], ["module.first"]),
        channel("there", "worker", ["module.first"], ["outside", "module.second"]),
        channel("back", "worker", ["outside"], ["module.second"]),
    ],
)

SEVERAL = Graph(environment="production", workflows=(*ROUNDTRIP.workflows, *ORDERS.workflows))

GRAPHS = {
    "roundtrip": ROUNDTRIP,
    "orders": ORDERS,
    "planned": PLANNED,
    "diamond": DIAMOND,
    "nested": NESTED,
    "round-a-module": ROUND_A_MODULE,
    "several": SEVERAL,
}


def many(steps: int) -> Graph:
    """A chain of so many steps."""
    named = [f"s{number}" for number in range(steps)]
    channels = [channel(f"c{n}", "worker", [named[n]], [named[n + 1]]) for n in range(steps - 1)]
    return graph("chain", [step(name, "std/exec") for name in named], channels)
