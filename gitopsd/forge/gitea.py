"""Gitea 1.22 or later, and Forgejo 7.0, whose API is the same in what is used here."""

from typing import ClassVar

from msgspec import Struct

from gitopsd.forge.client import Client
from gitopsd.forge.errors import NotFoundError
from gitopsd.forge.forge import ForgeKind, PullRequest
from gitopsd.forge.pulls_api import PullsApi, Review, User


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
    user: User | None = None
    draft: bool = False
    merged: bool = False
    merge_commit_sha: str | None = None


class Gitea(PullsApi):
    """As forge.py says. No limit of a comment's length is documented, so GitHub's is kept."""

    _size = "limit"
    _newest_first: ClassVar = {"sort": "highestindex"}
    _description_limit = 255

    def __init__(self, client: Client, path: str, kind: ForgeKind) -> None:
        super().__init__(client, path)
        self._kind = kind
        self._me = ""

    @property
    def kind(self) -> ForgeKind:
        return self._kind

    def open_pull_requests(self) -> tuple[PullRequest, ...]:
        parameters = {"state": "open", "sort": "oldest"}
        found = self._client.pages(f"{self._path}/pulls", _Pull, parameters, size=self._size)
        return tuple(sorted((_pull_request(one) for one in found), key=lambda one: one.number))

    def pull_request(self, number: int) -> PullRequest:
        return _pull_request(self._client.get(f"{self._path}/pulls/{number}", _Pull))

    def merged_pull_request(self, commit: str, base: str) -> PullRequest | None:
        try:
            found = _pull_request(self._client.get(f"{self._path}/commits/{commit}/pull", _Pull))
        except NotFoundError:
            return None
        return found if found.state == "merged" and found.base_ref == base else None

    def open_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        wanted = {"title": title, "head": head, "base": base, "body": body}
        answer = self._client.write("POST", f"{self._path}/pulls", wanted, again=False)
        return _pull_request(self._client.decode("POST /pulls", answer, _Pull))

    def _has_a_say(self, review: Review) -> bool:
        return review.official and not review.dismissed

    def _is_me(self, user: User) -> bool:
        if not self._me:
            self._me = self._client.get("/user", User).login
        return user.login == self._me


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
