"""The same work by other means: OpenSSH alone, Ansible, pyinfra. Each in the way that is fastest for it."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.fleet_clock import Sample, each, timed
from benchmarks.fleet_work import STEPS, Work, tar_of
from tests.fleet.machine import Machine

ANSIBLE = "ansible-core==2.19.*"
PYINFRA = "pyinfra==3.*"
_UNITS = "/etc/systemd/system"
_PLAYBOOK = """\
- hosts: all
  gather_facts: false
  tasks:
    - unarchive: {{src: "{folder}/files.tar", dest: /}}
    - copy: {{src: "{folder}/units/{{{{ item }}}}", dest: "{units}/{{{{ item }}}}"}}
      loop: [{names}]
    - systemd_service: {{name: "bench-{changed}", state: restarted, daemon_reload: true}}
"""
_ANSIBLE_CONFIG = """\
[defaults]
forks = 50
host_key_checking = true
[connection]
pipelining = true
[ssh_connection]
ssh_args = -o UserKnownHostsFile={known_hosts} -o ControlMaster=auto -o ControlPersist=600s
control_path_dir = {sockets}
"""
_PYINFRA_DEPLOY = """\
from pyinfra.operations import files, systemd
files.sync(src="{folder}/root/srv", dest="/srv")
for name in {names}:
    files.put(src=f"{folder}/units/{{name}}", dest=f"{units}/{{name}}")
systemd.service(service="bench-{changed}.service", restarted=True, daemon_reload=True)
"""
_RELOAD = "systemctl daemon-reload && systemctl restart bench-{changed}"


@dataclass(kw_only=True)
class OpenSsh:
    """`masters`: process ids of the connections that are kept, whose CPU counts; empty: a new one for each command."""

    work: Work
    sockets: Path
    masters: dict[str, int] = field(default_factory=dict)

    def deploy(self) -> Sample:
        """A tar pipe, `daemon-reload` and a restart; read back is nothing."""
        content = tar_of(self.work.peer_files())
        command = "tar x -C / && " + _RELOAD.format(changed=self.work.changed)
        return timed(lambda: self._each(command, content), self.masters.values())

    def compare(self) -> Sample:
        """Nothing to do: hash the files and the units, ask for the units' states."""
        units = " ".join(f"bench-{step}" for step in STEPS)
        sums = "find /srv/bench -path '*/files/*' -type f -print0 | xargs -0 sha256sum > /dev/null"
        command = f"{sums} && sha256sum {_UNITS}/bench-*.service > /dev/null && systemctl is-active --quiet {units}"
        return timed(lambda: self._each(command, b""), self.masters.values())

    def _each(self, command: str, content: bytes) -> None:
        def run(machine: Machine) -> None:
            subprocess.run([*self.command_to(machine), command], input=content, check=True, capture_output=True)

        each(run, self.work.machines.values())

    def command_to(self, machine: Machine) -> list[str]:
        kept = ["-S", str(self.sockets / machine.name)] if self.masters else ["-S", "none"]
        return [
            *("ssh", "-F", "none", "-i", str(self.work.client_key), "-o", "BatchMode=yes"),
            *("-o", f"UserKnownHostsFile={self.work.known_hosts}", "-o", "KexAlgorithms=curve25519-sha256"),
            *kept,
            f"root@{machine.address}",
        ]


@contextmanager
def kept_connections(work: Work, sockets: Path) -> Iterator[OpenSsh]:
    """One ControlMaster a machine."""
    opened = OpenSsh(work=work, sockets=sockets, masters={"": 0})
    commands = {machine.name: opened.command_to(machine) for machine in work.machines.values()}
    with ExitStack() as stack:
        opened.masters.clear()
        for name, command in commands.items():
            master = stack.enter_context(subprocess.Popen([command[0], "-M", "-N", *command[1:]]))
            stack.callback(master.kill)  # terminated, it may wait for one more event first
            opened.masters[name] = master.pid
        end = time.monotonic() + 120
        while not all((sockets / name).exists() for name in commands):
            if time.monotonic() > end:
                raise RuntimeError("not all ControlMasters came up within two minutes")
            time.sleep(0.1)
        yield opened


def prepare(work: Work) -> None:
    """What the others need before the first round: the launcher, and the units started once."""
    content = tar_of({**work.peer_base(), **work.peer_files()})
    units = " ".join(f"bench-{step}" for step in STEPS)

    def put(machine: Machine) -> None:
        machine.run(["tar", "x", "-C", "/"], input=content)
        machine.run(["sh", "-c", f"systemctl daemon-reload && systemctl restart {units}"], timeout=120)

    each(put, work.machines.values())


def ansible(work: Work, tools: Path, folder: Path) -> Sample:
    """unarchive of the files, copy of the units, one restart; pipelining, connections kept, 50 forks."""
    _lay_out(work, folder)
    hosts = "".join(
        f"{name} ansible_host={machine.address} ansible_user=root ansible_ssh_private_key_file={work.client_key} "
        "ansible_python_interpreter=/usr/bin/python3\n"
        for name, machine in work.machines.items()
    )
    (folder / "hosts").write_text(hosts)
    (folder / "play.yaml").write_text(
        _PLAYBOOK.format(
            folder=folder,
            units=_UNITS,
            changed=work.changed,
            names=", ".join(f"bench-{step}.service" for step in STEPS),
        )
    )
    sockets = Path(f"/tmp/cp-{os.getpid()}")  # noqa: S108 -- the paths of sockets are short
    (folder / "ansible.cfg").write_text(_ANSIBLE_CONFIG.format(known_hosts=work.known_hosts, sockets=sockets))
    command = [str(tools / "bin/ansible-playbook"), "-i", str(folder / "hosts"), str(folder / "play.yaml")]
    return timed(lambda: _run(command, {"ANSIBLE_CONFIG": str(folder / "ansible.cfg"), "HOME": str(folder)}))


def pyinfra(work: Work, tools: Path, folder: Path) -> Sample:
    """files.sync of the files, files.put of the units, one restart."""
    _lay_out(work, folder)
    data = {
        "ssh_user": "root",
        "ssh_key": str(work.client_key),
        "ssh_known_hosts_file": str(work.known_hosts),
        "ssh_strict_host_key_checking": "yes",
        "ssh_allow_agent": False,
        "ssh_look_for_keys": False,
    }
    hosts = [(machine.address, data) for machine in work.machines.values()]
    (folder / "inventory.py").write_text(f"hosts = {hosts!r}\n")
    names = [f"bench-{step}.service" for step in STEPS]
    (folder / "deploy.py").write_text(
        _PYINFRA_DEPLOY.format(folder=folder, units=_UNITS, changed=work.changed, names=names)
    )
    command = [str(tools / "bin/pyinfra"), "-y", str(folder / "inventory.py"), str(folder / "deploy.py")]
    return timed(lambda: _run(command, {"HOME": str(folder)}))


def installed(requirement: str, cache: Path) -> Path:
    """A virtual environment with the tool, made when it isn't there."""
    place = cache / requirement.partition("=")[0]
    if not (place / ".whole").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", str(place)], check=True)
        subprocess.run([str(place / "bin/pip"), "install", "--quiet", requirement], check=True)
        (place / ".whole").touch()
    return place


def version(tools: Path, package: str) -> str:
    script = f"import importlib.metadata as m; print(m.version({package!r}))"
    found = subprocess.run([str(tools / "bin/python"), "-c", script], check=True, capture_output=True, text=True)
    return found.stdout.strip()


def _lay_out(work: Work, folder: Path) -> None:
    files: Mapping[str, bytes] = work.peer_files()
    below = {path: content for path, content in files.items() if path.startswith("srv/")}
    (folder / "files.tar").write_bytes(tar_of(below))
    for path, content in files.items():
        target = folder / "root" / path if path in below else folder / "units" / Path(path).name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)


def _run(command: list[str], variables: Mapping[str, str]) -> None:
    done = subprocess.run(command, check=False, capture_output=True, text=True, env={**os.environ, **variables})
    if done.returncode != 0:
        raise RuntimeError(f"{command[0]} exited with {done.returncode}: {done.stdout[-3000:]}{done.stderr[-3000:]}")
