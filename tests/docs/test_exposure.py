"""The exposures of units that the reference shows, beside what systemd says of them."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gitopsd.compiler.render.unit import unit_text
from tests.docs.markdown import DOCS, sections

UNITS: dict[str, dict[str, Any]] = {
    "a service": {},
    "a service with secrets": {"secrets": ("token",)},
    "a service that writes to directories": {"directories": ("/srv/out",)},
    "a job of kind `once`": {"kind": "once"},
    "a job of kind `schedule`": {"kind": "schedule"},
    "a service with `PrivateNetwork: true`": {"settings": {"PrivateNetwork": True}},
    "a service with a capability, with the operator's leave": {
        "settings": {
            "AmbientCapabilities": "CAP_NET_BIND_SERVICE",
            "CapabilityBoundingSet": "CAP_NET_BIND_SERVICE",
        }
    },
}
OVERALL = re.compile(r"Overall exposure level for \S+: ([0-9.]+)")


def systemd_version() -> int:
    if shutil.which("systemd-analyze") is None:
        return 0
    said = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.split()[1])


@pytest.mark.skipif(
    systemd_version() != 252, reason="each version of systemd counts otherwise: the page has those of 252"
)
def test_workers_md_shows_the_exposure_of_units(tmp_path: Path) -> None:
    (shown,) = [
        table for table in sections(DOCS / "reference/workers.md")["Hardening"].tables if "exposure" in table[0]
    ]
    assert {row[0]: row[1] for row in shown[1:]} == {name: exposure(tmp_path, **unit) for name, unit in UNITS.items()}


def exposure(folder: Path, **changes: Any) -> str:
    plain: dict[str, Any] = {"kind": "service", "notifies": True, "directories": (), "settings": {}}
    unit = folder / "gitopsd-a.b.0.service"
    unit.write_text(unit_text("a.b.0", **{**plain, **changes}))
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(unit)],
        capture_output=True,
        text=True,
        check=True,
    )
    found = OVERALL.search(done.stdout)
    assert found is not None, done.stdout
    return found[1]
