"""A generated repository: real YAML in the shape that people write, exactly as many workers and jobs as asked for."""

import re
import secrets
import subprocess
from collections.abc import Mapping
from pathlib import Path

STEPS_IN_A_LANE = 3
REPLICAS = 2
_LANE_JOBS = STEPS_IN_A_LANE * REPLICAS
WORKERS_IN_A_GROUP = 50


def generate(*, workers: int, jobs: int, workflows: int) -> dict[str, bytes]:
    """Path -> content. Needs at least six jobs a workflow and two workers."""
    if jobs < workflows * _LANE_JOBS or workers < REPLICAS:
        raise SystemExit(f"at least {_LANE_JOBS} jobs a workflow and {REPLICAS} workers, please")
    groups = max(1, workers // WORKERS_IN_A_GROUP)
    files = {
        "gitopsd.yaml": "environments:\n  production:\n    fleet: fleets/production.yaml\n",
        "fleets/production.yaml": _fleet(workers, groups, slots=max(100, 4 * jobs // workers)),
    }
    for number in range(workflows):
        count = jobs // workflows + (number < jobs % workflows)
        files[f"workflows/flow-{number:03}.yaml"] = _workflow(number, count, f"group-{number % groups}")
    return {path: text.encode() for path, text in files.items()}


def _fleet(workers: int, groups: int, slots: int) -> str:
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBLXJtXRn0ZrBfDG3YlGCfhYWYhxXlrXvaFyyWVPEcHD"
    lines = ["groups:"]
    for group in range(groups):
        lines += [
            f"  group-{group}:",
            f"    labels: {{region: eu, rack: r{group}}}",
            "    mounts: {/mnt/shared: shared}",
            "    workers:",
        ]
        lines += [
            f"      worker-{number:04}: {{address: 10.0.{number // 250}.{number % 250 + 1}, "
            f'host_key: "{key}", slots: {slots}}}'
            for number in range(group, workers, groups)
        ]
    return "\n".join(lines) + "\n"


def _workflow(number: int, jobs: int, group: str) -> str:
    """Lanes of collect → cleanse → deliver, two replicas each; what is left over reads the first lane's store too."""
    lanes, rest = divmod(jobs, _LANE_JOBS)
    place = f'    place: {{group: {group}, replicas: {REPLICAS}, constraints: ["label.region == eu"]}}'
    steps: list[str] = []
    channels: list[str] = []
    for lane in range(lanes):
        steps += [
            f"  collect-{lane}:",
            "    use: std/read-files",
            f'    with: {{glob: "${{{{ params.inbox }}}}/lane-{lane}/*.jsonl", mode: tail}}',
            f"    out: raw_{lane}",
            place,
            f"  cleanse-{lane}:",
            "    use: std/transform",
            f"    in: raw_{lane}",
            f"    out: clean_{lane}",
            "    with:",
            "      actions:",
            "        - {parse: json}",
            f"        - {{filter: \"level == 'error' && lane == `{lane}`\"}}",
            "        - {rename: {msg: message}}",
            place,
            f"  deliver-{lane}:",
            "    use: std/write-files",
            f"    in: clean_{lane}",
            f'    with: {{path: "/srv/out/flow-{number}/lane-{lane}/${{{{ job.replica }}}}", rotate_bytes: 64M}}',
            place,
        ]
        channels += [
            f"  raw_{lane}: {{transport: worker}}",
            f"  clean_{lane}: {{transport: file-store, path: /mnt/shared/flow-{number}/lane-{lane}}}",
        ]
    if rest:
        steps += [
            "  archive:",
            "    use: std/write-files",
            "    in: clean_0",
            f"    with: {{path: /srv/archive/flow-{number}}}",
            f"    place: {{group: {group}, replicas: {rest}}}",
        ]
    head = [f"workflow: flow-{number:03}", "params:", f"  inbox: {{type: string, default: /srv/in/flow-{number}}}"]
    return "\n".join([*head, "steps:", *steps, "channels:", *channels]) + "\n"


def commit(repository: Path, files: Mapping[str, bytes]) -> None:
    """A new repository at that path with one commit of the files, packed, and the tag `generated` on it."""
    for path, content in files.items():
        (repository / path).parent.mkdir(parents=True, exist_ok=True)
        (repository / path).write_bytes(content)
    _git(repository, "init", "-q", "-b", "main")
    _commit_all(repository)
    _git(repository, "tag", "generated")
    _git(repository, "repack", "-q", "-a", "-d")


def change(repository: Path, number: int) -> None:
    """Commits an edit to one workflow: where its first step reads from. No two edits are the same."""
    path = repository / "workflows" / f"flow-{number:03}.yaml"
    edit = f"/lane-0/edit-{secrets.randbelow(10**12)}/"
    path.write_text(re.sub(r"/lane-0(/edit-\d+)?/", edit, path.read_text(), count=1))
    _commit_all(repository)


def _commit_all(repository: Path) -> None:
    author = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    _git(repository, "add", "-A")
    _git(repository, *author, "commit", "-q", "-m", "generated")


def _git(repository: Path, *arguments: str) -> None:
    subprocess.run(["git", "-C", str(repository), *arguments], check=True)
