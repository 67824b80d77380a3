import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.fleet.commands import CommandFailedError, CommandTimeoutError, Result, execute
from tests.fleet.fixtures import StartFleet
from tests.fleet.machines import Fleet, Machine
from tests.fleet.readiness import greets
from tests.operator import eventually

pytestmark = pytest.mark.fleet

SLEEPERS_GROUP = "*/sleeper.service/cgroup.procs"
PROCESSES_OF_SLEEPER = ["find", "/sys/fs/cgroup", "-path", SLEEPERS_GROUP, "-exec", "cat", "{}", "+"]
SLEEPER = "[Service]\nExecStart=/bin/sleep 1000\n"


@pytest.fixture(scope="module")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def pair(fleet: StartFleet, shared_folder: Path) -> Fleet:
    return fleet(2, shared={"/mnt/shared": shared_folder}, data_size="4m")


@pytest.fixture
def first(pair: Fleet) -> Machine:
    return pair["worker-1"]


@pytest.fixture
def second(pair: Fleet) -> Machine:
    return pair["worker-2"]


def ssh(machine: Machine, command: Sequence[str], *, host_key: str, folder: Path) -> Result:
    known_hosts = folder / "known_hosts"
    known_hosts.write_text(f"{machine.address} {host_key}\n")
    options = {
        "BatchMode": "yes",
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(known_hosts),
        "ConnectTimeout": "30",
    }
    argv = ["ssh", "-F", "none", "-i", str(machine.client_key)]
    for name, value in options.items():
        argv += ["-o", f"{name}={value}"]
    return execute([*argv, f"root@{machine.address}", *command], timeout=60, check=False)


def test_ssh_with_the_pinned_host_key_reaches_the_machine(first: Machine, tmp_path: Path) -> None:
    reached = ssh(first, ["hostname"], host_key=first.host_key, folder=tmp_path)

    assert (reached.returncode, reached.stdout) == (0, "worker-1\n")


def test_another_machines_host_key_is_refused(first: Machine, second: Machine, tmp_path: Path) -> None:
    refused = ssh(first, ["hostname"], host_key=second.host_key, folder=tmp_path)

    assert refused.returncode == 255
    assert "Host key verification failed" in refused.stderr


def test_machines_have_identities_of_their_own(first: Machine, second: Machine) -> None:
    assert first.run(["cat", "/etc/machine-id"]).stdout != second.run(["cat", "/etc/machine-id"]).stdout
    assert first.host_key != second.host_key
    assert [first.run(["hostname"]).stdout, second.run(["hostname"]).stdout] == ["worker-1\n", "worker-2\n"]


def test_machines_reach_each_other_by_name(first: Machine, second: Machine) -> None:
    greeting = "import socket, sys; print(socket.create_connection((sys.argv[1], 22), 30).recv(4).decode())"

    assert first.run(["python3", "-c", greeting, second.name]).stdout == "SSH-\n"


def test_a_machine_has_no_way_out_of_its_bridge(first: Machine) -> None:
    routes = first.run(["ip", "-json", "route"]).stdout

    assert [route["dst"] for route in json.loads(routes)] == [first.address.rpartition(".")[0] + ".0/24"]


def test_units_of_the_same_name_on_two_machines_do_not_interfere(first: Machine, second: Machine) -> None:
    for machine in (first, second):
        (machine.root / "etc/systemd/system/sleeper.service").write_text(SLEEPER)
        machine.run(["systemctl", "daemon-reload"])
        machine.run(["systemctl", "start", "sleeper"])

    for machine in (first, second):
        main = machine.run(["systemctl", "show", "--property=MainPID", "--value", "sleeper"]).stdout
        # Under one shared cgroup the other machine's process would be in here too, as a 0.
        assert set(machine.run(PROCESSES_OF_SLEEPER).stdout.splitlines()) == {main.strip()}

    first.run(["systemctl", "stop", "sleeper"])

    assert first.run(["systemctl", "is-active", "sleeper"], check=False).stdout == "inactive\n"
    assert second.run(["systemctl", "is-active", "sleeper"]).stdout == "active\n"


def test_hardened_units_run(first: Machine) -> None:
    hardening = ["DynamicUser=yes", "ProtectSystem=strict", "PrivateDevices=yes", "SystemCallFilter=@system-service"]
    settings = [word for setting in hardening for word in ("-p", setting)]

    first.run(["systemd-run", "--wait", "--quiet", *settings, "true"])


def test_a_shared_folder_is_one_for_all(first: Machine, second: Machine, shared_folder: Path) -> None:
    first.run(["tee", "/mnt/shared/note"], input="from the first\n")

    assert second.run(["cat", "/mnt/shared/note"]).stdout == "from the first\n"
    assert (shared_folder / "note").read_text() == "from the first\n"


def test_a_small_data_disk_runs_full_on_its_machine_alone(first: Machine, second: Machine) -> None:
    fill = ["dd", "if=/dev/zero", "of=/var/lib/gitopsd/fill", "bs=1M", "count=8"]

    filled = first.run(fill, check=False)

    assert "No space left on device" in filled.stderr
    second.run(["touch", "/var/lib/gitopsd/still-room"])
    first.run(["rm", "/var/lib/gitopsd/fill"])


def test_a_failed_command_says_what_it_said(first: Machine) -> None:
    with pytest.raises(CommandFailedError, match=r"worker-1: `ls /nowhere` exited with 2\n(.|\n)*No such file"):
        first.run(["ls", "/nowhere"])


def test_a_command_past_its_deadline_is_killed_inside_too(first: Machine) -> None:
    with pytest.raises(CommandTimeoutError, match=r"worker-1: `sleep 987` did not end within 0.5 s"):
        first.run(["sleep", "987"], timeout=0.5)

    processes = first.run(["sh", "-c", "cat /proc/[0-9]*/cmdline | tr '\\0' ' '"], check=False).stdout
    assert "sleep 987" not in processes


def test_a_cut_link_parts_the_machine_until_it_is_restored(first: Machine, second: Machine) -> None:
    first.cut_link()
    try:
        assert not greets(first.address)
        assert greets(second.address, within=30)
        assert first.run(["hostname"]).stdout == "worker-1\n"
    finally:
        first.restore_link()

    eventually("it greets again", lambda: greets(first.address))


def test_a_paused_machine_answers_only_after_it_goes_on(first: Machine) -> None:
    first.pause()
    try:
        assert not greets(first.address)
    finally:
        first.resume()

    assert greets(first.address, within=30)


def test_a_paused_machine_can_lose_its_power(first: Machine) -> None:
    first.pause()
    first.power_off()

    assert first.boot() == ()


def test_a_read_only_folder_refuses_writes_until_it_is_writable_again(first: Machine) -> None:
    first.make_read_only("/etc")
    try:
        refused = first.run(["touch", "/etc/note"], check=False)
    finally:
        first.make_writable("/etc")

    assert "Read-only file system" in refused.stderr
    first.run(["touch", "/etc/note"])


def test_a_machine_without_power_keeps_its_files_and_identity(first: Machine, tmp_path: Path) -> None:
    first.run(["tee", "/var/lib/gitopsd/kept", "/etc/kept"], input="kept\n")
    boot = first.run(["cat", "/proc/sys/kernel/random/boot_id", "/etc/machine-id"]).stdout.split()

    first.power_off()
    assert not first.is_on()
    assert not greets(first.address)
    assert first.boot() == ()

    assert first.run(["cat", "/var/lib/gitopsd/kept", "/etc/kept"]).stdout == "kept\nkept\n"
    assert first.run(["cat", "/etc/machine-id"]).stdout.strip() == boot[1]
    assert ssh(first, ["hostname"], host_key=first.host_key, folder=tmp_path).stdout == "worker-1\n"


def test_a_unit_that_fails_at_boot_is_named(second: Machine) -> None:
    unit = "[Service]\nType=oneshot\nExecStart=false\n[Install]\nWantedBy=multi-user.target\n"
    (second.root / "etc/systemd/system/broken.service").write_text(unit)
    second.run(["systemctl", "enable", "broken"])

    try:
        assert second.reboot() == ("broken.service",)
    finally:
        second.run(["systemctl", "disable", "broken"])
    assert second.reboot() == ()
