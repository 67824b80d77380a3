"""What `worker bootstrap` takes and prints, without a machine."""

import subprocess
from pathlib import Path

import pytest

from gitopsd.compiler.declarations.decode import decode
from gitopsd.compiler.yaml.reader import read_yaml
from gitopsd.daemon.configuration.configuration import Configuration, SshConfiguration
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.workers import bootstrap
from gitopsd.fleet.bootstrap import Prepared, script_command
from gitopsd.fleet.host_key import parse_host_key
from gitopsd.model.fleet import Fleet

LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
KEY = parse_host_key(LINE)


@pytest.mark.parametrize(
    ("hostname", "host", "port", "name", "address"),
    [
        ("edge-1", "10.0.0.11", None, "edge-1", "10.0.0.11"),
        ("edge-1.example.org", "edge-1.example.org", 22, "edge-1", "edge-1.example.org"),
        ("Edge_1", "edge", 2222, "edge-1", "edge"),
        ("localhost", "10.0.0.11", None, "worker-10-0-0-11", "10.0.0.11"),
        ("true", "null", None, "worker-1", "null"),
        ("17", "17", None, "worker-17", "17"),
        ("1e3", "1e3", None, "worker-1e3", "1e3"),
        ("", "fe80::1%eth0", None, "fe80-1-eth0", "fe80::1%eth0"),
        ("é", "-", None, "worker-1", "10.5"),
    ],
)
def test_the_line_for_the_fleet_file_is_read_as_it_was_meant(
    hostname: str, host: str, *, port: int | None, name: str, address: str
) -> None:
    assert KEY is not None
    machine = bootstrap.Machine(host=address if host == "-" else host, login=None, port=port)
    line = bootstrap.fleet_line(machine, Prepared(changed=(), hostname=hostname), KEY, "gitopsd")
    document, mistakes = read_yaml("fleet.yaml", f"groups:\n  edge:\n    workers:\n{line}\n".encode())
    assert not mistakes
    fleet, wrong = decode(document, Fleet)
    assert fleet is not None, wrong
    ((found, worker),) = fleet.groups["edge"].workers.items()
    if host != "-":
        assert found == name
    assert (worker.address, worker.user, worker.host_key) == (address, "gitopsd", LINE)
    assert worker.port == (port or 22)


@pytest.mark.parametrize(
    "text", ["", "root@", "@host", "a b", "root@host;reboot", "-oProxyCommand=x", "r$(x)@host", "a/b"]
)
def test_what_is_no_machine_is_refused(text: str) -> None:
    with pytest.raises(ControllerError, match="USER@"):
        bootstrap.parse_machine(text, None)


def test_a_user_and_a_host_are_told_apart() -> None:
    machine = bootstrap.parse_machine("deploy@edge-1.example.org", 2222)
    assert (machine.login, machine.host, machine.port) == ("deploy", "edge-1.example.org", 2222)
    assert bootstrap.parse_machine("fe80::1%eth0", None).login is None


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\n", "is a private key"),
        (f"{LINE}\n{LINE}\n", "not one public key"),
        (f'command="reboot" {LINE}\n', "not one public key"),
        ("", "not one public key"),
        ("ssh-ed25519 !!!!\n", "not one public key"),
    ],
)
def test_what_is_no_public_key_is_refused(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "key.pub"
    path.write_text(content)
    with pytest.raises(ControllerError, match=said):
        bootstrap.public_key(Configuration(), path)


def test_the_key_is_the_identitys_unless_another_is_named(tmp_path: Path) -> None:
    (tmp_path / "id.pub").write_text(f"# a comment\n{LINE} ada@example.org\n")
    (tmp_path / "other.pub").write_text(f"{LINE}\n")
    configuration = Configuration(ssh=SshConfiguration(identity=str(tmp_path / "id")))
    assert bootstrap.public_key(configuration, None) == (f"{LINE} ada@example.org", tmp_path / "id.pub")
    assert bootstrap.public_key(configuration, tmp_path / "other.pub") == (LINE, tmp_path / "other.pub")


def test_without_any_key_the_way_to_one_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(ControllerError) as refused:
        bootstrap.public_key(Configuration(), None)
    assert "ssh-keygen" in refused.value.hint


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_the_fixed_command_runs_what_it_is_given_from_any_shell(shell: str) -> None:
    command = script_command("root")
    assert command.count("'") == 2
    script = b"import json, sys\nprint(json.dumps(['ran', sys.stdin.buffer.readline().decode()]))\n"
    stdin = f"{len(script)}\n".encode() + script + b"the request\nmore\n"
    done = subprocess.run([shell, "-c", command], input=stdin, capture_output=True, check=True)
    assert done.stdout == b'["ran", "the request\\n"]\n'
