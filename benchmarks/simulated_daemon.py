"""A daemon whose workers are simulated: `python -m benchmarks.simulated_daemon CONFIG`."""

import sys
from pathlib import Path

from benchmarks.simulated_workers import SimulatedWorkers
from gitopsd.daemon.controller.controller import Controller, Settings
from gitopsd.daemon.workspace import open_workspace


def main() -> None:
    workers = SimulatedWorkers()
    settings = Settings(
        open_workspace=lambda: open_workspace(None, Path(sys.argv[1]), None), open_workers=lambda _: workers
    )
    Controller(settings).run()


if __name__ == "__main__":
    main()
