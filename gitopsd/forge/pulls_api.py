"""What the API of GitHub, and that of Gitea and Forgejo which follows it, have in common."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import ClassVar

from msgspec import Struct

from gitopsd.forge.client import Client
from gitopsd.forge.forge import Approval, ChangedFiles, Comment, CommitStatus, PullRequest
from gitopsd.forge.sticky import fitting, ours, upsert

_APPROVING = frozenset({"APPROVED", "DISMISSED"})
_LAST_WORDS = _APPROVING | {"CHANGES_REQUESTED", "REQUEST_CHANGES"}


class User(Struct):
    login: str
    type: str = "User"


class Review(Struct):
    """`author_association` is GitHub's; `official` and `dismissed` are Gitea's, where the state stays `APPROVED`."""

    state: str
    user: User | None = None
    commit_id: str | None = None
    submitted_at: datetime | None = None
    author_association: str = "NONE"
    official: bool = False
    dismissed: bool = False


class _Comment(Struct):
    id: int
    updated_at: datetime
    body: str = ""
    user: User | None = None


class _Status(Struct):
    """GitHub says `state`, and Gitea `status`."""

    context: str
    state: str = ""
    status: str = ""
    description: str | None = None
    target_url: str | None = None


class _File(Struct):
    filename: str
    previous_filename: str = ""


class PullsApi(ABC):
    """As forge.py says, for those calls that are the same; `path` is that of the repository in the API."""

    comment_limit = 65_536
    _size: ClassVar[str] = "per_page"
    _newest_first: ClassVar[Mapping[str, str]] = {}
    _description_limit: ClassVar[int]
    _most_files: ClassVar[int | None] = None

    def __init__(self, client: Client, path: str) -> None:
        self._client = client
        self._path = path

    def comment(self, number: int, marker: str) -> Comment | None:
        return ours(self._comments(number), marker)

    def upsert_comment(self, number: int, marker: str, body: str) -> datetime | None:
        return upsert(
            self._comments(number),
            marker,
            body,
            limit=self.comment_limit,
            create=lambda text: self._write_comment("POST", f"{self._path}/issues/{number}/comments", text),
            edit=lambda key, text: self._write_comment("PATCH", f"{self._path}/issues/comments/{key}", text),
        )

    def set_status(self, commit: str, status: CommitStatus) -> bool:
        wanted = fitting(status, self._description_limit)
        path = f"{self._path}/commits/{commit}/statuses"
        newest_first = self._client.pages(path, _Status, self._newest_first, size=self._size)
        there = next((one for one in newest_first if one.context == wanted.context), None)
        if there is not None and _said(there) == (wanted.state, wanted.description, wanted.target):
            return False
        body = {"context": wanted.context, "state": wanted.state, "description": wanted.description}
        target = {"target_url": wanted.target} if wanted.target else {}
        self._client.write("POST", f"{self._path}/statuses/{commit}", body | target, again=True)
        return True

    def changed_files(self, number: int) -> ChangedFiles:
        files = list(self._client.pages(f"{self._path}/pulls/{number}/files", _File, {}, size=self._size))
        paths = {name for one in files for name in (one.filename, one.previous_filename) if name}
        complete = self._most_files is None or len(files) < self._most_files
        return ChangedFiles(paths=tuple(sorted(paths)), complete=complete)

    def approvals(self, pull_request: PullRequest) -> tuple[Approval, ...]:
        ever: set[str] = set()
        last: dict[str, Review] = {}
        path = f"{self._path}/pulls/{pull_request.number}/reviews"
        for one in self._client.pages(path, Review, {}, size=self._size):  # by age
            if one.user is None or one.state not in _LAST_WORDS:
                continue
            last[one.user.login] = one
            if one.state in _APPROVING:
                ever.add(one.user.login)
        return tuple(
            Approval(
                author=name,
                commit=last[name].commit_id or "",
                at=last[name].submitted_at,
                valid=last[name].state == "APPROVED" and self._has_a_say(last[name]) and name != pull_request.author,
            )
            for name in sorted(ever)
        )

    def head_ref(self, number: int) -> str:
        return f"refs/pull/{number}/head"

    def close(self) -> None:
        self._client.close()

    @abstractmethod
    def _has_a_say(self, review: Review) -> bool:
        """Whether the forge counts what this person thinks."""

    @abstractmethod
    def _is_me(self, user: User) -> bool:
        """Whether that is the token's own account."""

    def _comments(self, number: int) -> Iterator[Comment]:
        path = f"{self._path}/issues/{number}/comments"
        for one in self._client.pages(path, _Comment, {}, size=self._size):
            own = one.user is not None and self._is_me(one.user)
            yield Comment(id=one.id, body=one.body, at=one.updated_at, ours=own)

    def _write_comment(self, method: str, path: str, text: str) -> datetime:
        answer = self._client.write(method, path, {"body": text}, again=method == "PATCH")
        return self._client.decode(f"{method} {path}", answer, _Comment).updated_at


def _said(status: _Status) -> tuple[str, str, str]:
    return status.state or status.status, status.description or "", status.target_url or ""
