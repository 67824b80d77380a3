"""From a commit to the running job on one real systemd machine, split by stage, beside a bare OpenSSH tar pipe.

As root: `python -m benchmarks.deploy [--rounds N]`. Each round commits a change of one job's arguments and applies it.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.processes import environment
from gitopsd.repo.initialise import commit_work_tree, initialise
from tests.fleet.machine import Machine
from tests.fleet.machines import Fleet

FLEET = """\
groups:
  local:
    workers:
      edge-1: {{address: {address}, user: root, host_key: "{host_key}"}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder, Fleet.start(names=("edge-1",)) as fleet:
        machine = fleet["edge-1"]
        machine.run(["mkdir", "-p", "/srv/roundtrip/in"])
        home = Path(folder)
        (home / "config.yaml").write_text(f"ssh: {{identity: {machine.client_key}}}\n")
        repository = home / "repository"
        initialise(repository)
        parameters = (repository / "gitopsd.yaml").read_text().replace(str(repository / "data"), "/srv/roundtrip")
        (repository / "gitopsd.yaml").write_text(parameters)
        text = FLEET.format(address=machine.address, host_key=machine.host_key)
        (repository / "fleets/local.yaml").write_text(text)
        commit_work_tree(repository, "One real machine")
        first = apply(home, repository)
        rows: list[dict[str, float]] = []
        peer: list[float] = []
        for number in range(1, rounds + 1):
            workflow = repository / "workflows/roundtrip.yaml"
            change(workflow, number)
            started = time.perf_counter()
            commit_work_tree(repository, f"Change {number}")
            committed = time.perf_counter() - started
            rows.append({"git commit": committed, **apply(home, repository)})
            peer.append(tar_pipe(machine, repository))
    report(first, rows, peer)


def change(workflow: Path, number: int) -> None:
    """Another argument for `deliver`: its files change, its unit doesn't."""
    lines = [line for line in workflow.read_text().splitlines() if "/out" not in line]
    position = next(index for index, line in enumerate(lines) if "in: collected" in line)
    lines.insert(position + 1, f'    with: {{path: "${{{{ params.data }}}}/out", rotate_seconds: {number}}}')
    workflow.write_text("\n".join(lines) + "\n")


def apply(home: Path, repository: Path) -> dict[str, float]:
    """Seconds of one `gitopsd apply` as a whole process, and of its stages."""
    command = [sys.executable, "-m", "gitopsd", "--config", str(home / "config.yaml"), "--repo", str(repository)]
    started = time.perf_counter()
    done = subprocess.run(
        [*command, "apply", "--json"],
        check=True,
        stdout=subprocess.PIPE,
        env=environment(home),
    )
    whole = time.perf_counter() - started
    result = json.loads(done.stdout)
    (worker,) = result["workers"]
    assert worker["state"] == "converged", worker
    stages = {**result["seconds"], **worker["seconds"]}
    top = sum(spent for stage, spent in stages.items() if "." not in stage)
    return {"start-up, note, exit": whole - top, **stages, "gitopsd apply, whole": whole}


def tar_pipe(machine: Machine, repository: Path) -> float:
    """The least that any tool does over a cold connection: files across, one unit restarted."""
    known = repository.parent / "known_hosts"
    known.write_text(f"{machine.address} {machine.host_key}\n")
    remote = "mkdir -p /srv/peer && tar x -C /srv/peer && systemctl restart gitopsd-roundtrip.deliver.0"
    started = time.perf_counter()
    with subprocess.Popen(["tar", "c", "-C", str(repository), "."], stdout=subprocess.PIPE) as files:
        subprocess.run(
            ["ssh", "-i", str(machine.client_key), "-o", f"UserKnownHostsFile={known}", "-o", "BatchMode=yes",
             "-o", "KexAlgorithms=curve25519-sha256", f"root@{machine.address}", remote],
            stdin=files.stdout, check=True,
        )  # fmt: skip
    return time.perf_counter() - started


def report(first: dict[str, float], rows: list[dict[str, float]], peer: list[float]) -> None:
    print(f"{'stage':28} {'first s':>8} {'median s':>9} {'min':>7} {'max':>7}")
    for stage in rows[0]:
        samples = [row[stage] for row in rows]
        once = f"{first[stage]:8.3f}" if stage in first else " " * 8
        print(f"{stage:28} {once} {statistics.median(samples):9.3f} {min(samples):7.3f} {max(samples):7.3f}")
    print(f"{'OpenSSH tar pipe, cold':28} {'':8} {statistics.median(peer):9.3f} {min(peer):7.3f} {max(peer):7.3f}")


if __name__ == "__main__":
    main()
