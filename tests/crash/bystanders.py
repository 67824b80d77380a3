"""What else is on the machine: units and files that are none of gitopsd's, and that nobody may touch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.crash.scene import DATA, SYSTEM

if TYPE_CHECKING:
    from tests.fleet.machine import Machine

RUNNING = ("backup.service", "gitopsd-backup.service", "gitopsd-orders.stays.service")
STOPPED = "gitopsd-resting.service"
FILES = (f"{DATA}/mine", "/etc/mine", "/srv/mine", "/var/lib/mine")
_UNIT = "[Service]\nExecStart=/bin/sleep infinity\n[Install]\nWantedBy=multi-user.target\n"
# everything that people would miss, without what gitopsd manages and what a system writes by itself
_LISTING = f"""
find /etc /usr /opt /srv /root /var/lib /var/spool /boot -xdev \\
  \\( -path {DATA} -o -path /var/lib/systemd -o -path /var/lib/private -o -path /var/log \\
     -o -path '{SYSTEM}*' -o -name __pycache__ -o -name .updated -o -name machine-id \\) -prune \\
  -o -printf '%p %y %m %u:%g %s %T@ %l\\n'
find {SYSTEM} -type d -o -regex '.*/gitopsd-orders\\.[a-z]+\\.0\\.service' \\
  -o -name 'gitopsd-switch.*' -o -name .gitopsd-reserve \\
  -o -printf '%p %y %m %u:%g %s %T@ %l\\n'
cat {" ".join(FILES)}
"""
_SHOWN = ("Id", "ActiveState", "MainPID", "InvocationID", "UnitFileState")


@dataclass(frozen=True, kw_only=True)
class Bystanders:
    listing: frozenset[str]
    units: frozenset[str]

    def touched_since(self, before: Bystanders, *, booted: bool) -> list[str]:
        """What isn't as before; a boot gives every unit another process."""
        changed = [f"somebody touched {line}" for line in sorted(self.listing ^ before.listing)]
        if not booted:
            changed += [f"somebody touched {unit}" for unit in sorted(self.units ^ before.units)]
        return changed


def settle_in(machine: Machine) -> None:
    for unit in (*RUNNING, STOPPED):
        machine.run(["sh", "-c", f"cat > {SYSTEM}/{unit}"], input=_UNIT)
    for file in FILES:
        machine.run(["sh", "-c", f"mkdir -p $(dirname {file}) && echo mine > {file}"])
    machine.run(["systemctl", "daemon-reload"])
    machine.run(["systemctl", "enable", "--now", *RUNNING])


def look_at(machine: Machine) -> Bystanders:
    show = f"systemctl show -p {','.join(_SHOWN)} {' '.join((*RUNNING, STOPPED, 'ssh.service', 'dbus.service'))}"
    listing, _, units = machine.run(["sh", "-c", f"{_LISTING}\necho ======\n{show}"]).stdout.partition("======\n")
    return Bystanders(listing=frozenset(listing.splitlines()), units=frozenset(units.split("\n\n")))
