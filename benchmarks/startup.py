"""How long the shortest commands take, beside a bare interpreter: `python -m benchmarks.startup [--runs N]`.

Byte code is cached, as it is where gitopsd is installed.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import environment
from gitopsd.repo.initialise import initialise


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=15)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        repository = Path(folder) / "repository"
        initialise(repository)
        gitopsd = [sys.executable, "-m", "gitopsd"]
        variables = environment(Path(folder))
        commands = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "gitopsd --version": [*gitopsd, "--version"],
            "gitopsd --help": [*gitopsd, "--help"],
            "gitopsd check (template)": [*gitopsd, "--repo", str(repository), "check"],
            "gitopsd plan (template)": [*gitopsd, "--repo", str(repository), "plan"],
        }
        took = {name: [] for name in commands}  # type: dict[str, list[float]]
        for run in range(runs + 1):
            for name, command in commands.items():
                started = time.perf_counter()
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env=variables)
                if run:  # the first one fills caches
                    took[name].append((time.perf_counter() - started) * 1000)
    print(f"{'command':28} {'median ms':>10} {'min':>8} {'max':>8}")
    for name, samples in took.items():
        print(f"{name:28} {statistics.median(samples):10.0f} {min(samples):8.0f} {max(samples):8.0f}")


if __name__ == "__main__":
    main()
