"""A repository on a stand-in of a forge, a daemon that follows it, and the workflows `orders` and `alerts` in it."""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gitopsd.forge.forge import ForgeKind
from tests.daemon.controller.daemon_process import Site
from tests.daemon.controller.two_programs import two_programs
from tests.forge.standin import Note, Standin, Status, forge_standin
from tests.forge.standin.forge import BOT
from tests.operator import eventually

PLAN, DEPLOY = "gitopsd/plan/local", "gitopsd/deploy/local"
RUNS = "#!/bin/sh\nexec sleep 1000\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class ForgeSite:
    """`site` is the daemon's side: its bare repository is the forge's own."""

    site: Site
    forge: Standin

    def configure(self, **more: object) -> None:
        token = self.site.operator.home / "token"
        token.write_text(self.forge.token().reveal().decode())
        token.chmod(0o600)
        own = {
            "kind": self.forge.kind,
            "repository": self.forge.name,
            "url": self.forge.url,
            "token": {"file": str(token)},
        }
        settings = {"forge": own, "intervals": {"poll": "1s", "reconcile": "2s", "pulls": "1s"}, **more}
        if isinstance(more.get("forge"), dict):
            settings["forge"] = {**own, **more["forge"]}  # type: ignore[dict-item]
        self.site.configure(**settings)

    def propose(self, branch: str, name: str, text: str, *, base: str = "main", draft: bool = False) -> int:
        """A pull request with another script for the job of that name; its number."""
        self.forge.commit(branch, {f"files/{name}.sh": text})
        return self.forge.open(branch, base=base, draft=draft)

    def comments(self, number: int) -> list[Note]:
        """Ours."""
        return self.forge.notes(number, by=BOT)

    def comment(self, number: int) -> str:
        found = self.comments(number)
        return found[0].body if found else ""

    def statuses(self, commit: str, context: str = PLAN) -> list[Status]:
        return self.forge.statuses(commit, context)

    def status(self, commit: str, context: str = PLAN) -> str:
        """The newest one's state, in GitHub's words."""
        found = self.statuses(commit, context)
        return found[-1].state.replace("failed", "failure") if found else ""

    def effects(self, number: int) -> str:
        """The digest that the comment carries; empty where there is none."""
        found = re.search(r"<!-- gitopsd shown [0-9a-f]{40} ([0-9a-f]{40}) -->", self.comment(number))
        return found[1] if found else ""

    def writes(self) -> int:
        """Requests that would have changed something."""
        return sum(one.method != "GET" for one in self.forge.requests)

    def wait_for_plan(self, number: int, state: str = "success") -> str:
        """Until the head has that status, and the comment is of that head; its text."""
        head = self.forge.pulls[number].head
        eventually(f"pull request {number} is {state}", lambda: self.status(head) == state)
        eventually("the comment is of that head", lambda: head in self.comment(number))
        return self.comment(number)

    def wait_for_rounds(self, count: int) -> None:
        """Until the daemon asked so many more times for what is open."""
        part = {"gitlab": "/merge_requests", "github": "/pulls"}.get(self.forge.kind, "/pulls")

        def asked() -> int:
            return sum(one.method == "GET" and one.path.endswith(part) for one in self.forge.requests)

        before = asked()
        eventually(f"{count} more rounds", lambda: asked() >= before + count)

    def wait_for_quiet(self) -> None:
        """Until the daemon has asked for what is open, and told of what is deployed, and rests."""
        eventually(
            "it asked", lambda: any(one.path.endswith(("/pulls", "/merge_requests")) for one in self.forge.requests)
        )
        eventually("the first deployment's version is known", lambda: bool(self.forge.asked("GET", "/commits/")))


@contextmanager
def forge_site(kind: ForgeKind, folder: Path, **settings: object) -> Iterator[ForgeSite]:
    """What is on `main` of the forge is what the operator has pushed there; nothing is deployed yet."""
    with forge_standin(kind, folder / "forge") as forge, contextmanager(two_programs)(folder) as made:
        operator = made.operator
        operator.git("push", "--quiet", "--force", str(forge.repository.path), "HEAD:main")
        operator.git("remote", "set-url", "origin", str(forge.repository.path))
        site = ForgeSite(site=Site(operator=operator, bare=forge.repository.path), forge=forge)
        site.configure(**settings)
        try:
            yield site
        finally:  # nothing is left running, whatever the daemon had deployed
            site.configure()
            operator.run("worker", "teardown", "local-1", "--yes", expect=None)


def without_foot(text: str) -> str:
    return re.sub(r"<sub>.*</sub>", "", text)


def lines_with(text: str, word: str) -> Sequence[str]:
    return [line for line in text.splitlines() if word in line]
