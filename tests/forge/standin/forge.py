"""What people do on a forge, and what the forge is made to do to its callers."""

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Literal

from gitopsd.forge.forge import ForgeKind
from gitopsd.model.secret import SecretValue
from tests.forge.standin.deliveries import Hook
from tests.forge.standin.git import BareRepository
from tests.forge.standin.records import How, Note, PullRecord, Review, Status, moment

BOT = "gitopsd-bot"
TOKEN = "standin-token-of-the-bot"  # noqa: S105 - of nothing but this


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request that came, and how it was answered."""

    method: str
    path: str
    query: Mapping[str, str]
    status: int


@dataclass(kw_only=True)
class Conditions:
    """What stands between a caller and its answer; see the methods of Standin."""

    outage: int = 0
    broken_writes: bool = False
    remaining: int | None = None
    reset_in: int = 60
    secondary: bool = False
    retry_after: int | None = None


@dataclass(kw_only=True)
class Standin:
    """One repository on one forge, at `path` if one is there already. Every method may be called while it serves.

    Heads are read from Git whenever somebody asks: a branch that was pushed by `git push` counts like `commit`.
    """

    kind: ForgeKind
    folder: Path
    path: Path | None = None
    name: str = "acme/fleet"
    url: str = ""
    page_limit: int = 100
    is_app: bool = False
    requests: list[Asked] = field(default_factory=list)
    conditions: Conditions = field(default_factory=Conditions)
    pulls: dict[int, PullRecord] = field(default_factory=dict)
    forks: dict[str, BareRepository] = field(default_factory=dict)
    hooks: list[Hook] = field(default_factory=list)
    _statuses: dict[str, list[Status]] = field(default_factory=dict)
    _ids: Iterator[int] = field(default_factory=lambda: count(1001))
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def __post_init__(self) -> None:
        self.lock = threading.RLock()
        self.repository = BareRepository(self.path or self.folder / "fleet.git")
        if not self.repository.head("main"):
            self.repository.commit("main", {"README.md": "a fleet\n"}, "start")

    # What a caller needs.

    @staticmethod
    def token() -> SecretValue:
        """That of the account BOT."""
        return SecretValue(TOKEN.encode())

    @property
    def git_url(self) -> str:
        return str(self.repository.path)

    # What people do.

    def commit(self, branch: str, files: Mapping[str, str | None], message: str = "change", *, fork: str = "") -> str:
        """Push a commit; a new branch starts at `main`. The commit's id."""
        with self.lock:
            made = self._where(fork).commit(branch, files, message)
            if not fork:
                self._tell("push", branch=branch, commit=made)
            self.notice()
            return made

    def fork(self, account: str) -> BareRepository:
        """A copy of the repository that `account` may push to; `del forks[account]` deletes it."""
        with self.lock:
            copy = BareRepository(self.folder / "forks" / account / "fleet.git")
            copy.fetch(self.repository.path, "refs/heads/main", "refs/heads/main")
            self.forks[account] = copy
            return copy

    def open(
        self,
        branch: str,
        *,
        author: str = "ada",
        base: str = "main",
        fork: str = "",
        draft: bool = False,
        title: str = "",
    ) -> int:
        """Open a pull request; its number."""
        with self.lock:
            number, head = next(self._numbers), self._where(fork).head(branch)
            assert head, f"there is no branch {branch}"
            self.pulls[number] = PullRecord(
                number=number,
                author=author,
                title=title or f"Change {branch}",
                branch=branch,
                base=base,
                head="",
                base_commit=self.repository.head(base),
                fork=fork,
                draft=draft,
            )
            self._move_head(self.pulls[number], head)
            self._tell("opened", pull=self.pulls[number])
            return number

    def comment(self, number: int, author: str, body: str) -> Note:
        with self.lock:
            note = Note(id=next(self._ids), author=author, body=body)
            self.pulls[number].notes.append(note)
            return note

    def approve(self, number: int, author: str, *, has_a_say: bool = True) -> None:
        self._review(number, author, "approved", has_a_say=has_a_say)

    def request_changes(self, number: int, author: str) -> None:
        self._review(number, author, "changes", has_a_say=True)

    def dismiss(self, number: int, author: str) -> None:
        """Somebody withdraws what `author` said."""
        with self.lock:
            for one in self.pulls[number].reviews:
                one.dismissed = one.dismissed or one.author == author

    def merge(self, number: int, how: How = "merge") -> str:
        """With real Git; the last commit that this made on the base branch. Raises ConflictError."""
        with self.lock:
            self.notice()
            pull, git = self.pulls[number], self.repository
            assert pull.state == "open"
            message = f"Merge pull request #{number}"
            match how:
                case "merge":
                    commit = git.merge_commit(pull.base, pull.head, message)
                case "squash":
                    commit = git.squash(pull.base, pull.head, f"{pull.title} (#{number})")
                case "rebase":
                    commit = git.rebase(pull.base, pull.head)
                case "fast-forward":
                    assert git.contains(pull.head, git.head(pull.base))
                    git.set_ref(f"refs/heads/{pull.base}", pull.head)
                    commit = pull.head
            pull.state, pull.how, pull.merge_commit = "merged", how, commit
            self._tell("push", branch=pull.base, commit=commit)
            self._tell("closed", pull=pull)
            return commit

    def close(self, number: int) -> None:
        with self.lock:
            self.pulls[number].state = "closed"
            self._tell("closed", pull=self.pulls[number])

    def webhook(self, url: str, secret: str) -> Hook:
        """Deliver everything from now on to `url`, signed; what became of each is in the Hook's `deliveries`."""
        hook = Hook(kind=self.kind, url=url, secret=secret)
        self.hooks.append(hook)
        return hook

    # What people see.

    def notes(self, number: int, *, by: str = "") -> list[Note]:
        with self.lock:
            return [one for one in self.pulls[number].notes if by in {"", one.author}]

    def statuses(self, commit: str, context: str = "") -> list[Status]:
        """All that were ever written, oldest first."""
        with self.lock:
            return [one for one in self._statuses.get(commit, []) if context in {"", one.context}]

    def asked(self, method: str, part: str = "") -> list[Asked]:
        return [one for one in self.requests if one.method == method and part in one.path]

    # What the forge does to its callers.

    @contextmanager
    def outage(self, status: int = 503) -> Iterator[None]:
        """Every request is answered by this, for the length of a `with`."""
        self.conditions.outage = status
        yield
        self.conditions.outage = 0

    @contextmanager
    def few_left(self, remaining: int, *, reset_in: int = 60) -> Iterator[None]:
        """So many more requests are allowed; afterwards, as many as anybody likes."""
        self.conditions.remaining, self.conditions.reset_in = remaining, reset_in
        yield
        self.conditions.remaining = None

    @contextmanager
    def too_fast(self, *, retry_after: int | None) -> Iterator[None]:
        """What GitHub calls its secondary limit."""
        self.conditions.secondary, self.conditions.retry_after = True, retry_after
        yield
        self.conditions.secondary = False

    # What the servers of the APIs use.

    def notice(self) -> None:
        """What Git has become since: heads of pull requests follow their branches."""
        with self.lock:
            for pull in self.pulls.values():
                if pull.state != "open":
                    continue
                pull.base_commit = self.repository.head(pull.base)
                head = self._where(pull.fork).head(pull.branch)
                if head and head != pull.head:
                    self._move_head(pull, head)
                    self._tell("synchronize", pull=pull)

    def add_status(self, commit: str, context: str, state: str, description: str, target: str) -> Status:
        with self.lock:
            made = Status(id=next(self._ids), context=context, state=state, description=description, target=target)
            self._statuses.setdefault(commit, []).append(made)
            return made

    def note(self, key: int) -> Note | None:
        with self.lock:
            return next((one for pull in self.pulls.values() for one in pull.notes if one.id == key), None)

    def merged_by(self, commit: str) -> list[PullRecord]:
        """The merged pull requests that `commit` is of, its own commits or what merging made of them."""
        with self.lock:
            found = []
            for pull in self.pulls.values():
                if pull.state != "merged":
                    continue
                own = {pull.merge_commit, *self.repository.commits(pull.head, pull.base_commit)}
                if pull.how == "rebase":
                    own |= set(self.repository.commits(pull.merge_commit, pull.base_commit))
                if commit in own:
                    found.append(pull)
            return found

    def changed(self, pull: PullRecord) -> list[tuple[str, str]]:
        return self.repository.changed(self.repository.merge_base(pull.base_commit, pull.head), pull.head)

    def _where(self, fork: str) -> BareRepository:
        return self.forks[fork] if fork else self.repository

    def _move_head(self, pull: PullRecord, head: str) -> None:
        pull.head = head
        pull.versions.append((head, moment()))
        place = "merge-requests" if self.kind == "gitlab" else "pull"
        ref = f"refs/{place}/{pull.number}/head"
        if pull.fork:
            self.repository.fetch(self._where(pull.fork).path, f"refs/heads/{pull.branch}", ref)
        else:
            self.repository.set_ref(ref, head)

    def _review(self, number: int, author: str, verdict: Literal["approved", "changes"], *, has_a_say: bool) -> None:
        with self.lock:
            self.notice()
            pull = self.pulls[number]
            pull.reviews.append(
                Review(
                    id=next(self._ids),
                    author=author,
                    verdict=verdict,
                    commit=pull.head,
                    at=moment(),
                    has_a_say=has_a_say,
                )
            )
            self._tell("reviewed", pull=pull)

    def _tell(self, what: str, *, pull: PullRecord | None = None, branch: str = "", commit: str = "") -> None:
        for hook in self.hooks:
            hook.deliver(self.name, what, pull=pull, branch=branch, commit=commit)
