"""The unit as it is shipped, and what is written beside it."""

import shutil
import subprocess
from pathlib import Path

import pytest

from gitopsd.daemon.configuration.configuration import (
    SYSTEM_PATH,
    Configuration,
    Credential,
    ForgeConfiguration,
    ForgeSecret,
    SecretConfiguration,
    SshConfiguration,
    read_configuration,
)
from gitopsd.daemon.service.account import Account
from gitopsd.daemon.service.needs import Needs, needs_of
from gitopsd.daemon.service.places import ACCOUNT
from gitopsd.daemon.service.unit_files import configuration_text, drop_in_text, installed_user, quoted, unit_text
from gitopsd.repo.errors import RepositoryError
from tests.repo.gitrepo import GitRepo

OWN = Account(name=ACCOUNT, user=990, group=990)
OTHER = Account(name="git", user=1000, group=1000)
needs_systemd_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")


def drop_in(needs: Needs | None = None, *, account: Account = OWN, command: tuple[str, ...] = ("/bin/true",)) -> str:
    return drop_in_text(command, SYSTEM_PATH, account, "git", needs or Needs())


def installed(folder: Path, text: str) -> Path:
    unit = folder / "gitopsd.service"
    unit.write_text(unit_text())
    (folder / "gitopsd.service.d").mkdir()
    (folder / "gitopsd.service.d" / "10-installed.conf").write_text(text)
    return unit


def test_whom_it_was_installed_for_is_read_back_from_its_drop_in() -> None:
    assert installed_user(drop_in(account=OTHER)) == OTHER.name
    assert installed_user(drop_in(account=OWN)) is None


FULL = Needs(folders=(Path("/srv/git/a b.git"),), credentials=("ssh_identity",))


@needs_systemd_analyze
def test_systemd_understands_every_line_of_it(tmp_path: Path) -> None:
    unit = installed(tmp_path, drop_in(FULL))
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(unit)], capture_output=True, text=True, timeout=60, check=False
    )
    assert [line for line in done.stderr.splitlines() if "gitopsd" in line] == []


@needs_systemd_analyze
def test_it_is_exposed_as_little_as_a_service_that_uses_the_network_can_be(tmp_path: Path) -> None:
    unit = tmp_path / "gitopsd.service"
    unit.write_text(unit_text())
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=20", "--no-pager", str(unit)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout
    assert "Overall exposure level" in done.stdout


def test_the_drop_in_has_what_is_this_machines() -> None:
    assert drop_in().splitlines()[2:] == ["[Service]", "ExecStart=", "ExecStart=/bin/true daemon"]
    assert drop_in(FULL, account=OTHER).splitlines()[5:] == [
        "User=git",
        "Group=git",
        'ReadWritePaths="/srv/git/a b.git"',
        "LoadCredential=ssh_identity:/etc/gitopsd/credentials/ssh_identity",
    ]
    other = drop_in_text(("/opt/x/python", "-m", "gitopsd"), Path("/etc/other.yaml"), OWN, "g", Needs())
    assert other.splitlines()[-1] == "ExecStart=/opt/x/python -m gitopsd --config /etc/other.yaml daemon"


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("/opt/gitopsd", "/opt/gitopsd"),
        ("/srv/a b", '"/srv/a b"'),
        ("/srv/100%", '"/srv/100%%"'),
        ('/srv/"$HOME"', '"/srv/\\"$$HOME\\""'),
        ("/srv/a;b#c", '"/srv/a;b#c"'),
        ("/srv/a\\b", '"/srv/a\\\\b"'),
    ],
)
def test_a_path_is_one_word_whatever_is_in_it(word: str, expected: str) -> None:
    assert quoted(word) == expected


def test_a_new_configuration_is_valid_and_names_the_repository(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(configuration_text(""))
    assert read_configuration(path).repository == ""
    path.write_text(configuration_text('/srv/git/a "fleet".git'))
    assert read_configuration(path).repository == '/srv/git/a "fleet".git'
    uncommented = [line.removeprefix("#") if line[:2] != "# " else line for line in configuration_text("").splitlines()]
    path.write_text("\n".join(uncommented))
    everything = read_configuration(path)
    assert everything.ssh.identity == Credential(credential="ssh_identity")
    assert everything.notify[0].on
    named = Configuration(
        ssh=everything.ssh, secrets=everything.secrets, notify=everything.notify, forge=everything.forge
    )
    credentials = ("alert_token", "forge_token", "hook_secret", "slack_hook", "ssh_identity")
    assert needs_of(named) == Needs(credentials=credentials)


def test_what_is_needed_of_a_repository_on_this_machine(tmp_path: Path) -> None:
    repository = GitRepo(tmp_path / "fleet")
    repository.commit()
    assert needs_of(Configuration(repository=str(repository.path))).folders == (repository.path,)
    repository.git("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
    assert needs_of(Configuration(repository=str(tmp_path / "bare"))).folders == (tmp_path / "bare.git",)
    with pytest.raises(RepositoryError, match="there is no repository"):
        needs_of(Configuration(repository=str(tmp_path)))
    with pytest.raises(RepositoryError, match="is not an absolute path"):
        needs_of(Configuration(repository="fleet"))


def test_what_is_needed_of_a_repository_elsewhere() -> None:
    needs = needs_of(
        Configuration(
            repository="git@git.example:fleet.git",
            ssh=SshConfiguration(identity="/etc/gitopsd/key"),
            secrets={"token": SecretConfiguration(file="/etc/gitopsd/token")},
            forge=ForgeConfiguration(
                kind="github", repository="acme/fleet", token=ForgeSecret(file="/etc/gitopsd/forge_token")
            ),
        )
    )
    files = ("/etc/gitopsd/key", "/etc/gitopsd/token", "/etc/gitopsd/forge_token")
    assert needs == Needs(files=tuple(Path(one) for one in files))
