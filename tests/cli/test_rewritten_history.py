"""A source branch that was rewritten: nothing of it deploys by itself until a person says that it is meant."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.operator import Operator, away_operator
from tests.ssh_keys import allow, make_key


@pytest.fixture
def away(tmp_path: Path) -> Operator:
    return away_operator(tmp_path)


def _change(operator: Operator, folder: str) -> str:
    """A version that changes every release."""
    text = (operator.folder / "gitopsd.yaml").read_text()
    before = text.split("data: ")[1].split("}")[0]
    operator.write({"gitopsd.yaml": text.replace(before, folder)})
    return operator.commit(f"To {folder}")


def _rewritten(operator: Operator, folder: str) -> str:
    """The newest commit replaced by another one."""
    operator.git("reset", "-q", "--hard", "HEAD~1")
    return _change(operator, folder)


def _deployed(operator: Operator) -> str:
    message = operator.git("log", "-1", "--format=%(trailers:key=Source-Commit,valueonly)", "rendered/local")
    return message.strip()


def _away_from(operator: Operator, *, expect: str) -> None:
    assert expect in operator.run("apply", expect=1).stderr


def test_a_rewritten_branch_is_refused_until_a_person_accepts_it(away: Operator) -> None:
    old = _change(away, "/srv/a")
    away.run("apply", expect=4)
    new = _rewritten(away, "/srv/b")
    refused = away.run("apply", expect=1).stderr
    assert old[:12] in refused
    assert new[:12] in refused
    assert f"gitopsd accept {new[:12]} --reason" in refused
    assert _deployed(away) == old
    said = away.run("accept", "--reason", "the commit held a name", "--json").json
    assert said["accepted"]["commit"] == new
    assert said["accepted"]["owner"]
    assert away.run("accept", "--reason", "the commit held a name", "--json").json["commit"] is None
    later = _change(away, "/srv/c")  # what follows the accepted commit is meant, too
    away.run("apply", expect=4)
    assert _deployed(away) == later


def test_an_acceptance_counts_once(away: Operator) -> None:
    _change(away, "/srv/a")
    away.run("apply", expect=4)
    _rewritten(away, "/srv/b")
    away.run("accept", "--reason", "meant")
    _change(away, "/srv/c")
    away.run("apply", expect=4)
    _rewritten(away, "/srv/d")  # still follows what was accepted, but not what was deployed since
    _away_from(away, expect="history of the source branch was rewritten")
    shutil.rmtree(away.home / "state/gitopsd/controller")  # what the branches say is enough
    _away_from(away, expect="history of the source branch was rewritten")


def test_a_branch_that_was_set_back_is_refused_until_it_is_accepted(away: Operator) -> None:
    old = away.git("rev-parse", "HEAD")
    _change(away, "/srv/a")
    away.run("apply", expect=4)
    away.git("reset", "-q", "--hard", old)
    _away_from(away, expect="which is newer than")
    away.run("accept", "--reason", "meant")
    away.run("apply", expect=4)
    assert _deployed(away) == old


def test_what_was_seen_counts_although_it_changed_nothing(away: Operator) -> None:
    old = away.git("rev-parse", "HEAD")
    away.write({"README.md": "another text"})
    seen = away.commit("No release changes")
    away.run("apply", expect=4)
    assert _deployed(away) == old
    away.git("reset", "-q", "--hard", "HEAD~1")
    _away_from(away, expect=seen[:12])
    away.run("accept", "--reason", "meant")
    away.run("apply", expect=4)
    away.git("reset", "-q", "--hard", seen)
    away.run("apply", expect=4)
    away.git("reset", "-q", "--hard", "HEAD~1")
    shutil.rmtree(away.home / "state/gitopsd/controller")  # a new disk knows what the branches say
    away.run("apply", expect=4)


def test_a_version_that_a_person_names_deploys_and_the_branch_goes_on_after_it(away: Operator) -> None:
    first = _change(away, "/srv/a")
    away.run("apply", expect=4)
    away.git("checkout", "-q", "-b", "topic", f"{first}~1")
    other = _change(away, "/srv/topic")
    away.git("checkout", "-q", "main")
    away.run("apply", "topic", "--hold", "tried out", expect=4)
    assert _deployed(away) == other
    assert "Off-Branch: yes" in away.git("log", "-1", "--format=%B", "rendered/local")
    away.run("resume")
    away.run("apply", expect=4)
    assert _deployed(away) == first
    rewritten = _rewritten(away, "/srv/b")
    away.run("apply", rewritten[:12], "--hold", "meant", expect=4)
    assert _deployed(away) == rewritten
    away.run("resume")
    _change(away, "/srv/c")
    away.run("apply", expect=4)


def test_an_acceptance_that_no_controller_signed_is_not_believed(away: Operator, tmp_path: Path) -> None:
    key = make_key(tmp_path, "controller")
    policy = {"controllers": [str(allow(tmp_path / "controllers", ("controller", "", key)))]}
    config = tmp_path / "config.yaml"
    strict = replace(away, config=config)
    config.write_text(json.dumps({"policy": policy, "signing": {"key": str(key.path)}}))
    _change(away, "/srv/a")
    strict.run("apply", expect=4)
    new = _rewritten(away, "/srv/b")
    away.run("accept", "--reason", "says somebody")
    assert "isn't believed" in strict.run("apply", expect=1).stderr
    config.write_text(json.dumps({"policy": policy}))
    assert "only a signed acceptance counts" in strict.run("accept", "--reason", "meant", expect=1).stderr
    config.write_text(json.dumps({"policy": policy, "signing": {"key": str(key.path)}}))
    strict.run("accept", "--reason", "meant")
    strict.run("apply", expect=4)
    assert _deployed(away) == new
