"""Unmanaged copies on a real machine: nothing that gitopsd does to jobs ever touches one."""

import json
import subprocess
import sys
from typing import Any

import pytest

from tests.canary import CANARY
from tests.fleet.fixtures import StartFleet
from tests.fleet.machine import Machine
from tests.operator import Operator, Ran, eventually

ROOT = "/var/lib/gitopsd"
COLLECT, DELIVER, KEEP = "orders.collect.0", "orders.deliver.0", "orders.keep.0"
WORKFLOW = """\
workflow: orders
steps:
  collect: {use: std/read-files, with: {glob: "/srv/in/*.jsonl", mode: tail}, out: lines, place: {group: edge}}
  deliver: {use: std/write-files, in: lines, with: {path: /srv/out, rotate_seconds: ROTATE}, place: {group: edge}}
  keep: {use: blueprints/keep, place: {group: edge}}
channels:
  lines: {transport: TRANSPORT}
"""
KEEP_SCRIPT = """\
import hashlib, os, pathlib, time
held = pathlib.Path(os.environ["CREDENTIALS_DIRECTORY"], "token").read_bytes()
pathlib.Path(os.environ["STATE_DIRECTORY"], "held").write_text(hashlib.sha256(held).hexdigest())
while True:
    time.sleep(3600)
"""


@pytest.fixture(scope="module")
def machine(fleet: StartFleet) -> Machine:
    machine = fleet(names=("edge-1",))["edge-1"]
    machine.run(["mkdir", "-p", "/srv/in"])
    return machine


@pytest.fixture(scope="module")
def operator(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Reaches the machine as an account with sudo that `worker bootstrap` made."""
    home = tmp_path_factory.mktemp("home")
    config = home / "config.yaml"
    config.write_text(f"""\
ssh: {{identity: {machine.client_key}}}
secrets: {{token: {{file: {home}/token}}}}
""")
    (home / "token").write_text(f"{CANARY}-one\n")
    (home / "token").chmod(0o600)
    operator = Operator(folder=home / "repository", home=home, config=config)
    operator.run("init", str(operator.folder))
    made = operator.run("worker", "bootstrap", f"root@{machine.address}", "--host-key", machine.host_key, "--yes")
    operator.git("rm", "--quiet", "workflows/roundtrip.yaml", "fleets/local.yaml")
    operator.write(
        {
            "gitopsd.yaml": "environments:\n  production: {fleet: fleets/production.yaml}\n",
            "fleets/production.yaml": f"groups:\n  edge:\n    workers:\n{made.stdout}",
            "blueprints/keep.yaml": (
                "blueprint: keep\nsecrets: [token]\n"
                "job: {exec: [python3, files/keep.py], files: {keep.py: {from: files/keep.py}}}\n"
            ),
            "files/keep.py": KEEP_SCRIPT,
        }
    )
    _deploy(operator, rotate=0)
    return operator


def _deploy(operator: Operator, *, rotate: int, transport: str = "worker", more: str = "") -> Ran:
    """Another version: what rotates otherwise is another version of the job."""
    text = WORKFLOW.replace("ROTATE", str(rotate)).replace("TRANSPORT", transport)
    operator.write({"workflows/orders.yaml": text.replace("channels:", f"{more}channels:")})
    operator.commit(f"Rotate after {rotate} s, {transport}")
    return operator.run("apply", "--confirm-deletes")


def _sh(machine: Machine, script: str, *, check: bool = True) -> str:
    return str(machine.run(["sh", "-ec", script], check=check).stdout)


def _copies(operator: Operator) -> dict[str, Any]:
    return {one["name"]: one for one in operator.run("job", "list", "--json").json if not one["managed"]}


def _jobs(operator: Operator) -> dict[str, int]:
    return {one["name"]: one["main_pid"] for one in operator.run("job", "list", "--json").json if one["managed"]}


def _feed(operator: Operator, name: str, events: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "gitopsd", "--config", str(operator.config), "job", "feed", name, *options],
        input=events,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env=operator.environment(),
        cwd=operator.folder,
    )


def _written(machine: Machine, name: str) -> str:
    return _sh(machine, f"cat {ROOT}/copies/{name}/state/written/*.jsonl", check=False)


def test_a_copy_edited_by_hand_lives_through_deployments_reconcile_rollback_and_a_boot(
    operator: Operator, machine: Machine
) -> None:
    jobs = _jobs(operator)
    operator.run("job", "clone", DELIVER, "mine", "--start")
    operator.run("job", "clone", KEEP, "kept", "--start")
    assert _jobs(operator) == jobs, "making it disturbs nobody"
    edited = f"{ROOT}/copies/mine/jobs/mine/job.json"
    _sh(
        machine,
        f"sed -i 's/written/by-hand/' {edited}; install -d -o gitopsd-job {ROOT}/copies/mine/state/by-hand; "
        "mkdir -p /etc/systemd/system/gitopsd-copy-mine.service.d; "
        "printf '[Service]\\nNice=5\\n' > /etc/systemd/system/gitopsd-copy-mine.service.d/mine.conf; "
        "systemctl daemon-reload; systemctl restart gitopsd-copy-mine.service",
    )
    look = (
        f"cat {edited} $(find /etc/systemd/system -type f -path '*gitopsd-copy-*'); "
        f"sha256sum {ROOT}/copies/*/copy.json; "
        "systemctl show -p MainPID,NRestarts,InvocationID,Nice,ActiveState gitopsd-copy-mine gitopsd-copy-kept"
    )
    before = _sh(machine, look)
    assert "Nice=5" in before
    assert before.count("ActiveState=active") == 2
    for number in (60, 120, 180):
        _deploy(operator, rotate=number)
    _sh(machine, f"systemctl stop gitopsd-{DELIVER}; echo edited >> {ROOT}/current/jobs/{COLLECT}/job.json")
    operator.run("reconcile")
    operator.git("-c", "user.name=O", "-c", "user.email=o@example.invalid", "revert", "--no-edit", "HEAD")
    operator.run("apply")
    operator.run("status", "--exit-code")
    assert operator.run("reconcile", "--dry-run", expect=0).stdout.count("copy") == 0
    assert _sh(machine, look) == before
    fed = _feed(operator, "mine", '{"n": 1}\n{"n": 2}\n')
    assert fed.stdout.startswith("mine: 2 of 2 events"), fed.stderr
    assert _sh(machine, f"cat {ROOT}/copies/mine/state/by-hand/*.jsonl") == '{"n": 1}\n{"n": 2}\n'

    machine.reboot()

    eventually("both run again", lambda: [one["state"] for one in _copies(operator).values()] == ["running"] * 2)
    assert "Nice=5" in _sh(machine, look)
    for name in ("mine", "kept"):
        operator.run("job", "remove", name, "--yes")
    assert _copies(operator) == {}
    left = f"ls -d {ROOT}/copies/* {ROOT}/copies/.[a-z]* /run/gitopsd/c/* /etc/systemd/system/*copy* "
    left += "/etc/systemd/system/*.wants/*copy* 2>/dev/null || true; systemctl list-units --all --plain | grep copy"
    assert _sh(machine, f"{left} || true") == ""
    assert "in sync" in operator.run("status", "--exit-code").stdout


@pytest.mark.parametrize("transport", ["worker", "file-store"])
def test_a_copy_neither_takes_nor_repeats_events_of_the_original(
    operator: Operator, machine: Machine, transport: str
) -> None:
    path = ", path: /srv/lines" if transport == "file-store" else ""
    _deploy(operator, rotate=0, transport=transport + path)
    for job, name in ((COLLECT, "second-collect"), (DELIVER, "second-deliver")):
        operator.run("job", "clone", job, name, "--start")
    lines = [json.dumps({"transport": transport, "n": number}) for number in range(200)]
    _sh(machine, f"cat > /srv/in/{transport}.part <<'END'\n" + "\n".join(lines) + "\nEND\n")
    _sh(machine, f"mv /srv/in/{transport}.part /srv/in/{transport}.jsonl")

    def delivered() -> list[str]:
        found = _sh(machine, "cat /srv/out/*.jsonl", check=False).splitlines()
        return [line for line in found if json.loads(line)["transport"] == transport]

    eventually("all events arrive", lambda: len(delivered()) >= 200)
    store = f"{ROOT}/copies/second-collect/state/out-default/segments/second-collect"

    def read_by_the_copy() -> list[str]:
        found = _sh(machine, f"cat {store}/*.jsonl", check=False).splitlines()
        return [line for line in found if json.loads(line)["transport"] == transport]

    eventually("the copy of the reader reads all of it for itself", lambda: len(read_by_the_copy()) >= 200)
    assert delivered() == lines, "each once, in order"
    assert read_by_the_copy() == lines
    assert _written(machine, "second-deliver") == "", "nobody feeds it but a person"
    assert _feed(operator, "second-deliver", '{"fed": true}\n').returncode == 0
    assert _written(machine, "second-deliver") == '{"fed": true}\n'
    assert "fed" not in _sh(machine, "cat /srv/out/*.jsonl")
    if transport == "file-store":
        assert "second" not in _sh(machine, "find /srv/lines /srv/out")
        unit = _sh(machine, "cat /etc/systemd/system/gitopsd-copy-second-*")
        assert "/srv/lines" not in unit, "not even writable for them"
    for name in ("second-collect", "second-deliver"):
        operator.run("job", "remove", name, "--yes")


def test_a_copy_keeps_the_secret_of_its_making_for_root_and_itself_alone(operator: Operator, machine: Machine) -> None:
    ran = operator.run("job", "clone", KEEP, "kept", "--start")
    assert "a rotation doesn't reach it" in ran.stderr
    held = f"{ROOT}/copies/kept/state/held"
    eventually("it has its secret", lambda: machine.run(["test", "-s", held], check=False).returncode == 0)
    before = _sh(machine, f"cat {held}")
    (operator.home / "token").write_text(f"{CANARY}-two\n")
    operator.run("apply")
    eventually("the job has the new one", lambda: _sh(machine, f"cat {ROOT}/state/{KEEP}/held") not in ("", before))
    _sh(machine, f"rm {held}; systemctl restart gitopsd-copy-kept.service")
    eventually("the copy has the old one", lambda: _sh(machine, f"cat {held}", check=False) == before)
    assert _sh(machine, f"stat -c '%a %U' {ROOT}/copies/kept/credentials {ROOT}/copies/kept/credentials/token") == (
        "700 root\n600 root\n"
    )
    found = _sh(machine, f"grep -rl {CANARY} /etc /run/gitopsd /var/lib/gitopsd --exclude-dir=credentials || true")
    assert found == ""
    operator.run("job", "remove", "kept", "--yes")
    assert _sh(machine, f"ls {ROOT}/copies") == ""


def test_a_copy_that_does_not_start_is_made_and_says_why(operator: Operator, machine: Machine) -> None:
    folder = f"{ROOT}/current/jobs/{DELIVER}"
    _sh(machine, f"cp {folder}/job.json /root/job.json; sed -i 's/write-files/no-such-role/' {folder}/job.json")
    try:
        ran = operator.run("job", "clone", DELIVER, "bad", "--start", expect=1)
    finally:
        _sh(machine, f"cp /root/job.json {folder}/job.json")
    assert "did not start" in ran.stderr
    assert "no-such-role" in ran.stderr, "the last lines of its log"
    assert _copies(operator)["bad"]["copied_from"] == DELIVER
    operator.run("job", "remove", "bad", "--yes")


def test_teardown_names_the_copies_and_takes_them_only_when_told(operator: Operator, machine: Machine) -> None:
    operator.run("job", "clone", DELIVER, "mine", "--start")
    ran = operator.run("worker", "teardown", "edge-1", "--yes", expect=1)
    assert "mine" in ran.stderr
    assert "--with-copies" in ran.stderr
    assert len(_jobs(operator)) == 3
    assert _copies(operator)["mine"]["state"] == "running"
    operator.run("worker", "teardown", "edge-1", "--yes", "--with-copies")
    assert _sh(machine, f"ls -d {ROOT} /run/gitopsd /etc/systemd/system/gitopsd-* 2>/dev/null || true") == ""
    assert _sh(machine, "pgrep -u gitopsd-job || true") == ""
    operator.run("apply")


def test_a_worker_that_left_stays_on_record_while_there_are_copies_on_it(operator: Operator, machine: Machine) -> None:
    operator.run("job", "clone", DELIVER, "mine", "--start")
    operator.git("rm", "--quiet", "workflows/orders.yaml")
    operator.write({"fleets/production.yaml": "groups:\n  edge: {rollout: {drain: 0s}}\n"})
    operator.commit("Without a worker")
    ran = operator.run("apply", "--confirm-deletes")
    assert "edge-1 left the fleet and stays on record" in ran.stderr
    assert [one["name"] for one in operator.run("job", "list", "--json").json] == ["mine"]
    assert _sh(machine, "systemctl is-active gitopsd-copy-mine") == "active\n"
    operator.run("job", "remove", "mine", "--yes")
    operator.run("apply")
    assert operator.run("worker", "list", "--json").json == []
