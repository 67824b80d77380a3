"""Reconcile on a real machine: whatever people and accidents do to it is shown, recorded and put right."""

import json
from typing import Any

import pytest

from tests.fleet.fixtures import StartFleet
from tests.fleet.machine import Machine
from tests.fleet.machines import Fleet
from tests.fleet.operators import production_operator, workers_of
from tests.operator import Operator, eventually

CURRENT = "/var/lib/gitopsd/current"
SYSTEM = "/etc/systemd/system"
A, B, C, ONCE = "orders.a.0", "orders.b.0", "orders.c.0", "orders.once.0"
KEEPER = """\
blueprint: keeper
params: {word: {type: string}}
job:
  exec: [python3, files/keeper.py]
  files:
    keeper.py: {from: files/keeper.py}
    word.txt: "word = ${{ params.word }}\\n"
"""
ONE_TIME = """\
blueprint: one-time
job:
  kind: once
  exec: [python3, -c, "print('done')"]
"""
SCRIPT = """\
import pathlib, sys, time
print(pathlib.Path("files/word.txt").read_text().strip(), flush=True)
if "fail" in pathlib.Path("files/word.txt").read_text():
    sys.exit(1)
while True:
    time.sleep(3600)
"""
WORKFLOW = """\
workflow: orders
steps:
  a: {use: blueprints/keeper, with: {word: alpha}, place: {group: all}}
  b: {use: blueprints/keeper, with: {word: beta}, place: {group: all}}
  c: {use: blueprints/keeper, with: {word: gamma}, place: {group: all}}
  once: {use: blueprints/one-time, place: {group: all}}
"""


@pytest.fixture(scope="module")
def machines(fleet: StartFleet) -> Fleet:
    return fleet(names=("edge-1", "edge-2"))


@pytest.fixture(scope="module")
def operator(machines: Fleet, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Everything is on edge-1; edge-2 has no job."""
    operator = production_operator(tmp_path_factory.mktemp("home"), machines)
    workers = workers_of(machines.values())
    groups = {"all": {"workers": {"edge-1": workers["edge-1"]}}, "none": {"workers": {"edge-2": workers["edge-2"]}}}
    operator.write(
        {
            "fleets/production.yaml": json.dumps({"groups": groups}),
            "workflows/orders.yaml": WORKFLOW,
            "blueprints/keeper.yaml": KEEPER,
            "blueprints/one-time.yaml": ONE_TIME,
            "files/keeper.py": SCRIPT,
        }
    )
    operator.commit("Keep three words")
    operator.run("apply")
    return operator


@pytest.fixture
def machine(machines: Fleet, operator: Operator) -> Machine:
    """edge-1, which each test leaves in sync."""
    del operator  # it has deployed
    machine = machines["edge-1"]
    eventually("the job of kind once is done", lambda: _exists(machine, f"/var/lib/gitopsd/state/{ONCE}/completed"))
    return machine


def _sh(machine: Machine, script: str, *, check: bool = True) -> str:
    return str(machine.run(["sh", "-ec", script], check=check).stdout)


def _exists(machine: Machine, path: str) -> bool:
    return machine.run(["test", "-e", path], check=False).returncode == 0


def _unit(job: str) -> str:
    return f"gitopsd-{job}.service"


def _pid(machine: Machine, unit: str) -> str:
    return _sh(machine, f"systemctl show -p MainPID --value {unit}").strip()


def _one(ran: Any, worker: str = "edge-1") -> Any:
    return next(one for one in ran.json["workers"] if one["worker"] == worker)


def _kinds(result: Any) -> set[tuple[str, str]]:
    return {(drift["kind"], drift["subject"]) for drift in result["drift"]}


def _note(operator: Operator) -> Any:
    head = operator.git("rev-parse", "rendered/production")
    return json.loads(operator.git("notes", "--ref", "gitopsd/production", "show", head))


FILE = f"jobs/{B}/files/word.txt"
EDIT_FILE = f"printf 'word = edited\\n' > {CURRENT}/{FILE}"
UNIT_FILE = f"{SYSTEM}/{_unit(B)}"
OVERRIDE = f"{UNIT_FILE}.d/override.conf"

OVERRIDE_UNTIL_BOOT = f"/run/systemd/system/{_unit(B)}.d"
FAIL = f"""
mkdir -p {OVERRIDE_UNTIL_BOOT}
printf '[Service]\\nRestart=no\\nExecStart=\\nExecStart=/bin/false\\n' > {OVERRIDE_UNTIL_BOOT}/fail.conf
systemctl daemon-reload
systemctl restart {_unit(B)} || true
sleep 0.5
rm -r {OVERRIDE_UNTIL_BOOT}
systemctl daemon-reload
systemctl is-failed {_unit(B)}
"""
ORPHAN = "gitopsd-old.job.0.service"
MAKE_ORPHAN = f"""
sed 's/ExecStart=.*/ExecStart=\\/bin\\/sleep 1000/' {UNIT_FILE} > {SYSTEM}/{ORPHAN}
systemctl daemon-reload
systemctl enable --now {ORPHAN}
"""

DAMAGE = {
    "an edited file": (EDIT_FILE, {("changed-file", FILE)}),
    "a changed mode": (f"chmod 600 {CURRENT}/{FILE}", {("changed-file", FILE)}),
    "a removed file": (f"rm {CURRENT}/{FILE}", {("missing-file", FILE)}),
    "a link in a file's place": (
        f"ln -sf /etc/shadow {CURRENT}/{FILE}",
        {("changed-file", FILE)},
    ),
    "an added file": (f"echo hunter2 > {CURRENT}/jobs/{B}/notes", {("extra-file", f"jobs/{B}/notes")}),
    "an edited unit": (
        f"sed -i s/NoNewPrivileges=yes/NoNewPrivileges=no/ {UNIT_FILE}; systemctl daemon-reload",
        {("changed-unit", B)},
    ),
    "a deleted unit": (f"rm {UNIT_FILE}", {("changed-unit", B), ("not-enabled", B)}),
    "a deleted unit that systemd has forgotten": (
        f"systemctl stop {_unit(B)}; rm {UNIT_FILE} {SYSTEM}/*.wants/{_unit(B)}; systemctl daemon-reload",
        {("missing-replica", B)},
    ),
    "a masked unit": (
        f"ln -sf /dev/null {UNIT_FILE}; systemctl daemon-reload",
        {("changed-unit", B), ("not-enabled", B)},
    ),
    "a drop-in": (
        f"mkdir -p {UNIT_FILE}.d; printf '[Service]\\nNice=5\\nEnvironment=TOKEN=hunter2\\n' > {OVERRIDE}",
        {("changed-unit", B)},
    ),
    "a property that was set until the next boot": (
        f"systemctl set-property --runtime {_unit(B)} MemoryMax=64M",
        {("changed-unit", B)},
    ),
    "a property that was set": (f"systemctl set-property {_unit(B)} MemoryMax=64M", {("changed-unit", B)}),
    "a stopped service": (f"systemctl stop {_unit(B)}", {("not-running", B)}),
    "a disabled service": (f"systemctl disable {_unit(B)}", {("not-enabled", B)}),
    "a failed service": (FAIL, {("failed", B)}),
    "a forgotten record": ("rm /var/lib/gitopsd/applied.json", {("not-applied", B)}),
    "an orphan": (MAKE_ORPHAN, {("orphan", ORPHAN)}),
    "an activation that was cut short": ("echo x > /var/lib/gitopsd/activating", {("interrupted", "")}),
    "a release that is gone": (f"rm -r $(readlink -f {CURRENT})", {("missing-file", "")}),
    "half a release": (f"rm -r {CURRENT}/jobs/{B}", {("missing-file", FILE)}),
    "a link to nothing": (f"ln -sfn releases/{'0' * 40} {CURRENT}", {("out-of-sync", "")}),
    "no link": (f"rm {CURRENT}", {("out-of-sync", "")}),
}
# what may be restarted: the jobs that the damage is about
TOUCHES_ALL = {"a forgotten record"}


@pytest.mark.parametrize("damage", DAMAGE)
def test_what_differs_is_shown_then_put_right_and_the_second_time_there_is_nothing_to_do(
    machine: Machine, operator: Operator, damage: str
) -> None:
    script, expected = DAMAGE[damage]
    _sh(machine, script)
    untouched = {job: _pid(machine, _unit(job)) for job in (A, C)}
    before = _sh(machine, f"find /var/lib/gitopsd {SYSTEM} -printf '%p %T@ %m %i\\n' | grep -v '/agent'")

    shown = operator.run("reconcile", "--dry-run", "--json", expect=2)
    assert _one(shown)["state"] == "drift"
    assert expected <= _kinds(_one(shown))
    assert _one(shown, "edge-2")["state"] == "in-sync"
    after = _sh(machine, f"find /var/lib/gitopsd {SYSTEM} -printf '%p %T@ %m %i\\n' | grep -v '/agent'")
    assert after == before, "a dry run touches nothing"

    healed = operator.run("reconcile", "--json")
    assert _one(healed)["state"] == "converged"
    assert _one(healed, "edge-2")["state"] == "in-sync"
    if damage not in TOUCHES_ALL:
        assert {job: _pid(machine, _unit(job)) for job in (A, C)} == untouched
    assert _sh(machine, f"systemctl is-active {_unit(B)}; systemctl is-enabled {_unit(B)}").split() == [
        "active",
        "enabled",
    ]

    pids = {job: _pid(machine, _unit(job)) for job in (A, B, C)}
    again = operator.run("reconcile", "--json")
    assert {one["state"] for one in again.json["workers"]} == {"in-sync"}
    assert {job: _pid(machine, _unit(job)) for job in (A, B, C)} == pids
    assert "hunter2" not in shown.stdout + healed.stdout
    assert "root:" not in shown.stdout + healed.stdout


def test_the_diff_that_is_overwritten_is_shown_before_and_recorded(machine: Machine, operator: Operator) -> None:
    _sh(machine, EDIT_FILE)
    _sh(machine, f"sed -i s/NoNewPrivileges=yes/NoNewPrivileges=no/ {UNIT_FILE}; {DAMAGE['a drop-in'][0]}")
    shown = operator.run("reconcile", "--dry-run", expect=2).stdout
    for line in ("-word = edited", "+word = beta", "-NoNewPrivileges=no", "+NoNewPrivileges=yes", "-Nice=5"):
        assert line in shown
    assert "-Environment=(not shown)" in shown
    healed = operator.run("reconcile").stdout
    assert healed.index("+word = beta") < healed.index("converged")
    edits = {edit["path"]: edit for edit in _note(operator)["rollouts"][-1]["overwritten"]["edge-1"]}
    assert set(edits) == {FILE, UNIT_FILE, OVERRIDE}
    assert "-word = edited\n+word = beta\n" in edits[FILE]["diff"]
    assert edits[OVERRIDE]["change"] == "added"
    assert "hunter2" not in operator.git("log", "-p", "--all", "refs/notes/gitopsd/production")


def test_an_edit_is_recorded_also_where_a_new_version_replaces_it(machine: Machine, operator: Operator) -> None:
    _sh(machine, EDIT_FILE)
    workflow = operator.folder / "workflows/orders.yaml"
    workflow.write_text(WORKFLOW.replace("gamma", "delta"))
    operator.commit("Another word")
    ran = operator.run("apply")
    assert "-word = edited" in ran.stderr
    (edit,) = _note(operator)["rollouts"][-1]["overwritten"]["edge-1"]
    assert "+word = beta" in edit["diff"]


def test_a_source_that_does_not_compile_keeps_nothing_from_being_put_right(
    machine: Machine, operator: Operator
) -> None:
    _sh(machine, f"systemctl stop {_unit(B)}")
    before = operator.git("rev-parse", "HEAD")
    operator.write({"workflows/broken.yaml": "workflow: [\n"})
    operator.commit("A mistake")
    try:
        operator.run("apply", expect=1)
        assert "1 converged" in operator.run("reconcile").stdout
    finally:
        operator.git("reset", "--hard", "--quiet", before)
    assert _sh(machine, f"systemctl is-active {_unit(B)}").strip() == "active"


def test_everything_else_on_the_machine_is_left_alone(machine: Machine, operator: Operator) -> None:
    others = ("backup", "gitopsd-backup", "gitopsd-orders.b")
    text = "[Service]\\nExecStart=/bin/sleep 1000\\n[Install]\\nWantedBy=multi-user.target\\n"
    for name in others:
        _sh(machine, f"printf '{text}' > {SYSTEM}/{name}.service")
    _sh(machine, f"systemctl daemon-reload; systemctl enable --now {' '.join(others)}; systemctl stop {_unit(B)}")
    _sh(machine, "echo mine > /var/lib/gitopsd/mine")
    before = {name: _pid(machine, f"{name}.service") for name in (*others, "ssh")}
    assert _one(operator.run("reconcile", "--json"))["state"] == "converged"
    assert {name: _pid(machine, f"{name}.service") for name in before} == before
    assert _sh(machine, "cat /var/lib/gitopsd/mine") == "mine\n"
    operator.run("status", "--exit-code")


def test_only_the_named_workers_are_reached(machine: Machine, operator: Operator) -> None:
    _sh(machine, f"systemctl stop {_unit(B)}")
    elsewhere = operator.run("reconcile", "edge-2", "--json")
    assert [one["worker"] for one in elsewhere.json["workers"]] == ["edge-2"]
    operator.run("reconcile", "edge-1", "--dry-run", expect=2)
    operator.run("reconcile", "edge-1")
    assert _note(operator)["rollouts"][-1]["only"] == ["edge-1"]
    ran = operator.run("reconcile", "edge-9", expect=1)
    assert "did you mean `edge-" in ran.stderr


def test_what_is_not_healed_and_what_is_away_have_codes_of_their_own(
    machine: Machine, machines: Fleet, operator: Operator
) -> None:
    other = machines["edge-2"]
    other.cut_link()
    try:
        ran = operator.run("reconcile", "--json", expect=4)
        assert {one["worker"]: one["state"] for one in ran.json["workers"]} == {
            "edge-1": "in-sync",
            "edge-2": "unreachable",
        }
        _sh(machine, f"systemctl stop {_unit(B)}")
        operator.run("reconcile", "--dry-run", expect=2)
    finally:
        other.restore_link()
    machine.make_read_only("/var/lib/gitopsd")
    try:
        assert "edge-1: failed" in operator.run("reconcile", expect=1).stdout
    finally:
        machine.make_writable("/var/lib/gitopsd")
    assert "1 converged" in operator.run("reconcile", "--now").stdout
