"""What gitopsd asks of a forge, and the values it gets: the same for GitHub, GitLab, Gitea and Forgejo.

Names, titles and paths in these values are text from outside: hostile until neutralised by whoever shows them.
"""

from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct

ForgeKind = Literal["github", "gitlab", "gitea", "forgejo"]
StatusState = Literal["pending", "success", "failure", "error"]


class PullRequest(Struct, frozen=True, kw_only=True):
    """A pull request, or merge request, as the forge has it at this moment.

    `head_ref` and `base_ref` are names of branches without `refs/heads/`; `head_ref` may be one of the fork's.
    `base_commit` is what the forge says of the base: it may be older than the branch, and is empty where a list leaves
    it out. Ask Git where the branch is. `merge_commit` is the commit on the base branch that merging made (the last
    one, if it made several); empty unless merged.
    """

    number: int
    head_commit: str
    head_ref: str
    base_ref: str
    base_commit: str
    author: str
    from_fork: bool
    draft: bool
    state: Literal["open", "merged", "closed"]
    merge_commit: str
    url: str


class CommitStatus(Struct, frozen=True, kw_only=True):
    """What a forge shows beside a commit. `context` is the check's name and stays the same, as `gitopsd/plan/ENV`.

    A description longer than the forge's limit is cut; the target may be empty. `error` is `failure` on GitLab, which
    has no such state.
    """

    context: str
    state: StatusState
    description: str
    target: str = ""


class Approval(Struct, frozen=True, kw_only=True):
    """Somebody's approval of a pull request.

    `commit` is the head that it was given for; empty where the forge doesn't tell. `valid`: the forge still counts it;
    it isn't the author's own, was neither dismissed nor withdrawn, and who gave it has a say in the repository. It says
    nothing of whether `commit` is still the head: compare. `at`: when it was given, by the forge's clock; None where
    the forge doesn't tell.
    """

    author: str
    commit: str
    valid: bool
    at: datetime | None = None


class Comment(Struct, frozen=True, kw_only=True):
    """A comment as a forge has it. `ours`: the token's own account wrote it. `at`: when it was written or edited last,
    by the forge's clock.
    """

    id: int
    body: str
    ours: bool
    at: datetime


class ChangedFiles(Struct, frozen=True, kw_only=True):
    """Paths that a pull request changes, sorted, both names of a renamed file; `complete`: the forge gave all."""

    paths: tuple[str, ...]
    complete: bool


class Forge(Protocol):
    """One repository on a forge. Every call may raise ForgeUnavailableError (later) and ForgeRefusedError (never).

    All calls have deadlines. They can be made from several threads.
    """

    @property
    def kind(self) -> ForgeKind: ...

    @property
    def comment_limit(self) -> int:
        """The longest comment, marker included, in characters."""

    def open_pull_requests(self) -> tuple[PullRequest, ...]:
        """By number. An unchanged list costs one conditional request for each hundred."""

    def pull_request(self, number: int) -> PullRequest:
        """As it is now, whatever its state. Raises NotFoundError."""

    def merged_pull_request(self, commit: str, base: str) -> PullRequest | None:
        """The merged pull request that brought `commit` to the branch `base`; None where it came another way.

        Gitea and Forgejo know only the last commit of a merge.
        """

    def comment(self, number: int, marker: str) -> Comment | None:
        """The one that `upsert_comment` would edit."""

    def upsert_comment(self, number: int, marker: str, body: str) -> datetime | None:
        """Make our comment that starts with `marker` be `body`, which starts with it too. When it was written, by the
        forge's clock; None where nothing had to be.

        Ours is the oldest one with that marker that this token's own account wrote, so nobody can slip us theirs.
        A comment that has the same text isn't touched. Raises ValueError for a body that is too long.
        """

    def set_status(self, commit: str, status: CommitStatus) -> bool:
        """Write it, unless the newest one of that context says the same already; whether anything was written.

        GitLab takes none for a commit that is on no branch of the project itself, as a fork's: NotFoundError.
        """

    def open_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        """For the branch `head` of the repository itself. Raises ForgeRefusedError where there is one already."""

    def changed_files(self, number: int) -> ChangedFiles: ...

    def approvals(self, pull_request: PullRequest) -> tuple[Approval, ...]:
        """The last word of each person who ever approved, by name."""

    def head_ref(self, number: int) -> str:
        """The ref by which `git fetch` gets the head of a pull request, from the repository itself, forks included."""

    def close(self) -> None:
        """Let its connections go."""
