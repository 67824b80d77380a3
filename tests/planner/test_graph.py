"""What the pictures of workflows show; the pictures themselves are golden files, to be looked at when they change."""

import itertools
import re
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitopsd.model.plan import JobChange
from gitopsd.planner.graph.draw import Graph, bounded, draw_graph
from gitopsd.planner.graph.mermaid import MAX_CHARACTERS, MAX_LINKS, mermaid_text
from gitopsd.planner.graph.svg import svg_text
from tests.planner.graphs import GRAPHS, PLANNED, channel, graph, many, step

GOLDEN = Path(__file__).parent / "pictures"
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = '"]; click s1 "javascript:alert(1)" %% `**x**` <img src=x onerror=a()> #quot; &lt;\n- item\n[a](http://x)'


@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize(("kind", "draw"), [("mmd", mermaid_text), ("svg", svg_text)])
def test_a_graph_is_drawn_as_it_was_looked_at(name: str, kind: str, draw: object, *, refresh_golden: bool) -> None:
    assert callable(draw)
    text = draw(GRAPHS[name])
    path = GOLDEN / f"{name}.{kind}"
    if refresh_golden:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def change(job: str, action: str) -> JobChange:
    return JobChange(worker="edge-1", job=job, action=action, effect="none", reason="")  # type: ignore[arg-type]


def test_the_changes_of_replicas_add_up_to_that_of_their_step() -> None:
    changes = [change("orders.collect.0", "create"), change("orders.collect.1", "unchanged")]
    drawn = draw_graph("production", [], {}, [], changes)
    assert str(drawn.workflows[0].steps[0].change) == "+ 1 create, = 1 unchanged"
    assert drawn.workflows[0].steps[0].change.action == "create"


def test_a_workflow_that_leaves_with_the_plan_is_shown() -> None:
    drawn = draw_graph("production", [], {}, [], [change("old.cleanse.filter.0", "delete")])
    assert [(one.workflow, [step.name for step in one.steps]) for one in drawn.workflows] == [
        ("old", ["cleanse.filter"])
    ]
    assert "- delete" in mermaid_text(drawn)
    assert "- delete" in svg_text(drawn)


def test_every_action_has_a_sign_in_words_and_not_only_a_colour() -> None:
    for text in (svg_text(PLANNED), mermaid_text(PLANNED).replace("#43;", "+").replace("#126;", "~")):
        plain = text.replace("#62;", ">").replace("&gt;", ">").replace("#33;", "!")
        for sign in ("+ create", "~ update", "> move", "- delete", "! held", "= unchanged"):
            assert sign in plain


def test_text_from_a_repository_stays_text_in_mermaid() -> None:
    text = mermaid_text(graph("end", [step("click", HOSTILE), step("end", "x")], [
        channel("class", HOSTILE, ["click"], ["end"])
    ]))  # fmt: skip
    labels = re.findall(r'"([^"]*)"', text)
    assert len(labels) == text.count('"') / 2
    for label in labels:
        assert re.fullmatch(r"([A-Za-z0-9 _.,/():=·-]|#\d+;|<br/>)*", label)
    assert not re.search(r"^\s*(click|end\[|class )", re.sub(r'"[^"]*"', "", text), re.MULTILINE)


def test_text_from_a_repository_stays_text_in_svg() -> None:
    root = ET.fromstring(svg_text(graph("end", [step("a", HOSTILE)], [])))  # noqa: S314 - our own text
    assert any(HOSTILE in "".join(element.itertext()) for element in root)
    tags = {element.tag.rpartition("}")[2] for element in root.iter()}
    assert tags <= {"svg", "title", "desc", "style", "rect", "text", "path", "polygon"}
    assert not any("href" in name or name.startswith("on") for element in root.iter() for name in element.attrib)


def test_a_large_workflow_is_drawn_as_far_as_a_forge_shows_it_and_says_so() -> None:
    text = mermaid_text(many(1000))
    assert len(text) <= MAX_CHARACTERS
    assert text.count("-->") <= MAX_LINKS
    assert "of 1,000 steps are shown" in text
    assert "of 1,000 steps are shown" in svg_text(many(1000))


def test_what_a_plan_changes_is_shown_before_the_rest() -> None:
    large = graph("orders", [*(step(f"s{n}", "x", unchanged=1) for n in range(9)), step("new", "x", create=1)], [])
    assert [step.name for step in bounded(large, 1).workflows[0].steps] == ["new"]
    assert bounded(large, 1).hidden == 9


def test_the_same_graph_gives_the_same_picture_whatever_the_order_of_its_steps() -> None:
    assert mermaid_text(PLANNED) == mermaid_text(PLANNED)
    assert svg_text(Graph(environment="e", workflows=())).startswith("<svg")


NAMES = [f"{prefix}{n}" for prefix in ("", "m.", "m.inner.", "other.") for n in "abc"]


@st.composite
def graphs(draw: st.DrawFn) -> Graph:
    """Steps in modules; events never come back to a step, and do come back to modules."""
    order = draw(st.permutations(NAMES))
    ends = st.lists(st.integers(0, len(NAMES) - 1), min_size=2, max_size=4, unique=True).map(sorted)
    channels = []
    for number, places in enumerate(draw(st.lists(ends, max_size=12))):
        cut = draw(st.integers(1, len(places) - 1))
        names = [order[place] for place in places]
        channels.append(channel(f"c{number}", "worker", names[:cut], names[cut:]))
    return graph("made-up", [step(name, "std/exec") for name in NAMES], channels)


def overlap(one: dict[str, float], other: dict[str, float]) -> bool:
    return (
        one["x"] < other["x"] + other["width"] and other["x"] < one["x"] + one["width"]
        and one["y"] < other["y"] + other["height"] and other["y"] < one["y"] + one["height"]
    )  # fmt: skip


@settings(max_examples=80)
@given(drawn=graphs())
def test_nothing_overlaps_and_no_link_crosses_a_step_or_the_name_of_a_channel(drawn: Graph) -> None:
    root = ET.fromstring(svg_text(drawn))  # noqa: S314 - our own text
    shapes = list(root.iter(f"{SVG}rect"))
    measures = [{key: float(shape.attrib[key]) for key in ("x", "y", "width", "height")} for shape in shapes]
    nodes = [place for shape, place in zip(shapes, measures, strict=True) if shape.get("class") in {"step", "channel"}]
    assert len(nodes) == len(drawn.workflows[0].steps) + len(drawn.workflows[0].channels)
    assert not any(overlap(one, other) for one, other in itertools.combinations(nodes, 2))
    page = measures[0]
    for place in measures:
        assert place["x"] + place["width"] <= page["x"] + page["width"]
        assert place["y"] + place["height"] <= page["y"] + page["height"]
    for path in root.iter(f"{SVG}path"):
        for line in lines_of(path.attrib["d"]):
            assert not any(overlap(line, node) for node in nodes)


def lines_of(path: str) -> list[dict[str, float]]:
    """What a path's straight parts and the boxes around its bends cover, less the pixel where it touches a node."""
    found = []
    x = y = 0.0
    for command, text in re.findall(r"([MHC])([^MHC]+)", path):
        numbers = [float(number) for number in text.split()]
        to_x, to_y = (numbers[0], y) if command == "H" else (numbers[-2], numbers[-1])
        if command != "M":
            assert to_x >= x
            height = {"y": min(y, to_y) - 0.5, "height": abs(to_y - y) + 1}
            found.append({"x": x + 0.5, "width": max(0.0, to_x - x - 1), **height})
        x, y = to_x, to_y
    return [one for one in found if one["width"]]
