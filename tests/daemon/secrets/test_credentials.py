"""Credentials that systemd hands to the service, as the sources of secrets and of the SSH key."""

from pathlib import Path

import pytest

from gitopsd.daemon.configuration.configuration import Credential, SecretConfiguration, SshConfiguration
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.secrets.errors import SecretError
from gitopsd.daemon.secrets.resolve import value_on_this_machine
from gitopsd.daemon.secrets.ssh_identity import identities

TOKEN = SecretConfiguration(credential="token")
IDENTITY = SshConfiguration(identity=Credential(credential="ssh_identity"))


@pytest.fixture
def handed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    return tmp_path


def test_a_credential_is_the_value_of_a_secret(handed: Path) -> None:
    (handed / "token").write_bytes(b"value\n")
    (handed / "token").chmod(0o444)  # the folder is the service's alone
    assert value_on_this_machine(TOKEN).reveal() == b"value"


def test_a_credential_is_the_key_to_workers(handed: Path) -> None:
    (handed / "ssh_identity").write_bytes(b"key")
    assert identities(IDENTITY) == (str(handed / "ssh_identity"),)


def test_a_credential_that_was_not_handed_over_says_what_to_do(handed: Path) -> None:
    with pytest.raises(SecretError, match=r"/etc/gitopsd/credentials/token, run `gitopsd service install`"):
        value_on_this_machine(TOKEN)
    with pytest.raises(ControllerError, match=r"`ssh: identity`: .* was not given the credential ssh_identity"):
        identities(IDENTITY)
    (handed / "token").write_bytes(b"\n")
    with pytest.raises(SecretError, match="the credential token is empty"):
        value_on_this_machine(TOKEN)


def test_a_key_that_is_a_file_stays_one() -> None:
    assert identities(SshConfiguration(identity="/etc/gitopsd/id_ed25519")) == ("/etc/gitopsd/id_ed25519",)
    assert identities(SshConfiguration()) == ()
