"""A repository of modules to copy from, and one to copy them to."""

from dataclasses import dataclass
from pathlib import Path

from gitopsd.daemon.vendor.vendoring import Vendored, add_library
from gitopsd.model.vendor import LOCK_FILE
from gitopsd.repo.repository import Repository, open_at
from tests.repo.gitrepo import GitRepo

CLEANSE = """\
module: cleanse
in: {records: rows}
out: {good: good}
steps:
  filter: {use: std/transform, in: rows, out: good, with: {actions: [{parse: json}]}}
channels: {rows: {transport: worker}, good: {transport: worker}}
"""
NOTIFY = """\
module: notify
in: {records: rows}
steps:
  check: {use: modules/cleanse, in: {records: rows}, out: {good: good}}
  send: {use: blueprints/alert, in: good}
channels: {rows: {transport: worker}, good: {transport: worker}}
"""
ALERT = """\
blueprint: alert
in: {default: {speaks: [worker]}}
job:
  exec: ["${{ job.files }}/alert"]
  files:
    alert: {from: files/alert.sh, mode: "0755"}
    rules.txt: {from: files/conf/rules.txt}
    inline.txt: "as it is"
"""

ALL = {
    "modules/notify.yaml", "modules/cleanse.yaml", "blueprints/warn.yaml", "files/alert.sh", "files/conf/rules.txt",
}  # fmt: skip
"""What `modules/notify.yaml` is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """`other` has the modules; `own` is the work tree that they are copied into."""

    other: GitRepo
    own: GitRepo

    @property
    def repository(self) -> Repository:
        return open_at(self.own.path)

    @property
    def lock(self) -> str:
        return (self.own.path / LOCK_FILE).read_text()

    def add(self, ref: str = "v1", path: str = "modules/notify.yaml", **options: object) -> Vendored:
        return add_library(self.repository, f"file://{self.other.path}", ref, path, **options)  # type: ignore[arg-type]

    def files(self, library: str = "library") -> set[str]:
        folder = self.own.path / "modules/vendor" / library
        return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def pair(folder: Path) -> Pair:
    """The other one has the tag v1."""
    made = Pair(other=GitRepo(folder / "library"), own=GitRepo(folder / "own"))
    for repo in (made.other, made.own):
        repo.git("config", "user.name", "Ada")
        repo.git("config", "user.email", "ada@example.org")
        repo.git("checkout", "-q", "-b", "main")
    made.own.write("gitopsd.yaml", "environments: {production: {fleet: fleets/production.yaml}}\n")
    made.own.commit("first")
    made.other.write("modules/cleanse.yaml", CLEANSE)
    made.other.write("modules/notify.yaml", NOTIFY)
    made.other.write("modules/unused.yaml", CLEANSE.replace("cleanse", "unused"))
    made.other.write("blueprints/warn.yaml", ALERT)  # the declared name counts, not the file's
    made.other.write("blueprints/unused.yaml", ALERT.replace("blueprint: alert", "blueprint: unused"))
    made.other.write("files/alert.sh", "#!/bin/sh\n", executable=True)
    made.other.write("files/conf/rules.txt", "rules\n")
    made.other.write("files/unused.txt", "unused\n")
    made.other.write("README.md", "modules to share\n")
    made.other.commit("first")
    made.other.git("tag", "v1")
    return made
