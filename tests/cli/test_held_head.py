"""A forged head of the artifact branch at the command line: no worker is touched, and what to do is said."""

from pathlib import Path

import pytest

from tests.daemon.trust.forgery import content, forge
from tests.operator import Operator, away_operator

BRANCH = "rendered/local"


@pytest.fixture
def away(tmp_path: Path) -> Operator:
    return away_operator(tmp_path)


def _forged(operator: Operator) -> str:
    fleet = content(operator.folder, "fleet.json", branch=BRANCH)
    assert b"127.0.0.1" in fleet
    return forge(operator.folder, {"fleet.json": fleet.replace(b"127.0.0.1", b"127.0.0.2")}, branch=BRANCH)


def test_no_convergence_passes_a_forged_head_and_apply_commits_the_real_one_on_top(away: Operator) -> None:
    forged = _forged(away)
    for command in (["reconcile"], ["reconcile", "local-1"], ["reconcile", "--dry-run"]):
        ran = away.run(*command, expect=1)
        assert f"commit {forged[:12]} by Eve" in ran.stderr
        assert "fleet.json" in ran.stderr
        assert "127.0.0.2" not in ran.stdout + ran.stderr, "nobody was reached there"
    assert away.run("audit", expect=1).stdout.count("DIFFERS") == 1
    assert f"commit {forged[:12]} by Eve" in away.run("apply", expect=4).stderr
    assert away.git("rev-parse", f"{BRANCH}~1") == forged, "nothing is lost"
    assert b"127.0.0.1" in content(away.folder, "fleet.json", branch=BRANCH)
    away.run("reconcile", "--now", expect=4)
    found = away.run("audit", "--all", "--json", expect=1).json
    assert [one["finding"] for one in found] == ["equal", "differs", "equal"]


def test_audit_exits_with_2_where_it_cannot_be_known(away: Operator) -> None:
    message = away.git("log", "-1", "--format=%B", BRANCH).replace("loyment: 1", "loyment: 2")
    unit = away.git("ls-tree", "-r", "--name-only", BRANCH, "workers/").split()[-1]
    forge(away.folder, {unit: b"other"}, message=message.replace("0.1.0", "0.0.9"), branch=BRANCH)
    ran = away.run("audit", expect=2)
    assert "another version rendered it" in ran.stdout
    assert "rendered by gitopsd 0.0.9" in away.run("reconcile", expect=1).stderr


def test_audit_of_nothing_and_of_both(away: Operator) -> None:
    away.run("audit", "1", "--all", expect=64)
    assert "no deployment" in away.run("audit", "7", expect=1).stderr
