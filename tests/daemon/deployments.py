"""A workflow repository whose workers nobody reaches: versions are planned and committed, and that is all."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gitopsd.daemon.configuration.configuration import Configuration
from gitopsd.daemon.deploying.writing import write_version
from gitopsd.daemon.holds.asked import Asked
from gitopsd.daemon.planning.plan import Planned, plan_version
from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.artifacts import read_head
from gitopsd.repo.repository import open_at
from tests.repo.gitrepo import GitRepo

BY_A_PERSON = Asked()


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployments:
    """`repo` is the work tree; environments are named on each call where there are several."""

    repo: GitRepo

    def workspace(self, environment: str | None = None) -> Workspace:
        return Workspace(
            repository=open_at(self.repo.path), remote=None, configuration=Configuration(), environment=environment
        )

    def plan(self, environment: str | None = None, revision: str | None = None) -> Planned:
        workspace = self.workspace(environment)
        return plan_version(workspace, workspace.source(revision))

    def deploy(self, environment: str | None = None, revision: str = "HEAD", asked: Asked = BY_A_PERSON) -> Planned:
        """Planned, and committed to the artifact branch. A plan that changes nothing isn't committed."""
        workspace = self.workspace(environment)
        source = workspace.source(revision)
        planned = plan_version(workspace, source)
        head = planned.head
        if source.commit is not None and (head is None or head.commit.tree != planned.plan.tree):
            write_version(workspace, planned, asked)
        return planned

    def placement(self, environment: str = "production") -> dict[str, str]:
        """Job -> worker, as the artifact branch has it now."""
        return placed(self.deployed(environment))

    def deployed(self, environment: str = "production") -> dict[str, Any]:
        """The records `placement/*.json` at the head of the artifact branch."""
        found = {}
        for path in self.repo.git("ls-tree", "-r", "--name-only", f"rendered/{environment}", "placement/").split():
            found[path] = json.loads(self.repo.git("show", f"rendered/{environment}:{path}"))
        return found

    def deployment(self, environment: str = "production") -> int:
        workspace = self.workspace(environment)
        head = read_head(workspace.repository, self.plan(environment).branch)
        assert head is not None
        assert head.deployment is not None
        assert head.deployment.trailers is not None
        return head.deployment.trailers.deployment

    def write(self, files: Mapping[str, object]) -> None:
        for path, content in files.items():
            self.repo.write(path, content if isinstance(content, str) else json.dumps(content))

    def commit(self, files: Mapping[str, object] | None = None, message: str = "change") -> str:
        self.write(files or {})
        return self.repo.commit(message)


def placed(records: Mapping[str, Any]) -> dict[str, str]:
    return {job: worker for record in records.values() for job, worker in record["jobs"].items()}


def deployments(path: Path) -> Deployments:
    repo = GitRepo(path)
    repo.git("config", "user.name", "Ada")
    repo.git("config", "user.email", "ada@example.org")
    repo.git("checkout", "-q", "-b", "main")
    return Deployments(repo=repo)


def fleet(*workers: str) -> dict[str, Any]:
    named = {name: {"connection": "local", "service_manager": "supervisor"} for name in workers}
    return {"groups": {"edge": {"mounts": {"/mnt": "shared"}, "workers": named}}}


def workflow(name: str, replicas: int, *, path: str = "out") -> dict[str, Any]:
    place = {"group": "edge", "replicas": replicas}
    steps = {
        "read": {"use": "std/read-files", "with": {"glob": "/srv/in/${{ job.replica }}"}, "out": "c", "place": place},
        "write": {"use": "std/write-files", "with": {"path": f"/srv/{path}/{name}"}, "in": "c", "place": place},
    }
    return {"workflow": name, "steps": steps, "channels": {"c": {"transport": "file-store", "path": f"/mnt/{name}"}}}


def environments(**pins: str) -> dict[str, Any]:
    """gitopsd.yaml: environment -> pin, or "" for none; all of them on one fleet."""
    return {
        "environments": {
            name: {"fleet": "fleets/production.yaml", **({"pin": pin} if pin else {})} for name, pin in pins.items()
        }
    }
