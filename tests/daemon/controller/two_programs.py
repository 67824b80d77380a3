"""The workflows `orders` and `alerts`, of one job each, on this machine."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.daemon.controller.daemon_process import Site, make_site
from tests.operator import eventually, local_operator

RUNS = "#!/bin/sh\nexec sleep 1000\n"
DIES = "#!/bin/sh\necho it can not go on >&2\nexit 3\n"
BLUEPRINT = """\
blueprint: {name}
job:
  kind: service
  exec: ['${{{{ job.files }}}}/run']
  files: {{run: {{from: files/{name}.sh, mode: '0755'}}}}
"""
WORKFLOW = "workflow: {name}\nsteps:\n  main: {{use: blueprints/{name}, place: {{group: local}}}}\n"
FLEET = """\
groups:
  local:
    rollout: {auto_revert: true, min_healthy_time: 1s, healthy_deadline: 20s}
    workers:
      WORKER: {connection: local, service_manager: supervisor}
"""


WORKER = {"local": "local-1", "second": "second-1"}


def two_programs(folder: Path) -> Iterator[Site]:
    """A repository of the workflows `orders` and `alerts`, of one job each; nothing is pushed or deployed yet."""
    operator = local_operator(folder)
    operator.git("rm", "--quiet", "workflows/roundtrip.yaml")
    programs = {
        path.format(name=name): text.format(name=name) if "{name}" in text else text
        for name in ("orders", "alerts")
        for path, text in (
            ("blueprints/{name}.yaml", BLUEPRINT),
            ("workflows/{name}.yaml", WORKFLOW),
            ("files/{name}.sh", RUNS),
        )
    }
    operator.write(
        {
            "gitopsd.yaml": "environments:\n  local: {fleet: fleets/local.yaml}\n",
            "fleets/local.yaml": FLEET.replace("WORKER", "local-1"),
            **programs,
        }
    )
    operator.commit("Two programs")
    made = make_site(folder, operator)
    try:
        yield made
    finally:
        for name in ("local", "second"):
            if made.deployments(name):
                made.operator.run("--env", name, "worker", "teardown", WORKER[name], "--yes", expect=None)
        end_supervisors(made.operator.home)


def end_supervisors(home: Path) -> None:
    """What no teardown reaches: the worker of an environment that has another branch or another name by now."""
    for pid_file in home.rglob("supervisor/supervisord.pid"):
        process = int(pid_file.read_text())
        os.kill(process, signal.SIGTERM)  # it ends its jobs first, and takes the file away
        eventually(f"supervisord {process} ends", lambda file=pid_file: not file.exists())  # type: ignore[misc]
