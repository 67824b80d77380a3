"""Secrets on the built-in worker: resolved, handed over, rotated, and found nowhere else."""

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from tests.canary import CANARY, processes_with, readable_files_with, repository_holds
from tests.operator import Operator, eventually

BLUEPRINT = """\
blueprint: NAME
secrets: SECRETS
job:
  exec: [python3, files/keep.py]
  files: {keep.py: {from: files/keep.py}}
"""
# says how long the value is, never what it is
KEEP = """\
import os, pathlib, time
place = pathlib.Path(os.environ["CREDENTIALS_DIRECTORY"]) if "CREDENTIALS_DIRECTORY" in os.environ else None
held = {path.name: len(path.read_bytes()) for path in place.iterdir()} if place else {}
print("holds", sorted(held.items()), flush=True)
pathlib.Path(os.environ["STATE_DIRECTORY"], "holds").write_text(repr(sorted(held.items())))
time.sleep(3600)
"""
WORKFLOW = """\
workflow: keys
steps:
  one: {use: blueprints/one, place: {group: local}}
  two: {use: blueprints/two, place: {group: local}}
  none: {use: blueprints/none, place: {group: local}}
channels: {}
"""
ONE, TWO, NONE = "keys.one.0", "keys.two.0", "keys.none.0"


def blueprint(name: str, *secrets: str) -> str:
    return BLUEPRINT.replace("NAME", name).replace("SECRETS", f"[{', '.join(secrets)}]")


@pytest.fixture
def keys(operator: Operator) -> Operator:
    """A repository with three jobs: one that asks for two secrets, one that asks for one of them, one for none."""
    operator.git("rm", "--quiet", "workflows/roundtrip.yaml", "tests/roundtrip.yaml")
    operator.write(
        {
            "gitopsd.yaml": "environments:\n  local: {fleet: fleets/local.yaml}\n",
            "workflows/keys.yaml": WORKFLOW,
            "blueprints/one.yaml": blueprint("one", "from_file", "from_env"),
            "blueprints/two.yaml": blueprint("two", "from_env"),
            "blueprints/none.yaml": blueprint("none"),
            "files/keep.py": KEEP,
        }
    )
    operator.commit("Keys")
    (operator.home / "value").write_text(f"{CANARY}-file\n")
    (operator.home / "value").chmod(0o600)
    config = operator.home / "config.yaml"
    config.write_text(f"secrets: {{from_file: {{file: {operator.home}/value}}, from_env: {{env: KEYS_ENV}}}}\n")
    return replace(operator, config=config, variables={"KEYS_ENV": f"{CANARY}-env"})


def root_of(operator: Operator) -> Path:
    (root,) = (operator.home / "state/gitopsd").glob("local-1-*")
    return root


def value_of(operator: Operator, job: str, name: str) -> bytes:
    return (root_of(operator) / "credentials/current" / job / name).read_bytes()


def pids(operator: Operator) -> dict[str, int]:
    return {one["job"]: one["main_pid"] for one in operator.run("workloads", "--json").json}


def holds(operator: Operator, job: str) -> str:
    path = root_of(operator) / "state" / job / "holds"
    eventually(f"{job} has started", lambda: path.exists() and path.stat().st_size > 0)
    return path.read_text()


def test_each_job_is_handed_its_own_secrets_and_no_others(keys: Operator) -> None:
    keys.run("apply")
    long, short = len(f"{CANARY}-file"), len(f"{CANARY}-env")
    assert holds(keys, ONE) == repr([("from_env", short), ("from_file", long)])
    assert holds(keys, TWO) == repr([("from_env", short)])
    assert holds(keys, NONE) == "[]"
    assert value_of(keys, ONE, "from_file") == f"{CANARY}-file".encode()  # without the newline at its end
    for path in (root_of(keys) / "credentials").rglob("*"):
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert path.is_symlink() or mode == (0o700 if path.is_dir() else 0o600), path
    keys.run("status", "--exit-code")
    assert keys.run("apply", "--json").json["workers"][0]["state"] == "in-sync"


def test_a_rotated_secret_is_drift_and_restarts_only_the_jobs_that_use_it(keys: Operator) -> None:
    keys.run("apply")
    before, head = pids(keys), keys.git("rev-parse", "rendered/local")
    (keys.home / "value").write_text(f"{CANARY}-rotated")
    ran = keys.run("status", "--exit-code", expect=1)
    assert f"changed-secret: {ONE}: the secret `from_file` has another value" in ran.stdout
    assert ran.stdout.count("changed-secret") == 1
    (worker,) = keys.run("apply", "--json").json["workers"]
    assert worker["touched"] == {"started": [], "restarted": [ONE], "reloaded": [], "stopped": []}
    after = pids(keys)
    assert (after[TWO], after[NONE]) == (before[TWO], before[NONE])
    assert after[ONE] != before[ONE]
    assert value_of(keys, ONE, "from_file") == f"{CANARY}-rotated".encode()
    assert keys.git("rev-parse", "rendered/local") == head
    keys.run("status", "--exit-code")
    rotated = replace(keys, variables={"KEYS_ENV": "another"})
    (worker,) = rotated.run("apply", "--json").json["workers"]
    assert worker["touched"]["restarted"] == [ONE, TWO]
    assert len(list((root_of(keys) / "credentials/sets").iterdir())) == 2


def test_what_no_job_asks_for_any_more_is_removed(keys: Operator) -> None:
    keys.run("apply")
    keys.write({"blueprints/one.yaml": blueprint("one", "from_env"), "blueprints/two.yaml": blueprint("two")})
    keys.commit("Ask for less")
    keys.run("apply")
    current = root_of(keys) / "credentials/current"
    assert [str(path.relative_to(current)) for path in sorted(current.rglob("*"))] == [ONE, f"{ONE}/from_env"]
    before = root_of(keys) / "credentials/previous"
    assert (before / ONE / "from_file").exists(), "the set of the release before stays with it"
    keys.run("status", "--exit-code")


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        ("rm value", "value can't be read: No such file or directory"),
        (": > value", "value is empty"),
        ("echo > value", "value is empty"),
        ("chmod o+r value", "value can be read by everyone: `chmod o= "),
        ("rm value; mkdir value", "value"),
        ("head -c 300000 /dev/zero > value", "more than 256 KiB"),
    ],
)
def test_a_value_that_cannot_be_had_is_named_before_anything_is_committed(
    keys: Operator, spoil: str, complaint: str
) -> None:
    assert os.system(f"cd {keys.home} && {spoil}") == 0  # noqa: S605 -- commands of this table
    ran = replace(keys, variables={}).run("--debug", "apply", expect=1)
    assert "the secret `from_file`: " in ran.stderr
    assert complaint in ran.stderr
    assert "the secret `from_env`: the environment variable KEYS_ENV is not set" in ran.stderr
    assert "nothing was committed" in ran.stderr
    assert CANARY not in ran.stderr + ran.stdout
    assert not keys.git("branch", "--list", "rendered/local")


def test_status_says_which_secrets_it_could_not_compare(keys: Operator) -> None:
    keys.run("apply")
    ran = replace(keys, variables={}).run("status", "--exit-code")
    assert "not compared: the secret `from_env`: the environment variable KEYS_ENV is not set" in ran.stdout
    (facts,) = replace(keys, variables={}).run("status", "--json").json
    assert len(facts["unknown_secrets"]) == 1


def test_a_value_that_was_edited_or_laid_open_on_the_worker_is_put_right(keys: Operator) -> None:
    keys.run("apply")
    current = root_of(keys) / "credentials/current"
    (current / TWO / "from_env").write_text("edited")
    (current / ONE / "from_file").chmod(0o644)
    ran = keys.run("status", "--exit-code", expect=1)
    assert f"{TWO}: the secret `from_env` has another value" in ran.stdout
    assert f"{ONE}: the value of the secret `from_file` is not on the worker" in ran.stdout
    keys.run("apply")
    assert value_of(keys, TWO, "from_env") == f"{CANARY}-env".encode()
    keys.run("status", "--exit-code")


def test_a_canary_is_found_nowhere_but_where_it_belongs(keys: Operator, tmp_path: Path) -> None:
    printed = []
    for arguments in (
        ["check"], ["plan"], ["plan", "--json"], ["plan", "--format", "markdown"],
        ["plan", "HEAD", "--out", "../plan.json"],
        ["explain", "keys.one"], ["graph"], ["apply"], ["apply", "--json"], ["status"], ["status", "--json"],
        ["workloads", "--json"], ["history", "--json"], ["worker", "probe"],
    ):  # fmt: skip
        ran = keys.run("--debug", *arguments)
        printed.append(ran.stdout + ran.stderr)
    (keys.home / "value").write_text(f"{CANARY}-rotated")
    for arguments in (["status"], ["apply"], ["workloads"]):
        ran = keys.run("--debug", *arguments)
        printed.append(ran.stdout + ran.stderr)
    assert all(CANARY not in text for text in printed)
    assert CANARY not in (tmp_path / "plan.json").read_text()
    assert not repository_holds(keys.folder, CANARY)
    assert processes_with(CANARY) == []
    found = readable_files_with(CANARY, tmp_path)
    private = (root_of(keys) / "credentials", keys.home / "value")
    assert found, "the search finds what is there"
    assert [path for path, _ in found if not any(place in (path, *path.parents) for place in private)] == []
    assert [path for path, mode in found if mode & 0o077] == []
    record = json.loads(keys.git("show", "rendered/local:policy.json"))
    assert record["secrets"] == {"from_env": {}, "from_file": {}}
