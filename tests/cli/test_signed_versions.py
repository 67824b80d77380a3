"""What isn't signed as `policy.signers` asks isn't deployed, and what is committed is signed by `signing.key`."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.operator import Operator, away_operator
from tests.ssh_keys import SshKey, allow, make_key, signing_options

IDENTITY = ("-c", "user.name=Ada", "-c", "user.email=ada@example.invalid")


def _configured(operator: Operator, **settings: object) -> Operator:
    config = operator.home / "config.yaml"
    config.write_text(json.dumps(settings))
    return replace(operator, config=config)


def _change(operator: Operator, key: SshKey | None, message: str = "Change") -> str:
    path = "workflows/roundtrip.yaml"
    text = (operator.folder / path).read_text()
    operator.write({path: f"{text}# {message}\n"})
    operator.git("add", "--all")
    signing = (*signing_options(key), *IDENTITY, "commit", "-q", "-S") if key else (*IDENTITY, "commit", "-q")
    operator.git(*signing, "-m", message)
    return operator.git("rev-parse", "HEAD")


def _elsewhere(operator: Operator) -> dict[str, str]:
    """Changes every release."""
    path = "workflows/roundtrip.yaml"
    return {path: (operator.folder / path).read_text().replace("}/out", "}/elsewhere")}


@pytest.fixture
def away(tmp_path: Path) -> Operator:
    return away_operator(tmp_path)


def test_what_is_committed_is_signed_with_the_configured_key(away: Operator, tmp_path: Path) -> None:
    key = make_key(tmp_path, "controller")
    allowed = allow(tmp_path / "allowed", ("controller", "", key))
    operator = _configured(away, signing={"key": str(key.path)})
    operator.write(_elsewhere(operator))
    first = operator.commit("Another folder")
    operator.run("apply", expect=4)
    operator.run("worker", "cordon", "local-1", "--reason", "looked at")
    operator.run("rollback")
    for ref in ("rendered/local~1", "rendered/local", "main", "refs/notes/gitopsd/local"):
        operator.git("-c", f"gpg.ssh.allowedSignersFile={allowed}", "verify-commit", ref)
    assert operator.git("rev-parse", "main~1") == first


def test_a_credential_of_systemd_holds_the_key(away: Operator, tmp_path: Path) -> None:
    key = make_key(tmp_path, "signing-key")
    allowed = allow(tmp_path / "allowed", ("controller", "", key))
    operator = _configured(away, signing={"key": {"credential": "signing-key"}})
    ran = operator.run("worker", "cordon", "local-1", "--reason", "looked at", expect=1)
    assert "was not given the credential signing-key" in ran.stderr
    before = operator.git("rev-parse", "rendered/local")
    given = replace(operator, variables={"CREDENTIALS_DIRECTORY": str(tmp_path)})
    given.run("worker", "cordon", "local-1", "--reason", "looked at")
    assert operator.git("rev-parse", "rendered/local~1") == before
    operator.git("-c", f"gpg.ssh.allowedSignersFile={allowed}", "verify-commit", "rendered/local")


def test_a_version_that_nobody_signed_is_refused_before_anything_is_committed(away: Operator, tmp_path: Path) -> None:
    key, other = make_key(tmp_path, "ada"), make_key(tmp_path, "eve")
    operator = _configured(away, policy={"signers": [str(allow(tmp_path / "signers", ("ada", "", key)))]})
    head = operator.git("rev-parse", "rendered/local")
    for signature, why in ((None, "is not signed"), (other, "which is not listed")):
        commit = _change(operator, signature)
        for what in ([], ["HEAD"]):
            ran = operator.run("apply", *what, expect=1)
            assert f"commit {commit[:12]} by" in ran.stderr
            assert why in ran.stderr
            assert str(tmp_path / "signers") in ran.stderr
        assert operator.git("rev-parse", "rendered/local") == head
    operator.write(_elsewhere(operator))
    operator.commit("Something to deploy")
    assert "would refuse it" in operator.run("plan").stdout
    assert "would refuse it" in operator.run("plan", "HEAD", "--json").stderr
    operator.run("check")
    _change(operator, key)  # a signed commit on top vouches for all that is below it
    operator.run("apply", expect=4)
    assert operator.git("rev-parse", "rendered/local~1") == head


def test_a_merge_counts_by_its_own_signature(away: Operator, tmp_path: Path) -> None:
    key = make_key(tmp_path, "ada")
    operator = _configured(away, policy={"signers": [str(allow(tmp_path / "signers", ("ada", "", key)))]})
    operator.git("checkout", "-q", "-b", "topic")
    _change(operator, key)
    operator.git("checkout", "-q", "main")
    operator.git(*IDENTITY, "merge", "-q", "--no-ff", "--no-edit", "topic")
    assert "merge on your machine" in operator.run("apply", expect=1).stderr
    operator.git("reset", "-q", "--hard", "HEAD~1")
    operator.git(*signing_options(key), *IDENTITY, "merge", "-q", "--no-ff", "-S", "--no-edit", "topic")
    operator.run("apply", expect=4)


def test_a_pin_that_others_can_move_must_lead_to_a_signed_commit(away: Operator, tmp_path: Path) -> None:
    key = make_key(tmp_path, "ada")
    operator = _configured(away, policy={"signers": [str(allow(tmp_path / "signers", ("ada", "", key)))]})
    unsigned = operator.git("rev-parse", "HEAD")
    operator.git("tag", "v1", unsigned)
    environments = (operator.folder / "gitopsd.yaml").read_text().rstrip()

    def pin(name: str) -> None:
        operator.write({"gitopsd.yaml": f"{environments}\n    pin: {name}\n"})
        _change(operator, key, f"Pin {name}")

    pin("v1")
    assert f"the pin `v1`, commit {unsigned[:12]}" in operator.run("apply", expect=1).stderr
    pin(unsigned)  # the signed version names exactly that
    operator.run("apply", expect=4)
    other = operator.git(*IDENTITY, "commit-tree", "-m", "another", f"{unsigned}^{{tree}}")
    operator.git("update-ref", f"refs/tags/{unsigned}", other)  # a tag of that name wins over the commit
    assert f"commit {other[:12]}" in operator.run("apply", expect=1).stderr
