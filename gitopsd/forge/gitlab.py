"""GitLab 15.7 or later, version 4 of its API; merge requests are pull requests here."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from msgspec import Struct

from gitopsd.forge.client import Client
from gitopsd.forge.errors import ForgeRefusedError
from gitopsd.forge.forge import Approval, ChangedFiles, Comment, CommitStatus, ForgeKind, PullRequest, StatusState
from gitopsd.forge.sticky import fitting, ours, upsert

_DESCRIPTION_LIMIT = 255
_STATES: Mapping[StatusState, str] = {
    "pending": "pending",
    "success": "success",
    "failure": "failed",
    "error": "failed",
}


class _User(Struct):
    username: str


class _Refs(Struct):
    base_sha: str | None = None


class _Merge(Struct):
    iid: int
    state: str
    web_url: str
    source_branch: str
    target_branch: str
    target_project_id: int
    source_project_id: int | None = None
    author: _User | None = None
    sha: str | None = None
    draft: bool = False
    merge_commit_sha: str | None = None
    squash_commit_sha: str | None = None
    diff_refs: _Refs | None = None
    changes_count: str | None = None


class _Note(Struct):
    id: int
    body: str
    author: _User
    updated_at: datetime
    system: bool = False


class _Status(Struct):
    id: int
    name: str
    status: str
    description: str | None = None
    target_url: str | None = None


class _Diff(Struct):
    old_path: str
    new_path: str


class _Approver(Struct):
    user: _User
    approved_at: datetime | None = None


class _Approvals(Struct):
    approved_by: list[_Approver]


class _Version(Struct):
    head_commit_sha: str
    created_at: datetime


class GitLab:
    """As forge.py says; `path` is the project's in the API."""

    kind: ForgeKind = "gitlab"
    comment_limit = 1_000_000

    def __init__(self, client: Client, path: str) -> None:
        self._client = client
        self._path = path
        self._me = ""

    def open_pull_requests(self) -> tuple[PullRequest, ...]:
        parameters = {"state": "opened", "order_by": "created_at", "sort": "asc"}
        found = self._client.pages(f"{self._path}/merge_requests", _Merge, parameters)
        # one that was opened this moment, or whose branch has gone, has no head
        return tuple(sorted((_pull_request(one) for one in found if one.sha), key=lambda one: one.number))

    def pull_request(self, number: int) -> PullRequest:
        return _pull_request(self._client.get(self._at(number), _Merge))

    def merged_pull_request(self, commit: str, base: str) -> PullRequest | None:
        path = f"{self._path}/repository/commits/{commit}/merge_requests"
        merged = [
            _pull_request(one)
            for one in self._client.pages(path, _Merge, {"state": "merged"})
            if one.state == "merged" and one.target_branch == base
        ]
        merged.sort(key=lambda one: (one.merge_commit != commit, one.number))
        return merged[0] if merged else None

    def comment(self, number: int, marker: str) -> Comment | None:
        return ours(self._comments(number), marker)

    def upsert_comment(self, number: int, marker: str, body: str) -> datetime | None:
        path = f"{self._at(number)}/notes"
        return upsert(
            self._comments(number),
            marker,
            body,
            limit=self.comment_limit,
            create=lambda text: self._write_comment("POST", path, text),
            edit=lambda key, text: self._write_comment("PUT", f"{path}/{key}", text),
        )

    def set_status(self, commit: str, status: CommitStatus) -> bool:
        wanted = fitting(status, _DESCRIPTION_LIMIT)
        state = _STATES[wanted.state]
        path = f"{self._path}/repository/commits/{commit}/statuses"
        there = [
            one for one in self._client.pages(path, _Status, {"name": wanted.context}) if one.name == wanted.context
        ]
        newest = max(there, key=lambda one: one.id, default=None)
        if newest is not None and _said(newest) == (state, wanted.description, wanted.target):
            return False
        body = {"name": wanted.context, "state": state, "description": wanted.description}
        target = {"target_url": wanted.target} if wanted.target else {}
        try:
            self._client.write("POST", f"{self._path}/statuses/{commit}", body | target, again=True)
        except ForgeRefusedError as error:
            # of two that say `pending`, whoever wrote them, GitLab takes the first one only
            if state == "pending" and "transition" in error.message:
                return False
            raise
        return True

    def open_pull_request(self, head: str, base: str, title: str, body: str) -> PullRequest:
        wanted = {"title": title, "source_branch": head, "target_branch": base, "description": body}
        answer = self._client.write("POST", f"{self._path}/merge_requests", wanted, again=False)
        return _pull_request(self._client.decode("POST /merge_requests", answer, _Merge))

    def changed_files(self, number: int) -> ChangedFiles:
        count = self._client.get(self._at(number), _Merge).changes_count or ""  # "1000+" where it stopped counting
        files = list(self._client.pages(f"{self._at(number)}/diffs", _Diff, {}))
        paths = {name for one in files for name in (one.old_path, one.new_path)}
        return ChangedFiles(paths=tuple(sorted(paths)), complete=count.isdigit() and len(files) >= int(count))

    def approvals(self, pull_request: PullRequest) -> tuple[Approval, ...]:
        approvers = self._client.get(f"{self._at(pull_request.number)}/approvals", _Approvals).approved_by
        if not approvers:
            return ()
        versions = list(self._client.pages(f"{self._at(pull_request.number)}/versions", _Version, {}))
        return tuple(
            Approval(
                author=one.user.username,
                commit=_head_at(one.approved_at, versions),
                at=one.approved_at,
                valid=one.user.username != pull_request.author,
            )
            for one in sorted(approvers, key=lambda one: one.user.username)
        )

    def head_ref(self, number: int) -> str:
        return f"refs/merge-requests/{number}/head"

    def close(self) -> None:
        self._client.close()

    def _at(self, number: int) -> str:
        return f"{self._path}/merge_requests/{number}"

    def _comments(self, number: int) -> Iterator[Comment]:
        if not self._me:
            self._me = self._client.get("/user", _User).username
        for one in self._client.pages(f"{self._at(number)}/notes", _Note, {"order_by": "created_at", "sort": "asc"}):
            own = not one.system and one.author.username == self._me
            yield Comment(id=one.id, body=one.body, at=one.updated_at, ours=own)

    def _write_comment(self, method: str, path: str, text: str) -> datetime:
        answer = self._client.write(method, path, {"body": text}, again=method == "PUT")
        return self._client.decode(f"{method} {path}", answer, _Note).updated_at


def _said(status: _Status) -> tuple[str, str, str]:
    return status.status, status.description or "", status.target_url or ""


def _head_at(moment: datetime | None, versions: Sequence[_Version]) -> str:
    """The head that stood when somebody approved; newer versions of GitLab say when that was, and none for what."""
    before = [one for one in versions if moment is not None and one.created_at <= moment]
    return max(before, key=lambda one: one.created_at).head_commit_sha if before else ""


def _pull_request(one: _Merge) -> PullRequest:
    head = one.sha or ""
    merged = one.state == "merged"
    return PullRequest(
        number=one.iid,
        head_commit=head,
        head_ref=one.source_branch,
        base_ref=one.target_branch,
        base_commit=(one.diff_refs.base_sha or "") if one.diff_refs else "",
        author=one.author.username if one.author else "",
        from_fork=one.source_project_id != one.target_project_id,
        draft=one.draft,
        state="merged" if merged else "closed" if one.state == "closed" else "open",  # `locked`: about to be merged
        # a fast-forward makes no commit: the head itself is on the base branch then
        merge_commit=(one.merge_commit_sha or one.squash_commit_sha or head) if merged else "",
        url=one.web_url,
    )
