"""What is deployed: a workflow that each version changes in the same ways, so that each apply has the same points."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.fleet.machine import Machine

STAYS, CHANGES, RELOADS, KEEPS, ONCE = (f"orders.{name}.0" for name in ("stays", "changes", "reloads", "keeps", "once"))
COMING_AND_GOING = ("orders.even.0", "orders.odd.0")
CONFIRM_SECONDS = 8

_KEEPER = """\
import sys, time
print(sys.argv[1], flush=True)
while True:
    time.sleep(3600)
"""


def files(version: int) -> dict[str, str]:
    """The source tree of a version, beside what never changes."""
    goes = ("even", "odd")[version % 2]
    step = "{{use: blueprints/{0}, with: {{word: {1}}}, place: {{group: all}}}}".format
    steps = {
        "stays": step("keeper", "always"),
        "changes": step("keeper", f"v{version}"),
        "reloads": step("reloader", f"v{version}"),
        "keeps": step("secretive", "always"),
        "once": step("one-time", f"v{version}"),
        goes: step("keeper", "always"),
    }
    return {"workflows/orders.yaml": "workflow: orders\nsteps:\n" + "".join(f"  {k}: {v}\n" for k, v in steps.items())}


def constant_files(machine: Machine) -> dict[str, str]:
    # short, so that a trial can see it pass; long enough for a controller on a busy machine
    rollout = {"confirm_timeout": f"{CONFIRM_SECONDS}s"}
    worker = {"address": machine.address, "user": "root", "host_key": machine.host_key}
    return {
        "gitopsd.yaml": "environments:\n  production: {fleet: fleets/production.yaml}\n",
        "fleets/production.yaml": json.dumps(
            {"groups": {"all": {"rollout": rollout, "workers": {machine.name: worker}}}}
        ),
        "blueprints/keeper.yaml": _blueprint("keeper"),
        "blueprints/reloader.yaml": _blueprint("reloader", "  on_change: reload\n"),
        "blueprints/secretive.yaml": _blueprint("secretive").replace("job:", "secrets: [token]\njob:"),
        "blueprints/one-time.yaml": (
            "blueprint: one-time\nparams: {word: {type: string}}\n"
            'job:\n  kind: once\n  exec: [python3, -c, "print(1)", "${{ params.word }}"]\n'
        ),
        "files/keeper.py": _KEEPER,
        "files/reloader.py": "import signal\nsignal.signal(signal.SIGHUP, lambda *_: None)\n" + _KEEPER,
    }


def _blueprint(name: str, more: str = "") -> str:
    script = "reloader" if name == "reloader" else "keeper"
    return (
        f"blueprint: {name}\nparams: {{word: {{type: string}}}}\njob:\n"
        f'  exec: [python3, files/{script}.py, "${{{{ params.word }}}}"]\n'
        f"  files:\n    {script}.py: {{from: files/{script}.py}}\n"
        f'    words.txt: "word = ${{{{ params.word }}}}\\n"\n{more}'
    )
