"""`gitopsd graph` and `gitopsd schema`, at the command line."""

from tests.operator import Operator

FLOW = """\
workflow: orders
steps:
  collect: {use: std/read-files, with: {glob: /srv/in/*}, out: raw, place: {group: local}}
  cleanse: {use: modules/cleanse, in: {records: raw}, out: {good: ok}, place: {group: local}}
  deliver: {use: std/write-files, in: ok, with: {path: /srv/out}, place: {group: local}}
channels:
  raw: {transport: worker}
  ok: {transport: file-store, path: /srv/store}
"""
MODULE = """\
module: cleanse
in: {records: rows}
out: {good: good}
steps:
  count: {use: std/exec, in: rows, out: good, with: {command: [cat]}}
channels: {rows: {transport: worker}, good: {transport: worker}}
"""


def test_a_graph_shows_modules_channels_adapters_and_placement(operator: Operator) -> None:
    operator.write({"workflows/orders.yaml": FLOW, "modules/cleanse.yaml": MODULE})
    drawn = operator.run("graph", "orders").stdout
    assert '["collect<br/>std/read-files<br/>local: local-1"]' in drawn
    assert '["module cleanse"]' in drawn
    assert '|"raw · worker"|' in drawn
    assert '|"ok · file-store"|' in drawn
    assert "writer (adapter)" in drawn
    assert "roundtrip" not in drawn
    assert "roundtrip" in operator.run("graph").stdout
    assert "#43; create" in operator.run("graph", "orders", "--plan").stdout
    assert operator.run("graph", "--format", "svg", "--plan").stdout.startswith("<svg")


def test_a_graph_is_drawn_of_a_version_and_of_a_plan_of_it(operator: Operator) -> None:
    operator.run("plan", "--out", "plan.json")
    operator.write({"workflows/orders.yaml": FLOW, "modules/cleanse.yaml": MODULE})
    assert "orders" not in operator.run("graph", "--rev", "HEAD").stdout
    of_plan = operator.run("graph", "--plan-file", "plan.json", "--out", "graph.mmd")
    assert of_plan.stdout == ""
    text = (operator.folder / "graph.mmd").read_text()
    assert "#43; create" in text
    assert "orders" not in text
    operator.commit("Orders")
    refused = operator.run("graph", "--plan-file", "plan.json", "--rev", "HEAD", expect=1)
    assert "plan of another version" in refused.stderr


def test_a_graph_of_a_workflow_that_is_not_there_names_the_nearest(operator: Operator) -> None:
    refused = operator.run("graph", "roundtripp", expect=1)
    assert "did you mean `roundtrip`?" in refused.stderr


def test_schemas_are_written_to_a_repository_and_are_no_part_of_its_source(operator: Operator) -> None:
    path = operator.folder / ".gitopsd" / "schemas" / "workflow.json"
    path.write_text("{}")
    assert operator.run("schema", "--write", ".").stdout == ".gitopsd/schemas/workflow.json\n"
    assert path.read_text() == operator.run("schema", "workflow").stdout
    path.write_text("not even JSON")
    assert operator.run("check").stdout.startswith("no errors in 3 files")
    operator.run("schema", expect=64)
