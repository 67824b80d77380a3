"""`gitopsd run`: what a workflow does to events, by the very processes that workers run."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from tests.cli.trial import with_orders
from tests.operator import Operator, Ran, eventually


def records(ran: Ran, kind: str) -> list[dict[str, Any]]:
    return [record for line in ran.stdout.splitlines() if (record := json.loads(line))["kind"] == kind]


def events(ran: Ran) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for record in records(ran, "event"):
        found.setdefault(record["port"], []).append(record.get("event", record.get("text")))
    return found


def test_a_workflow_runs_from_its_reader_to_its_ends_which_are_left_out(operator: Operator) -> None:
    """The reader takes the file by its own format; a NATS channel and a store are sockets here."""
    ran = with_orders(operator).run("run", "orders", "--input", "events.csv", "--json")
    assert events(ran) == {
        "raw": [{"id": "1", "qty": "7"}, {"id": "2", "qty": "1"}],
        "ok": [{"id": "1", "qty": "7", "worker": "local-1"}],
        "shouted": [{"ID": "1", "QTY": "7", "WORKER": "LOCAL-1"}],
    }
    ways = {record["step"]: record["way"] for record in records(ran, "step")}
    assert ways == {
        "collect": "reads", "cleanse.filter": "runs", "loud": "runs", "deliver": "left-out", "reject": "left-out",
    }  # fmt: skip


def test_a_step_that_writes_outside_runs_where_it_is_asked_for(operator: Operator, tmp_path: Path) -> None:
    out = tmp_path / "written" / "here"  # made if missing, as on a worker
    options = ["--param", f"out={out}", "--input", "events.csv"]
    with_orders(operator).run("run", "orders", *options)
    assert not out.exists()
    operator.run("run", "orders", *options, "--with", "deliver")
    assert [path.read_text() for path in out.iterdir()] == ['{"ID":"1","QTY":"7","WORKER":"LOCAL-1"}\n']


def test_a_module_runs_by_itself_with_the_parameters_that_it_is_given(operator: Operator) -> None:
    command = ["run", "modules/cleanse", "--input", "events.jsonl", "--json"]
    ran = with_orders(operator).run(*command, "--param", "floor=5")
    assert events(ran) == {
        "good": [{"qty": 9, "worker": "local-1"}],
        "bad": [{"error": "the event is not JSON: Expecting value at column 1", "event": "not json"}],
    }
    assert "events.jsonl:4: not JSON (Expecting value at column 1)" in ran.stderr
    refused = operator.run(*command, expect=1)
    assert "needs a value for `floor`" in refused.stderr
    assert "the fewest pieces that count" in refused.stderr
    assert "must be a whole number" in operator.run(*command, "--param", "floor=many", expect=1).stderr
    assert "did you mean `floor`?" in operator.run(*command, "--param", "flor=3", expect=1).stderr


def test_a_trace_shows_each_event_before_and_after_each_action(operator: Operator) -> None:
    ran = with_orders(operator).run("run", "orders.cleanse", "--input", "events.jsonl", "--trace", "--json")
    traced = [(one["event"], next(iter(one["does"])), one["result"]) for one in records(ran, "action")]
    assert traced == [
        (1, "filter", "kept"), (1, "set", "changed"), (1, "remove", "changed"),
        (2, "filter", "dropped"),
        (3, "filter", "failed"),
        (4, "filter", "kept"), (4, "set", "changed"), (4, "remove", "kept"),
    ]  # fmt: skip
    last_of_the_first = records(ran, "action")[2]
    assert last_of_the_first["before"] == [{"event": {"qty": 5, "debug": 1, "worker": "local-1"}}]
    assert last_of_the_first["after"] == [{"event": {"qty": 5, "worker": "local-1"}}]
    text = operator.run("run", "cleanse", "--input", "events.jsonl", "--trace").stdout
    assert '    remove: ["debug"]\n      → {"qty":5,"worker":"local-1"}\n' in text


def test_a_port_that_is_left_open_is_shown_with_what_a_deployment_would_drop(operator: Operator) -> None:
    steps = "filter: {use: std/transform, in: rows, out: good, with: {actions: [{set: {a: '`1`'}}]}}"
    channels = "rows: {transport: worker}, good: {transport: worker}"
    operator.write({
        "modules/plain.yaml": f"module: plain\nin: {{rows: rows}}\nout: {{good: good}}\n"
        f"steps:\n  {steps}\nchannels: {{{channels}}}\n",
        "events.jsonl": "not json\n",
    })  # fmt: skip
    ran = operator.run("run", "modules/plain", "--input", "events.jsonl", "--json")
    dropped = [record for record in records(ran, "event") if not record["bound"]]
    assert [(one["port"], one["event"]["event"]) for one in dropped] == [("plain.filter.error", "not json")]


def test_events_may_come_from_a_pipe(operator: Operator) -> None:
    with_orders(operator)
    command = [sys.executable, "-m", "gitopsd", "run", "cleanse", "--input", "-", "--json"]
    done = subprocess.run(
        command, input='{"qty":2}\n', cwd=operator.folder, capture_output=True, text=True, timeout=120, check=True
    )  # fmt: skip
    assert '"event":{"qty":2,"worker":"local-1"}' in done.stdout


SLIPS = [
    (["ordrs", "--input", "events.jsonl"], "did you mean `orders`?"),
    (["orders.clense", "--input", "events.jsonl"], "did you mean `cleanse`?"),
    (["deliver", "--input", "events.jsonl"], "say which: `orders.deliver`, `roundtrip.deliver`"),
    (["orders", "--input", "rwa=events.jsonl"], "did you mean `raw`?"),
    (["loud", "--input", "none.jsonl"], "none.jsonl can't be read: No such file or directory"),
    (["loud", "--input", "empty.jsonl"], "empty.jsonl holds no events"),
    (["loud", "--input", "."], "can't be read: Is a directory"),
    (["orders.deliver", "--input", "events.jsonl"], "nothing of orders.deliver would run over these events"),
    (["loud", "--with", "lod", "--input", "events.jsonl"], "orders.loud has no step `lod`"),
]


def test_a_slip_is_answered_with_the_way_out(operator: Operator) -> None:
    with_orders(operator).write({"empty.jsonl": "\n\n"})
    for arguments, said in SLIPS:
        ran = operator.run("run", *arguments, expect=1)
        assert said in ran.stderr
        assert ran.stdout == ""


def test_a_filter_that_fails_is_named_with_its_place_and_its_last_words(operator: Operator) -> None:
    with_orders(operator).write({"files/loud.py": "import sys\nsys.stdin.read()\nsys.exit('no voice')\n"})
    ran = operator.run("run", "orders", "--input", "events.csv", "--json", expect=1)
    assert "error: loud: python3 failed with exit code 1: no voice\n  --> workflows/orders.yaml:15:3" in ran.stderr
    (failure,) = records(ran, "failure")
    assert failure["place"] == "workflows/orders.yaml:15:3"
    assert events(ran)["ok"] == [{"id": "1", "qty": "7", "worker": "local-1"}]


def test_a_filter_may_take_longer_in_the_end_than_a_worker_would_give_it(operator: Operator) -> None:
    """Nobody would give it its events again, as would happen there."""
    slow = "import sys, time\nall = sys.stdin.read()\ntime.sleep(5.5)\nsys.stdout.write(all)\n"
    with_orders(operator).write({"files/loud.py": slow})
    ran = operator.run("run", "orders.loud", "--input", "events.jsonl", "--json")
    assert len(events(ran)["default"]) == 4


_STUCK = """\
import os, pathlib, sys, time
pathlib.Path(sys.argv[1]).write_text(str(os.getpid()))
time.sleep(600)
"""


def _with_stuck_filter(operator: Operator) -> Path:
    """A filter that never ends; its process id is written to the file that comes back."""
    with_orders(operator).write({"files/loud.py": _STUCK})
    blueprint = operator.folder / "blueprints/loud.yaml"
    number = operator.folder / "number"
    blueprint.write_text(blueprint.read_text().replace('/loud.py"]', f'/loud.py", {number}]'))
    return number


def _is_gone(number: Path) -> bool:
    return not Path(f"/proc/{number.read_text()}").exists()


def test_what_takes_too_long_is_ended_with_all_that_it_started(operator: Operator) -> None:
    number = _with_stuck_filter(operator)
    ran = operator.run("run", "orders.loud", "--input", "events.jsonl", "--timeout", "5", expect=1)
    assert "error: loud: it took longer than 5 s; still running: loud" in ran.stderr
    eventually("the filter is gone", lambda: _is_gone(number))


def test_a_batch_by_the_hour_goes_when_all_before_it_has_ended(operator: Operator) -> None:
    batch = "{use: std/transform, in: raw, out: batches, with: {actions: [{batch: {events: 2, seconds: 3600}}]}, PLACE}"
    steps = f"""workflow: hours
steps:
  collect: {{use: std/read-files, with: {{glob: /srv/in/*}}, out: raw, PLACE}}
  gather: {batch}
  again: {batch.replace("batches", "whole").replace("raw", "batches")}
  deliver: {{use: std/write-files, in: whole, with: {{path: /srv/out}}, PLACE}}
channels: {{raw: {{transport: worker}}, batches: {{transport: worker}}, whole: {{transport: worker}}}}
"""
    events_file = "".join(f"{number}\n" for number in range(3))
    operator.write({"workflows/hours.yaml": steps.replace("PLACE", "place: {group: local}"), "some.jsonl": events_file})
    ran = operator.run("run", "hours", "--input", "some.jsonl", "--trace", "--json")
    assert events(ran)["batches"] == [{"events": [0, 1]}, {"events": [2]}]
    assert events(ran)["whole"] == [{"events": [{"events": [0, 1]}, {"events": [2]}]}]
    assert {one["result"] for one in records(ran, "action")} == {"batched"}


def test_ctrl_c_ends_all_that_was_started(operator: Operator, tmp_path: Path) -> None:
    number = _with_stuck_filter(operator)
    command = [sys.executable, "-m", "gitopsd", "run", "orders.loud", "--input", "events.jsonl"]
    environment = {**os.environ, "TMPDIR": str(tmp_path / "t")}
    (tmp_path / "t").mkdir()
    process = subprocess.Popen(command, cwd=operator.folder, env=environment, stderr=subprocess.PIPE)
    try:
        eventually("the filter has begun", lambda: number.exists() and bool(number.read_text()))
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=120) == 130
    finally:
        process.kill()
        process.communicate()
    eventually("the filter is gone", lambda: _is_gone(number))
    assert list((tmp_path / "t").iterdir()) == []


def test_a_program_of_the_repository_sees_nothing_of_the_shell_it_was_started_from(operator: Operator) -> None:
    shows = "import json, os, sys\nsys.stdin.read()\nprint(json.dumps(sorted(os.environ)))\n"
    with_orders(operator).write({"files/loud.py": shows})
    in_ci = replace(operator, variables={"GITHUB_TOKEN": "x"})
    ran = in_ci.run("run", "orders.loud", "--input", "events.jsonl", "--json")
    (names,) = events(ran)["default"]
    assert "GITHUB_TOKEN" not in names
    assert "PATH" in names


def test_another_version_than_the_work_tree_can_be_run(operator: Operator) -> None:
    with_orders(operator).commit("Loud")
    operator.write({"files/loud.py": "import sys\nsys.stdin.read()\n"})
    command = ["run", "orders.loud", "--input", "events.jsonl", "--json"]
    assert events(operator.run(*command)) == {}
    assert len(events(operator.run(*command, "--rev", "HEAD"))["default"]) == 4
