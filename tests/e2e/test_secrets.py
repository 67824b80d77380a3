"""Secrets on a real machine, under systemd: who can read them, what a rotation restarts, and where they never are."""

import hashlib
import json
import subprocess
import sysconfig
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pyrage
import pytest

from tests.canary import CANARY, processes_with, readable_files_with, repository_holds
from tests.fleet.fixtures import StartFleet
from tests.fleet.machine import Machine
from tests.operator import Operator, eventually

ROOT = "/var/lib/gitopsd"
FILE, VARIABLE, SOPS = "keys.file.0", "keys.variable.0", "keys.sops.0"
SPY, OTHER_SPY = "keys.spy.0", "keys.other.0"

BLUEPRINT = """\
blueprint: NAME
secrets: SECRETS
job:
  exec: [python3, files/SCRIPT]
  files: {SCRIPT: {from: files/SCRIPT}}
"""
KEEP = """\
import hashlib, json, os, pathlib, time
place = pathlib.Path(os.environ["CREDENTIALS_DIRECTORY"])
held = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in place.iterdir()}
pathlib.Path(os.environ["STATE_DIRECTORY"], "held").write_text(json.dumps(held))
time.sleep(100000)
"""
# tries every place where the secrets of the other jobs lie
SPYING = """\
import glob, json, os, pathlib, time
while True:
    places = [
        path
        for top in ("/var/lib/gitopsd/credentials", "/run/credentials", "/proc/[0-9]*/root/run/credentials")
        for path in glob.glob(top + "/**", recursive=True)
    ]
    for job, secret in (("file", "from_file"), ("variable", "from_env"), ("sops", "from_sops")):
        places.append(f"/var/lib/gitopsd/credentials/current/keys.{job}.0/{secret}")
        places.append(f"/run/credentials/gitopsd-keys.{job}.0.service/{secret}")
    read = []
    for place in places:
        try:
            with open(place, "rb") as file:
                read.append([place, len(file.read())])
        except OSError:
            pass
    result = pathlib.Path(os.environ["STATE_DIRECTORY"], "read")
    aside = result.with_name("aside")
    aside.write_text(json.dumps([os.getuid(), len(places), read]))
    aside.replace(result)
    time.sleep(0.5)
"""
WORKFLOW = """\
workflow: keys
steps:
  file: {use: blueprints/file, place: {group: core}}
  variable: {use: blueprints/variable, place: {group: core}}
  sops: {use: blueprints/sops, place: {group: core}}
  spy: {use: blueprints/spy, place: {group: core}}
  other: {use: blueprints/other, place: {group: core}}
channels: {}
"""
# run on the worker: every file and every process there that has the text, whose two halves come as arguments
SEARCH = """\
import os, sys, json
text = "".join(sys.argv[1:]).encode()
files, processes = [], []
for top, folders, names in os.walk("/"):
    if top == "/":
        folders[:] = [name for name in folders if name not in ("proc", "sys", "dev")]
    for name in names:
        path = os.path.join(top, name)
        try:
            if os.path.isfile(path) and not os.path.islink(path) and text in open(path, "rb").read():
                files.append([path, os.stat(path).st_mode & 0o777])
        except OSError:
            pass
for process in filter(str.isdigit, os.listdir("/proc")):
    for part in ("environ", "cmdline"):
        try:
            if text in open(f"/proc/{process}/{part}", "rb").read():
                processes.append([process, part])
        except OSError:
            pass
print(json.dumps([files, processes]))
"""


def blueprint(name: str, *secrets: str, script: str, more: str = "") -> str:
    text = BLUEPRINT.replace("NAME", name).replace("SECRETS", f"[{', '.join(secrets)}]").replace("SCRIPT", script)
    return text + more


@pytest.fixture(scope="module")
def machine(fleet: StartFleet) -> Machine:
    machine = fleet(1)["worker-1"]
    machine.run(["useradd", "--system", "--user-group", "--no-create-home", "spy"])
    return machine


@pytest.fixture(scope="module")
def identity() -> pyrage.x25519.Identity:
    return pyrage.x25519.Identity.generate()


@pytest.fixture(scope="module")
def operator(machine: Machine, identity: pyrage.x25519.Identity, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    home = tmp_path_factory.mktemp("home")
    (home / "value").write_text(f"{CANARY}-file\n")
    (home / "value").chmod(0o600)
    config = home / "config.yaml"
    config.write_text(f"""\
ssh: {{identity: {machine.client_key}}}
policy: {{users: [spy]}}
secrets:
  from_file: {{file: {home}/value, workflows: [keys], groups: [core]}}
  from_env: {{env: KEYS_ENV}}
  from_sops: {{sops: secrets/production.yaml, key: deep.token}}
""")
    operator = Operator(
        folder=home / "repository",
        home=home,
        config=config,
        variables={"KEYS_ENV": f"{CANARY}-env", "SOPS_AGE_KEY": str(identity)},
    )
    operator.run("init", str(operator.folder))
    operator.git("rm", "--quiet", "workflows/roundtrip.yaml", "tests/roundtrip.yaml", "fleets/local.yaml")
    worker = f'{{address: {machine.address}, user: root, host_key: "{machine.host_key}"}}'
    operator.write(
        {
            "gitopsd.yaml": "environments:\n  production: {fleet: fleets/production.yaml}\n",
            "fleets/production.yaml": f"groups:\n  core:\n    workers:\n      worker-1: {worker}\n",
            "workflows/keys.yaml": WORKFLOW,
            "blueprints/file.yaml": blueprint("file", "from_file", script="keep.py"),
            "blueprints/variable.yaml": blueprint("variable", "from_env", script="keep.py"),
            "blueprints/sops.yaml": blueprint("sops", "from_sops", "from_env", script="keep.py"),
            "blueprints/spy.yaml": blueprint("spy", script="spy.py"),
            "blueprints/other.yaml": blueprint("other", script="spy.py", more="  unit: {User: spy}\n"),
            "files/keep.py": KEEP,
            "files/spy.py": SPYING,
            "secrets/production.yaml": encrypted(identity, home, f"deep:\n  token: {CANARY}-sops\n"),
        }
    )
    operator.commit("Keys")
    return operator


def encrypted(identity: pyrage.x25519.Identity, home: Path, text: str) -> str:
    (home / "plain.yaml").write_text(text)
    sops = str(Path(sysconfig.get_path("scripts")) / "sops")
    command = [sops, "encrypt", "--age", str(identity.to_public()), "plain.yaml"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True, check=True, timeout=30)
    (home / "plain.yaml").unlink()
    return str(done.stdout)


@pytest.fixture(scope="module")
def deployed(operator: Operator) -> Operator:
    (worker,) = operator.run("apply", "--json").json["workers"]
    assert worker["state"] == "converged", worker
    return operator


def held(machine: Machine, job: str) -> Mapping[str, str]:
    """What a job found in its credentials directory, as digests; nothing before it has said so."""
    text = machine.run(["cat", f"{ROOT}/state/{job}/held"], check=False).stdout
    found: Mapping[str, str] = json.loads(text) if text else {}
    return found


def wait_for_held(machine: Machine, job: str, values: Mapping[str, str]) -> None:
    """Which it writes soon after it was started."""
    eventually(f"{job} holds what it should", lambda: held(machine, job) == values)


def wait_for(machine: Machine, path: str) -> None:
    eventually(f"{path} is there", lambda: machine.run(["test", "-e", path], check=False).returncode == 0)


def digest(kind: str) -> str:
    return hashlib.sha256(f"{CANARY}-{kind}".encode()).hexdigest()


def pids(operator: Operator) -> dict[str, int]:
    workloads = operator.run("workloads", "--json").json
    assert all(one["state"] == "running" for one in workloads), workloads
    return {one["job"]: one["main_pid"] for one in workloads}


def test_jobs_read_their_own_secrets_and_no_others(deployed: Operator, machine: Machine) -> None:
    wait_for_held(machine, FILE, {"from_file": digest("file")})
    wait_for_held(machine, VARIABLE, {"from_env": digest("env")})
    wait_for_held(machine, SOPS, {"from_env": digest("env"), "from_sops": digest("sops")})
    for job in (SPY, OTHER_SPY):
        path = f"{ROOT}/state/{job}/read"
        wait_for(machine, path)
        user, tried, read = json.loads(machine.run(["cat", path]).stdout)
        assert user != 0
        assert tried >= 6
        assert read == []
    modes = machine.run(["find", f"{ROOT}/credentials", "-not", "-type", "l", "-printf", "%y %m %u\n"]).stdout.split(
        "\n"
    )
    assert set(filter(None, modes)) == {"d 700 root", "f 600 root"}
    deployed.run("status", "--exit-code")
    assert deployed.run("apply", "--json").json["workers"][0]["state"] == "in-sync"


def test_a_rotation_is_drift_and_restarts_only_the_jobs_that_use_the_secret(
    deployed: Operator, machine: Machine, identity: pyrage.x25519.Identity
) -> None:
    before, head = pids(deployed), deployed.git("rev-parse", "rendered/production")
    reloads = machine.run(["systemctl", "show", "-p", "UnitsReloadTimestampMonotonic"]).stdout
    (deployed.home / "value").write_text(f"{CANARY}-rotated")
    assert f"changed-secret: {FILE}: " in deployed.run("status", "--exit-code", expect=1).stdout
    (worker,) = deployed.run("apply", "--json").json["workers"]
    assert worker["touched"] == {"started": [], "restarted": [FILE], "reloaded": [], "stopped": []}
    after = pids(deployed)
    assert {job for job in before if before[job] != after[job]} == {FILE}
    wait_for_held(machine, FILE, {"from_file": digest("rotated")})
    assert deployed.git("rev-parse", "rendered/production") == head
    assert machine.run(["systemctl", "show", "-p", "UnitsReloadTimestampMonotonic"]).stdout == reloads
    # a file of SOPS is rotated by a commit that changes no release
    deployed.write(
        {"secrets/production.yaml": encrypted(identity, deployed.home, f"deep:\n  token: {CANARY}-sops-2\n")}
    )
    deployed.commit("Rotate")
    deployed.run("apply")
    assert {job for job, pid in pids(deployed).items() if pid != after[job]} == {SOPS}
    wait_for_held(machine, SOPS, {"from_env": digest("env"), "from_sops": digest("sops-2")})
    deployed.run("status", "--exit-code")


def test_jobs_have_their_secrets_after_a_reboot(deployed: Operator, machine: Machine) -> None:
    machine.power_off()
    machine.boot()
    eventually("everything runs again", lambda: deployed.run("status", "--exit-code", expect=None).code == 0)
    wait_for_held(machine, VARIABLE, {"from_env": digest("env")})


def test_the_canary_is_only_where_it_belongs(deployed: Operator, machine: Machine, tmp_path: Path) -> None:
    plan = tmp_path / "plan.json"
    deployed.write({"files/keep.py": KEEP + "# another version\n"})
    deployed.commit("Another version")
    printed = []
    for arguments in (
        ["check"], ["plan"], ["plan", "--json"], ["plan", "--format", "markdown"], ["plan", "HEAD", "--out", str(plan)],
        ["explain", "keys.file"], ["graph"], ["apply", str(plan)], ["apply", "--json"], ["status"],
        ["status", "--json"], ["workloads"], ["history", "--json"], ["worker", "probe", "--json"],
    ):  # fmt: skip
        ran = deployed.run("--debug", *arguments)
        printed.append(ran.stdout + ran.stderr)
    for spoilt in ({"KEYS_ENV": ""}, {"SOPS_AGE_KEY": "AGE-SECRET-KEY-1" + CANARY.upper()}):
        ran = replace(deployed, variables={**deployed.variables, **spoilt}).run("--debug", "apply", expect=1)
        printed.append(ran.stdout + ran.stderr)
        assert "nothing was committed" in ran.stderr
    with_link_cut = replace(deployed, variables={**deployed.variables, "KEYS_ENV": f"{CANARY}-late"})
    machine.cut_link()
    try:
        ran = with_link_cut.run("--debug", "apply", expect=4)
    finally:
        machine.restore_link()
    printed += [ran.stdout + ran.stderr, plan.read_text()]
    assert [text for text in printed if CANARY in text or CANARY.upper() in text] == []

    assert not repository_holds(deployed.folder, CANARY)
    assert processes_with(CANARY) == []  # of this machine, which sees those of the worker too
    here = readable_files_with(CANARY, deployed.home)
    assert [path.name for path, _ in here] == ["value"]

    half = len(CANARY) // 2
    found = machine.run(["python3", "-c", SEARCH, CANARY[:half], CANARY[half:]]).stdout
    files, processes = json.loads(found)
    assert processes == []
    assert files, "the search finds what is there"
    allowed = (f"{ROOT}/credentials/sets/", "/run/credentials/gitopsd-keys.")
    assert [path for path, _ in files if not path.startswith(allowed)] == []
    assert [path for path, mode in files if mode & 0o007] == []
    assert CANARY not in machine.run(["journalctl", "--no-pager", "-o", "export"]).stdout
