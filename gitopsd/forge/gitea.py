"""Gitea 1.22 or later, and Forgejo 7.0, whose API is the same in what is used here."""

from collections.abc import Iterator

from msgspec import Struct

from gitopsd.forge.client import Client
from gitopsd.forge.errors import NotFoundError
from gitopsd.forge.forge import Approval, ChangedFiles, CommitStatus, ForgeKind, PullRequest
from gitopsd.forge.sticky import Comment, fitting, ours, upsert

_DESCRIPTION_LIMIT = 255
_SIZE = "limit"


class _User(Struct):
    login: str


class _Branch(Struct):
    ref: str
    sha: str
    repo_id: int


class _Pull(Struct):
    number: int
    state: str
    html_url: str
    head: _Branch
    base: _Branch
    user: _User | None = None
    draft: bool = False
    merged: bool = False
    merge_commit_sha: str | None = None


class _Comment(Struct):
    id: int
    body: str = ""
    user: _User | None = None


class _Status(Struct):
    context: str
    status: str
    description: str = ""
    target_url: str = ""


class _File(Struct):
    filename: str
    previous_filename: str = ""


class _Review(Struct):
    state: str
    user: _User | None = None
    commit_id: str = ""
    dismissed: bool = False
    official: bool = False


class Gitea:
    """As forge.py says. No limit of a comment's length is documented, so GitHub's is kept."""

    comment_limit = 65_536

    def __init__(self, client: Client, path: str, kind: ForgeKind) -> None:
        self._client = client
        self._path = path
        self._kind = kind
        self._me = ""

    @property
    def kind(self) -> ForgeKind:
        return self._kind

    def open_pull_requests(self) -> tuple[PullRequest, ...]:
        found = self._client.pages(f"{self._path}/pulls", _Pull, {"state": "open", "sort": "oldest"}, size=_SIZE)
        return tuple(sorted((_pull_request(one) for one in found), key=lambda one: one.number))

    def pull_request(self, number: int) -> PullRequest:
        return _pull_request(self._client.get(f"{self._path}/pulls/{number}", _Pull))

    def merged_pull_request(self, commit: str, base: str) -> PullRequest | None:
        try:
            found = _pull_request(self._client.get(f"{self._path}/commits/{commit}/pull", _Pull))
        except NotFoundError:
            return None
        return found if found.state == "merged" and found.base_ref == base else None

    def comment(self, number: int, marker: str) -> str:
        found = ours(self._comments(f"{self._path}/issues/{number}/comments"), marker)
        return found.body if found else ""

    def upsert_comment(self, number: int, marker: str, body: str) -> bool:
        path = f"{self._path}/issues/{number}/comments"
        return upsert(
            self._comments(path),
            marker,
            body,
            limit=self.comment_limit,
            create=lambda text: self._client.write("POST", path, {"body": text}, again=False),
            edit=lambda key, text: self._client.write(
                "PATCH", f"{self._path}/issues/comments/{key}", {"body": text}, again=True
            ),
        )

    def set_status(self, commit: str, status: CommitStatus) -> bool:
        wanted = fitting(status, _DESCRIPTION_LIMIT)
        path = f"{self._path}/commits/{commit}/statuses"
        newest_first = self._client.pages(path, _Status, {"sort": "highestindex"}, size=_SIZE)
        there = next((one for one in newest_first if one.context == wanted.context), None)
        if there is not None and _said(there) == (wanted.state, wanted.description, wanted.target):
            return False
        body = {
            "context": wanted.context,
            "state": wanted.state,
            "description": wanted.description,
            "target_url": wanted.target,
        }
        self._client.write("POST", f"{self._path}/statuses/{commit}", body, again=True)
        return True

    def open_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        wanted = {"title": title, "head": head, "base": base, "body": body}
        answer = self._client.write("POST", f"{self._path}/pulls", wanted, again=False)
        return _pull_request(self._client.decode("POST /pulls", answer, _Pull))

    def changed_files(self, number: int) -> ChangedFiles:
        files = list(self._client.pages(f"{self._path}/pulls/{number}/files", _File, {}, size=_SIZE))
        paths = {name for one in files for name in (one.filename, one.previous_filename) if name}
        return ChangedFiles(paths=tuple(sorted(paths)), complete=True)

    def approvals(self, pull_request: PullRequest) -> tuple[Approval, ...]:
        ever: set[str] = set()
        last: dict[str, _Review] = {}
        path = f"{self._path}/pulls/{pull_request.number}/reviews"
        for one in self._client.pages(path, _Review, {}, size=_SIZE):  # by age
            if one.user is None or one.state not in {"APPROVED", "REQUEST_CHANGES"}:
                continue
            last[one.user.login] = one
            if one.state == "APPROVED":
                ever.add(one.user.login)
        return tuple(
            Approval(
                author=name,
                commit=last[name].commit_id,
                valid=last[name].state == "APPROVED"
                and last[name].official  # given by somebody whose approval counts
                and not last[name].dismissed
                and name != pull_request.author,
            )
            for name in sorted(ever)
        )

    def head_ref(self, number: int) -> str:
        return f"refs/pull/{number}/head"

    def close(self) -> None:
        self._client.close()

    def _comments(self, path: str) -> Iterator[Comment]:
        if not self._me:
            self._me = self._client.get("/user", _User).login
        for one in self._client.pages(path, _Comment, {}, size=_SIZE):
            yield Comment(id=one.id, body=one.body, ours=one.user is not None and one.user.login == self._me)


def _said(status: _Status) -> tuple[str, str, str]:
    return status.status, status.description, status.target_url


def _pull_request(one: _Pull) -> PullRequest:
    return PullRequest(
        number=one.number,
        head_commit=one.head.sha,
        head_ref=one.head.ref,
        base_ref=one.base.ref,
        base_commit=one.base.sha,
        author=one.user.login if one.user else "",
        from_fork=one.head.repo_id != one.base.repo_id,
        draft=one.draft,
        state="merged" if one.merged else "open" if one.state == "open" else "closed",
        merge_commit=(one.merge_commit_sha or "") if one.merged else "",
        url=one.html_url,
    )
