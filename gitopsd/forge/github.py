"""GitHub, and GitHub Enterprise Server 3.9 or later: version 2022-11-28 of its REST API."""

from msgspec import Struct

from gitopsd.forge.client import Client
from gitopsd.forge.errors import ForgeRefusedError
from gitopsd.forge.forge import ForgeKind, PullRequest
from gitopsd.forge.pulls_api import PullsApi, Review, User

HEADERS = {"accept": "application/vnd.github+json, application/json", "x-github-api-version": "2022-11-28"}
BETWEEN_WRITES = 1.0
"""Seconds: https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api"""

_WITH_A_SAY = frozenset({"OWNER", "MEMBER", "COLLABORATOR"})
"""Anybody may approve a pull request of a public repository."""


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
    user: User | None = None
    draft: bool = False
    merged_at: str | None = None
    merge_commit_sha: str | None = None


class _Viewer(Struct):
    login: str


class _ViewerData(Struct):
    viewer: _Viewer


class _ViewerAnswer(Struct):
    data: _ViewerData


class GitHub(PullsApi):
    """As forge.py says. `root` is the version's part of the address: `/v3` on a server of one's own, else empty."""

    kind: ForgeKind = "github"
    _description_limit = 140
    _most_files = 3000

    def __init__(self, client: Client, repository: str, root: str) -> None:
        super().__init__(client, f"{root}/repos/{repository}")
        self._repository = repository
        self._root = root
        self._me: User | None = None

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

    def open_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        wanted = {"title": title, "head": head, "base": base, "body": body}
        answer = self._client.write("POST", f"{self._path}/pulls", wanted, again=False)
        return _pull_request(self._client.decode("POST /pulls", answer, _Pull))

    def _has_a_say(self, review: Review) -> bool:
        return review.author_association in _WITH_A_SAY

    def _is_me(self, user: User) -> bool:
        return _name(user) == _name(self._account())

    def _is_ours(self, repository: _Repository | None) -> bool:
        return repository is None or repository.full_name.lower() == self._repository.lower()

    def _account(self) -> User:
        if self._me is None:
            try:
                self._me = self._client.get(f"{self._root}/user", User)
            except ForgeRefusedError:  # the token of an app, or of a workflow's run, is no user's: only GraphQL tells
                answer = self._client.write("POST", "/graphql", {"query": "{viewer{login}}"}, again=True)
                viewer = self._client.decode("POST /graphql", answer, _ViewerAnswer).data.viewer
                self._me = User(login=viewer.login, type="Bot")
        return self._me


def _name(user: User) -> tuple[str, bool]:
    """GitHub writes an app's account with `[bot]` in one place and without in another."""
    is_bot = user.type == "Bot"
    return (user.login.removesuffix("[bot]") if is_bot else user.login, is_bot)


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
