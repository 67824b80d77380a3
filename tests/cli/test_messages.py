"""Messages by the commands, on the built-in worker under supervisor."""

import json
import subprocess
import sys
from pathlib import Path

from tests.operator import Operator, eventually

WORKFLOW = """\
workflow: shop
steps:
  close: {use: blueprints/close, with: {day: DAY}, signals: orders-closed, place: {group: local}}
  report: {use: blueprints/report, on: {message: orders-closed}, with: {log: LOG}, place: {group: local}}
  orders: {use: std/read-files, with: {glob: "IN/*.jsonl", mode: tail}, out: orders, place: {group: local}}
  large:
    use: std/transform
    with: {actions: [{filter: "total > `1000`"}]}
    in: orders
    out: orders-closed
    place: {group: local}
channels:
  orders: {transport: worker}
messages:
  orders-closed: {transport: worker}
"""
CLOSE = """\
blueprint: close
params: {day: {type: integer}}
job: {kind: once, exec: [sh, -c, "echo ${{ params.day }} > $GITOPSD_PAYLOAD"]}
"""
REPORT = """\
blueprint: report
params: {log: {type: string}}
job:
  kind: once
  exec: [sh, -c, "cat $GITOPSD_MESSAGE >> ${{ params.log }}/$GITOPSD_JOB"]
  writes: ["${{ params.log }}"]
"""


def _write(operator: Operator, day: int) -> Path:
    log, into = operator.folder / "data/log", operator.folder / "data/in"
    for folder in (log, into):
        folder.mkdir(parents=True, exist_ok=True)
    workflow = WORKFLOW.replace("DAY", str(day)).replace("LOG", str(log)).replace("IN/", f"{into}/")
    operator.write({"workflows/shop.yaml": workflow, "blueprints/close.yaml": CLOSE, "blueprints/report.yaml": REPORT})
    operator.commit(f"Close day {day}")
    return log


def _newest(log: Path, job: str = "shop.report.0") -> list[object]:
    """What each run was told last, by the payload or by the event."""
    if not (log / job).exists():
        return []
    told = [json.loads(line)["newest"] for line in (log / job).read_text().splitlines()]
    return [one.get("payload", one) for one in told]


def test_runs_and_events_start_a_step_that_waits(operator: Operator) -> None:
    log = _write(operator, 1)
    operator.run("apply")
    eventually("the first close is reported", lambda: _newest(log) == [1])
    operator.run("status", "--exit-code")
    operator.run("apply")
    (operator.folder / "data/in/orders.jsonl").write_text('{"total": 5}\n{"total": 5000}\n')
    eventually("the large order is reported", lambda: _newest(log) == [1, {"total": 5000}])
    _write(operator, 2)
    changed = {change["job"]: change for change in operator.run("plan", "--json").json["changes"]}
    assert changed["shop.close.0"]["action"] == "update"
    assert changed["shop.report.0"]["action"] == "unchanged"
    operator.run("apply")
    eventually("the second close is reported", lambda: _newest(log) == [1, {"total": 5000}, 2])
    operator.run("apply")
    assert _newest(log) == [1, {"total": 5000}, 2]


def test_a_copy_takes_none_of_its_jobs_messages_and_runs_for_what_it_is_fed(operator: Operator) -> None:
    log = _write(operator, 1)
    operator.run("apply")
    eventually("the close is reported", lambda: _newest(log) == [1])
    operator.run("job", "clone", "shop.report.0", "mine", "--start")
    fed = subprocess.run(
        [sys.executable, "-m", "gitopsd", "job", "feed", "mine"],
        input='{"payload": "fed"}\n',
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=operator.environment(),
        cwd=operator.folder,
    )
    assert fed.stdout == "mine: 1 of 1 events acknowledged at its input on\n", fed.stderr
    assert _newest(log, "mine") == ["fed"]
    _write(operator, 2)
    operator.run("apply")
    eventually("the second close is reported", lambda: _newest(log) == [1, 2])
    assert _newest(log, "mine") == ["fed"]


def test_explain_and_graph_show_what_starts_a_step(operator: Operator) -> None:
    _write(operator, 1)
    assert "Runs for each burst of the message orders-closed" in operator.run("explain", "shop.report").stdout
    assert "Signals orders-closed when a run has ended well" in operator.run("explain", "shop.close").stdout
    drawn = operator.run("graph", "shop").stdout
    assert '-.->|"orders-closed · worker"|' in drawn
    assert '-->|"orders · worker"|' in drawn
    assert operator.run("graph", "shop", "--format", "svg").stdout.count('stroke-dasharray="5 3"') == 3


def test_a_local_run_shows_messages_as_events_and_starts_nothing_for_them(operator: Operator) -> None:
    _write(operator, 1)
    (operator.folder / "events").write_text('{"total": 5}\n{"total": 5000}\n')
    ran = operator.run("run", "shop", "--input", "orders=events").stdout
    assert 'orders-closed (from large)\n  {"total": 5000}\n' in ran
    assert "report" in ran
    assert "it waits for the message `orders-closed`" in ran
