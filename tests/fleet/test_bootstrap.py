"""`worker bootstrap` against a real machine: what it does there, what it refuses, and that it can be run again."""

import contextlib
import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitopsd.fleet.host_key import parse_host_key
from tests.fleet.fixtures import StartFleet
from tests.fleet.machine import Machine
from tests.operator import Operator, Ran

ROOT = "/var/lib/gitopsd"
RULE = "/etc/sudoers.d/gitopsd"


@pytest.fixture(scope="module")
def machine(fleet: StartFleet) -> Machine:
    return fleet(names=("edge-1",))["edge-1"]


@pytest.fixture(scope="module")
def operator(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> Operator:
    """Without a repository: bootstrapping needs none."""
    home = tmp_path_factory.mktemp("home")
    config = home / "config.yaml"
    config.write_text(f"ssh: {{identity: {machine.client_key}}}\n")
    return Operator(folder=home / "repository", home=home, config=config)


@pytest.fixture
def fingerprint(machine: Machine) -> str:
    key = parse_host_key(machine.host_key)
    assert key is not None
    return key.fingerprint


def _sh(machine: Machine, script: str, *, check: bool = True) -> str:
    return str(machine.run(["sh", "-ec", script], check=check).stdout)


def _clean(machine: Machine, *users: str) -> None:
    for user in ("gitopsd", *users):
        machine.run(["userdel", "--force", "--remove", user], check=False)
        machine.run(["rm", "-f", RULE, f"{RULE}-{user}"])
    machine.run(["userdel", "gitopsd-job"], check=False)
    machine.run(["rm", "-rf", ROOT])


def _bootstrap(operator: Operator, machine: Machine, *options: str, login: str = "root", expect: int | None = 0) -> Ran:
    return operator.run("worker", "bootstrap", f"{login}@{machine.address}", *options, expect=expect)


def _accepted(operator: Operator, machine: Machine, *options: str, login: str = "root", expect: int | None = 0) -> Ran:
    key = ("--host-key", machine.host_key, "--yes")
    return _bootstrap(operator, machine, *key, *options, login=login, expect=expect)


def _logins(machine: Machine) -> int:
    return int(_sh(machine, "journalctl --quiet --output=cat -t sshd | grep -c -e Accepted -e Failed || true"))


def test_nothing_is_sent_to_a_machine_whose_host_key_nobody_vouched_for(
    operator: Operator, machine: Machine, fingerprint: str
) -> None:
    before = _logins(machine)
    ran = _bootstrap(operator, machine, "--yes", expect=64)
    assert f"add --accept {fingerprint}" in ran.stderr
    assert machine.host_key in ran.stderr
    ran = _bootstrap(operator, machine, "--yes", "--accept", "SHA256:" + "A" * 43, expect=1)
    assert f"offered  {fingerprint}" in ran.stderr
    other = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
    ran = _bootstrap(operator, machine, "--yes", "--host-key", other, expect=1)
    assert fingerprint in ran.stderr
    assert ran.stdout == ""
    assert _logins(machine) == before
    assert _sh(machine, f"test -e {ROOT} && echo there || true") == ""


def test_what_will_be_done_is_shown_and_nothing_is_done_without_a_yes(
    operator: Operator, machine: Machine, fingerprint: str
) -> None:
    _clean(machine)
    ran = _bootstrap(operator, machine, "--accept", fingerprint, expect=64)
    assert ran.stderr.count("to be done: ") == 5
    assert "add --yes" in ran.stderr
    assert machine.run(["getent", "passwd", "gitopsd"], check=False).returncode != 0
    assert _sh(machine, f"ls {RULE} {ROOT} 2>/dev/null || true") == ""


def test_a_machine_is_prepared_as_root_and_then_deployed_to_as_the_account_that_was_made(
    operator: Operator, machine: Machine, fingerprint: str
) -> None:
    _clean(machine)
    ran = _bootstrap(operator, machine, "--accept", fingerprint, "--yes")
    assert ran.stderr.count("done: ") == 2 * 5, "shown before, told after"
    assert "can be a worker" in ran.stderr
    assert _sh(machine, f"stat -c '%a %U' {RULE} {ROOT} /home/gitopsd/.ssh /home/gitopsd/.ssh/authorized_keys") == (
        "440 root\n755 root\n700 gitopsd\n600 gitopsd\n"
    )
    assert machine.run(["visudo", "-c"]).returncode == 0
    operator.run("init", str(operator.folder))
    operator.git("rm", "--quiet", "fleets/local.yaml", "workflows/roundtrip.yaml")
    operator.write(
        {
            "gitopsd.yaml": "environments:\n  production: {fleet: fleets/production.yaml}\n",
            "fleets/production.yaml": f"groups:\n  edge:\n    workers:\n{ran.stdout}",
            "workflows/orders.yaml": (
                "workflow: orders\nsteps:\n  a: {use: blueprints/sleep, place: {group: edge}}\nchannels: {}\n"
            ),
            "blueprints/sleep.yaml": "blueprint: sleep\njob: {exec: [sleep, '100000']}\n",
        }
    )
    operator.commit("One job")
    applied = operator.run("apply", "--json").json
    assert [(one["worker"], one["state"]) for one in applied["workers"]] == [("edge-1", "converged")]
    assert "user: gitopsd" in ran.stdout
    again = _bootstrap(operator, machine, "--accept", fingerprint, "--yes", login="gitopsd")
    assert "it is a worker of the environment production already" in again.stderr
    operator.run("worker", "teardown", "edge-1", "--yes")


def test_a_second_run_changes_nothing_and_says_so(operator: Operator, machine: Machine) -> None:
    _accepted(operator, machine)
    look = f"stat -c '%i %Z' {RULE} {ROOT} /home/gitopsd/.ssh/authorized_keys; cat /etc/passwd {RULE}"
    before = _sh(machine, look)
    ran = _accepted(operator, machine)
    assert "nothing is to be done" in ran.stderr
    assert "user: gitopsd" in ran.stdout
    assert _sh(machine, look) == before


@pytest.mark.parametrize(
    ("undo", "redone"),
    [
        (f"rm {RULE}", 1),
        (f"rm {RULE}; echo half > /etc/sudoers.d/.gitopsd.new", 1),
        (f"chmod 644 {RULE}", 1),
        ("rm -r /home/gitopsd/.ssh", 1),
        ("echo half > /home/gitopsd/.ssh/.authorized_keys.gitopsd; : > /home/gitopsd/.ssh/authorized_keys", 1),
        ("userdel --force --remove gitopsd; userdel gitopsd-job", 3),
        (f"rm -r {ROOT}", 1),
    ],
)
def test_one_that_died_on_the_way_goes_on_from_there(
    operator: Operator, machine: Machine, undo: str, redone: int
) -> None:
    _accepted(operator, machine)
    _sh(machine, undo)
    ran = _accepted(operator, machine)
    assert ran.stderr.count("\ndone: ") == redone
    assert "can be a worker" in ran.stderr
    assert machine.run(["visudo", "-c"]).returncode == 0
    assert _sh(machine, "ls -A /etc/sudoers.d /home/gitopsd/.ssh").count(".new") == 0


def test_a_machine_is_prepared_as_a_user_with_sudo_and_keys_that_were_there_stay(
    operator: Operator, machine: Machine
) -> None:
    _accepted(operator, machine)
    _clean(machine, "deploy")
    public = machine.client_key.with_name(machine.client_key.name + ".pub").read_text()
    theirs = "# somebody else's\nssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f x"
    _sh(
        machine,
        "useradd --create-home --shell /bin/sh admin; install -d -m 700 -o admin /home/admin/.ssh; "
        "useradd --create-home --shell /bin/sh deploy; install -d -m 700 -o deploy /home/deploy/.ssh; "
        "echo 'admin ALL=(root) NOPASSWD: ALL' > /etc/sudoers.d/admin",
    )
    machine.run(["sh", "-c", "cat > /home/admin/.ssh/authorized_keys"], input=public)
    machine.run(["sh", "-c", "cat > /home/deploy/.ssh/authorized_keys"], input=theirs)
    ran = _accepted(operator, machine, "--user", "deploy", login="admin")
    assert "can be a worker" in ran.stderr
    assert "user: deploy" in ran.stdout
    assert _sh(machine, "cat /home/deploy/.ssh/authorized_keys") == f"{theirs}\n{public}"
    assert machine.run(["getent", "passwd", "gitopsd"], check=False).returncode != 0
    _sh(machine, "rm /etc/sudoers.d/admin; userdel --force --remove admin")
    _clean(machine, "deploy")


@pytest.mark.parametrize(
    ("spoil", "mend", "options", "said"),
    [
        ("mv /usr/bin/sudo /root/sudo", "mv /root/sudo /usr/bin/sudo", (), "--user root"),
        ("useradd --shell /usr/sbin/nologin robot", "userdel robot", ("--user", "robot"), "choose another --user"),
        (
            "useradd --create-home linked; ln -s /etc /home/linked/.ssh",
            "userdel --force --remove linked",
            ("--user", "linked"),
            "/home/linked/.ssh is a link",
        ),
        ("mv /usr/bin/python3 /usr/bin/away", "mv /usr/bin/away /usr/bin/python3", (), "python3-minimal"),
        (
            "mv /usr/lib/python3.11/json /usr/lib/python3.11/away",
            "mv /usr/lib/python3.11/away /usr/lib/python3.11/json",
            (),
            "python3-minimal",
        ),
        (f"touch {ROOT}", f"rm {ROOT}", (), f"{ROOT} is not a directory"),
    ],
)
def test_what_is_in_the_way_is_told_with_the_way_out_and_nothing_is_changed(
    operator: Operator, machine: Machine, *, spoil: str, mend: str, options: tuple[str, ...], said: str
) -> None:
    _clean(machine)
    look = "cat /etc/passwd; ls -A /etc/sudoers.d /home"
    _sh(machine, spoil)
    try:
        before = _sh(machine, look)
        ran = _accepted(operator, machine, *options, expect=1)
        assert said in ran.stderr
        assert ran.stdout == ""
        assert _sh(machine, look) == before
    finally:
        _sh(machine, mend)


@pytest.mark.parametrize("rule", ["nonsense", "sshd ALL=(root) NOPASSWD: /bin/true"])
def test_mistakes_in_the_rules_of_others_are_told_and_left_alone(
    operator: Operator, machine: Machine, rule: str
) -> None:
    """A syntax error and a mode that visudo dislikes: sudo goes by the rest all the same."""
    _clean(machine)
    _sh(machine, f"echo '{rule}' > /etc/sudoers.d/bad; chmod 644 /etc/sudoers.d/bad")
    try:
        ran = _accepted(operator, machine)
        assert "the rules of sudo have mistakes already" in ran.stderr
        assert "can be a worker" in ran.stderr
        assert _sh(machine, "cat /etc/sudoers.d/bad") == f"{rule}\n"
    finally:
        _sh(machine, "rm /etc/sudoers.d/bad")


def test_without_sudo_root_itself_can_be_the_account(operator: Operator, machine: Machine) -> None:
    _clean(machine)
    _sh(machine, "mv /usr/bin/sudo /root/sudo")
    try:
        ran = _accepted(operator, machine, "--user", "root")
    finally:
        _sh(machine, "mv /root/sudo /usr/bin/sudo")
    assert "user: root" in ran.stdout
    assert machine.run(["test", "-e", RULE], check=False).returncode != 0


def test_an_account_that_can_not_become_root_is_told_so(operator: Operator, machine: Machine) -> None:
    public = machine.client_key.with_name(machine.client_key.name + ".pub").read_text()
    _sh(machine, "useradd --create-home --shell /bin/sh guest; install -d -m 700 -o guest /home/guest/.ssh")
    machine.run(["sh", "-c", "cat > /home/guest/.ssh/authorized_keys"], input=public)
    try:
        ran = _accepted(operator, machine, login="guest", expect=1)
    finally:
        _sh(machine, "userdel --force --remove guest")
    assert "guest may not become root" in ran.stderr


def test_the_key_of_another_controller_can_be_brought_there(
    operator: Operator, machine: Machine, tmp_path: Path
) -> None:
    _clean(machine)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    ran = _accepted(operator, machine, "--key", str(tmp_path / "other.pub"))
    assert "another controller" in ran.stderr
    config = tmp_path / "config.yaml"
    config.write_text(f"ssh: {{identity: {tmp_path / 'other'}}}\n")
    other = Operator(folder=operator.folder, home=operator.home, config=config)
    ran = _accepted(other, machine, login="gitopsd")
    assert "can be a worker" in ran.stderr


def test_on_a_terminal_a_person_is_asked_about_the_host_key_and_about_the_changes(
    operator: Operator, machine: Machine, fingerprint: str
) -> None:
    _clean(machine)
    before = _logins(machine)
    code, told = _at_a_terminal(operator, machine, "n\n")
    assert (code, fingerprint in told, _logins(machine)) == (1, True, before)
    code, told = _at_a_terminal(operator, machine, "y\nn\n")
    assert (code, "nothing was done" in told) == (1, True)
    assert machine.run(["test", "-e", ROOT], check=False).returncode != 0
    code, told = _at_a_terminal(operator, machine, "y\ny\n")
    assert (code, "can be a worker" in told) == (0, True), told


def _at_a_terminal(operator: Operator, machine: Machine, typed: str) -> tuple[int, str]:
    controller, terminal = pty.openpty()
    command = ["worker", "bootstrap", f"root@{machine.address}"]
    with _closing(controller), _closing(terminal):
        os.write(controller, typed.encode())
        done = subprocess.run(
            [sys.executable, "-m", "gitopsd", "--config", str(operator.config), *command],
            stdin=terminal,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=operator.environment(),
            cwd=operator.home,
        )
    return done.returncode, done.stderr


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[None]:
    try:
        yield
    finally:
        os.close(descriptor)


def test_what_is_printed_for_the_fleet_file_is_yaml_that_is_understood(operator: Operator, machine: Machine) -> None:
    ran = _accepted(operator, machine)
    operator.folder.mkdir(exist_ok=True)
    assert ran.stdout.count("\n") == 1
    name, _, rest = ran.stdout.strip().partition(": ")
    assert name == "edge-1"
    assert json.dumps(machine.host_key) in rest
