"""The same over a real sshd: how people push."""

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from gitopsd.daemon.controller.control_socket.protocol import Done, Told
from tests.cli.pushing import Pusher, pusher, told_controller
from tests.cli.test_hook_post_receive import deployment
from tests.operator import Operator, eventually
from tests.ports import free_port

SSHD = shutil.which("sshd", path="/usr/sbin:/usr/local/sbin:/usr/bin")
CONFIGURATION = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/user.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
SetEnv HOME={home} GITOPSD_CACHE=off
"""

pytestmark = pytest.mark.skipif(SSHD is None, reason="needs sshd")


def is_open(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return connection.recv(4) == b"SSH-"
    except OSError:
        return False


@pytest.fixture
def ada(operator: Operator, tmp_path: Path) -> Iterator[Pusher]:
    """Pushes over SSH to an account of this machine."""
    port, folder = free_port(), tmp_path / "ssh"
    folder.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "sshd_config").write_text(CONFIGURATION.format(port=port, folder=folder, home=operator.home))
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True, mode=0o755)  # where sshd shuts itself in; a service makes it otherwise
    assert SSHD is not None
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "sshd_config")], stderr=log)
    try:
        eventually("sshd answers", lambda: is_open(port) or server.poll() is not None)
        assert server.poll() is None, (folder / "log").read_text()
        over = pusher(operator)
        options = f"-F none -i {folder}/user -o StrictHostKeyChecking=no -o UserKnownHostsFile={folder}/known -p {port}"
        yield Pusher(
            operator=operator,
            bare=over.bare,
            url=f"ssh://127.0.0.1{over.bare}",
            variables={"GIT_SSH_COMMAND": f"ssh {options}", "GIT_SSH_VARIANT": "ssh"},
        )
    finally:
        server.terminate()
        server.wait(20)


def test_a_push_over_ssh_shows_diagnostics_plan_and_deployment(ada: Pusher) -> None:
    def tell(say: object) -> None:
        assert callable(say)
        for event in deployment(""):
            say(Told(event=event))
        say(Done())

    with told_controller(ada.bare, tell):
        pushed = ada.push("main")
        ada.edit("workflows/roundtrip.yaml", "std/read-files", "std/raed-files")
        rejected = ada.push("main", expect=1)
    assert "\nPlan: 2 create." in pushed.remote
    assert pushed.remote.endswith("local: deployment 7: 1 converged")
    assert "  hint: did you mean `std/read-files`?" in rejected.remote
    assert "(pre-receive hook declined)" in rejected.output
