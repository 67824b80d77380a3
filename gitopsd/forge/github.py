"""GitHub, and GitHub Enterprise Server 3.9 or later: version 2022-11-28 of its REST API."""

from collections.abc import Iterator

from msgspec import Struct

from gitopsd.forge.client import Client
from gitopsd.forge.errors import ForgeRefusedError
from gitopsd.forge.forge import Approval, ChangedFiles, CommitStatus, ForgeKind, PullRequest
from gitopsd.forge.sticky import Comment, fitting, ours, upsert

HEADERS = {"accept": "application/vnd.github+json, application/json", "x-github-api-version": "2022-11-28"}
BETWEEN_WRITES = 1.0
"""Seconds: https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api"""

_DESCRIPTION_LIMIT = 140
_MOST_FILES = 3000
_WITH_A_SAY = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
"""Anybody may approve a pull request of a public repository."""


class _User(Struct):
    login: str
    type: str = "User"


class _Repository(Struct):
    full_name: str


class _Branch(Struct):
    ref: str
    sha: str
    repo: _Repository | None = None


class _Pull(Struct):
    number: int
    state: str
    html_url: str
    head: _Branch
    base: _Branch
    user: _User | None = None
    draft: bool = False
    merged_at: str | None = None
    merge_commit_sha: str | None = None


class _Comment(Struct):
    id: int
    body: str = ""
    user: _User | None = None


class _Status(Struct):
    context: str
    state: str
    description: str | None = None
    target_url: str | None = None


class _File(Struct):
    filename: str
    previous_filename: str = ""


class _Review(Struct):
    state: str
    user: _User | None = None
    commit_id: str | None = None
    author_association: str = "NONE"


class _Viewer(Struct):
    login: str


class _ViewerData(Struct):
    viewer: _Viewer


class _ViewerAnswer(Struct):
    data: _ViewerData


class GitHub:
    """As forge.py says. `root` is the version's part of the address: `/v3` on a server of one's own, else empty."""

    kind: ForgeKind = "github"
    comment_limit = 65_536

    def __init__(self, client: Client, repository: str, root: str) -> None:
        self._client = client
        self._repository = repository
        self._root = root
        self._path = f"{root}/repos/{repository}"
        self._me: _User | None = None

    def open_pull_requests(self) -> tuple[PullRequest, ...]:
        parameters = {"state": "open", "sort": "created", "direction": "asc"}
        found = self._client.pages(f"{self._path}/pulls", _Pull, parameters)
        return tuple(sorted((_pull_request(one) for one in found), key=lambda one: one.number))

    def pull_request(self, number: int) -> PullRequest:
        return _pull_request(self._client.get(f"{self._path}/pulls/{number}", _Pull))

    def merged_pull_request(self, commit: str, base: str) -> PullRequest | None:
        merged = [
            one
            for one in self._client.pages(f"{self._path}/commits/{commit}/pulls", _Pull, {})
            if one.merged_at and one.base.ref == base and self._is_ours(one.base.repo)  # a fork is told its parent's
        ]
        merged.sort(key=lambda one: (one.merge_commit_sha != commit, one.number))
        return _pull_request(merged[0]) if merged else None

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
        newest_first = self._client.pages(f"{self._path}/commits/{commit}/statuses", _Status, {})
        there = next((one for one in newest_first if one.context == wanted.context), None)
        if there is not None and _said(there) == (wanted.state, wanted.description, wanted.target):
            return False
        body = {"context": wanted.context, "state": wanted.state, "description": wanted.description}
        target = {"target_url": wanted.target} if wanted.target else {}
        self._client.write("POST", f"{self._path}/statuses/{commit}", body | target, again=True)
        return True

    def open_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        wanted = {"title": title, "head": head, "base": base, "body": body}
        answer = self._client.write("POST", f"{self._path}/pulls", wanted, again=False)
        return _pull_request(self._client.decode("POST /pulls", answer, _Pull))

    def changed_files(self, number: int) -> ChangedFiles:
        files = list(self._client.pages(f"{self._path}/pulls/{number}/files", _File, {}))
        paths = {name for one in files for name in (one.filename, one.previous_filename) if name}
        return ChangedFiles(paths=tuple(sorted(paths)), complete=len(files) < _MOST_FILES)

    def approvals(self, pull_request: PullRequest) -> tuple[Approval, ...]:
        ever: set[str] = set()
        last: dict[str, _Review] = {}
        for one in self._client.pages(f"{self._path}/pulls/{pull_request.number}/reviews", _Review, {}):  # by age
            if one.user is None or one.state not in {"APPROVED", "CHANGES_REQUESTED", "DISMISSED"}:
                continue
            last[one.user.login] = one
            if one.state != "CHANGES_REQUESTED":
                ever.add(one.user.login)
        return tuple(
            Approval(
                author=name,
                commit=last[name].commit_id or "",
                valid=last[name].state == "APPROVED"
                and last[name].author_association in _WITH_A_SAY
                and name != pull_request.author,
            )
            for name in sorted(ever)
        )

    def head_ref(self, number: int) -> str:
        return f"refs/pull/{number}/head"

    def close(self) -> None:
        self._client.close()

    def _is_ours(self, repository: _Repository | None) -> bool:
        return repository is None or repository.full_name.lower() == self._repository.lower()

    def _comments(self, path: str) -> Iterator[Comment]:
        me = self._account()
        for one in self._client.pages(path, _Comment, {}):
            yield Comment(id=one.id, body=one.body, ours=one.user is not None and _name(one.user) == _name(me))

    def _account(self) -> _User:
        if self._me is None:
            try:
                self._me = self._client.get(f"{self._root}/user", _User)
            except ForgeRefusedError:  # the token of an app, or of a workflow's run, is no user's: only GraphQL tells
                answer = self._client.write("POST", "/graphql", {"query": "{viewer{login}}"}, again=True)
                viewer = self._client.decode("POST /graphql", answer, _ViewerAnswer).data.viewer
                self._me = _User(login=viewer.login, type="Bot")
        return self._me


def _name(user: _User) -> tuple[str, bool]:
    """GitHub writes an app's account with `[bot]` in one place and without in another."""
    is_bot = user.type == "Bot"
    return (user.login.removesuffix("[bot]") if is_bot else user.login, is_bot)


def _said(status: _Status) -> tuple[str, str, str]:
    return status.state, status.description or "", status.target_url or ""


def _pull_request(one: _Pull) -> PullRequest:
    merged = one.merged_at is not None
    return PullRequest(
        number=one.number,
        head_commit=one.head.sha,
        head_ref=one.head.ref,
        base_ref=one.base.ref,
        base_commit=one.base.sha,
        author=one.user.login if one.user else "",
        # the repository of a head that was deleted is null, and it was a fork: one's own is never missing
        from_fork=one.head.repo is None or one.base.repo is None or one.head.repo.full_name != one.base.repo.full_name,
        draft=one.draft,
        state="merged" if merged else "open" if one.state == "open" else "closed",
        # before that, it's a commit that GitHub made to see whether merging works
        merge_commit=(one.merge_commit_sha or "") if merged else "",
        url=one.html_url,
    )
