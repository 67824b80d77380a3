"""The part of GitLab's API that gitopsd uses: https://docs.gitlab.com/api/rest"""

from tests.forge.standin.call import Api, Call, Json, NoSuchThingError, RefusedError, Reply
from tests.forge.standin.forge import BOT, Standin
from tests.forge.standin.github import edited, find_pull, right_text
from tests.forge.standin.records import Note, PullRecord, Status, written

_LONGEST = 1_000_000
_STATES = {"open": "opened", "merged": "merged", "closed": "closed"}
PROJECT_ID = 7


def _user(name: str) -> Json:
    return {"id": abs(hash(name)) % 1000, "username": name, "name": name}


def _merge_request(forge: Standin, pull: PullRecord, *, single: bool = False) -> Json:
    merged = pull.state == "merged"
    document: Json = {
        "id": pull.number + 500,
        "iid": pull.number,
        "project_id": PROJECT_ID,
        "title": pull.title,
        "state": _STATES[pull.state],
        "draft": pull.draft,
        "author": _user(pull.author),
        "source_branch": pull.branch,
        "target_branch": pull.base,
        # that of a fork which was deleted is null
        "source_project_id": PROJECT_ID if not pull.fork else 8 if pull.fork in forge.forks else None,
        "target_project_id": PROJECT_ID,
        "sha": pull.head,
        "merge_commit_sha": pull.merge_commit if merged and pull.how == "merge" else None,
        "squash_commit_sha": pull.merge_commit if merged and pull.how == "squash" else None,
        "web_url": f"{forge.url}/{forge.name}/-/merge_requests/{pull.number}",
        "created_at": written(pull.at),
    }
    if merged and pull.how == "rebase":  # the source branch is rebased, then fast-forwarded to
        document["sha"] = pull.merge_commit
    if single:
        base = forge.repository.merge_base(pull.base_commit, pull.head)
        document["diff_refs"] = {"base_sha": base, "head_sha": pull.head, "start_sha": pull.base_commit}
        document["changes_count"] = str(len(forge.changed(pull)))
    return document


def _note(note: Note) -> Json:
    author, at = _user(note.author), written(note.at)
    return {"id": note.id, "body": note.body, "author": author, "system": False, "updated_at": at}


def _status(status: Status) -> Json:
    return {
        "id": status.id,
        "name": status.context,
        "status": status.state,
        "description": status.description or None,
        "target_url": status.target or None,
    }


def _list(call: Call) -> Reply:
    wanted = call.query.get("state", "all")
    pulls = [one for one in call.forge.pulls.values() if wanted in {"all", _STATES[one.state]}]
    pulls.sort(key=lambda one: one.number, reverse=call.query.get("sort", "desc") == "desc")
    return Reply(body=[_merge_request(call.forge, one) for one in pulls])


def _open(call: Call) -> Reply:
    head = call.body["source_branch"]
    if any(one.state == "open" and one.branch == head for one in call.forge.pulls.values()):
        raise RefusedError(409, "Another open merge request already exists for this source branch")
    number = call.forge.open(head, author=BOT, base=call.body["target_branch"], title=call.body["title"])
    return Reply(body=_merge_request(call.forge, call.forge.pulls[number], single=True), status=201)


def _get(call: Call) -> Reply:
    return Reply(body=_merge_request(call.forge, find_pull(call), single=True))


def _of_commit(call: Call) -> Reply:
    return Reply(body=[_merge_request(call.forge, one) for one in call.forge.merged_by(_commit(call))])


def _me(_call: Call) -> Reply:
    return Reply(body=_user(BOT))


def _notes(call: Call) -> Reply:
    return Reply(body=[_note(one) for one in find_pull(call).notes])


def _add_note(call: Call) -> Reply:
    return Reply(body=_note(call.forge.comment(find_pull(call).number, BOT, right_text(call, _LONGEST))), status=201)


def _edit_note(call: Call) -> Reply:
    return Reply(body=_note(edited(call, _LONGEST)))


def _statuses(call: Call) -> Reply:
    """The newest one of each name."""
    newest = {one.context: one for one in call.forge.statuses(_commit(call), call.query.get("name", ""))}
    return Reply(body=[_status(one) for one in newest.values()])


def _add_status(call: Call) -> Reply:
    commit, name, state = _commit(call), call.body["name"], call.body["state"]
    if state not in {"pending", "running", "success", "failed", "canceled"}:
        raise RefusedError(400, "state does not have a valid value")
    before = call.forge.statuses(commit, name)
    if before and before[-1].state == state == "pending":
        raise RefusedError(
            400, "Cannot transition status via :enqueue from :pending (Reason(s): Status cannot transition)"
        )
    status = call.forge.add_status(commit, name, state, call.body["description"], call.body.get("target_url", ""))
    return Reply(body=_status(status), status=201)


def _diffs(call: Call) -> Reply:
    return Reply(body=[{"old_path": old, "new_path": new} for old, new in call.forge.changed(find_pull(call))])


def _approvals(call: Call) -> Reply:
    pull = find_pull(call)
    last = {one.author: one for one in pull.reviews}
    approved = [one for one in last.values() if one.verdict == "approved" and not one.dismissed]
    return Reply(
        body={"approved_by": [{"user": _user(one.author), "approved_at": written(one.at)} for one in approved]}
    )


def _versions(call: Call) -> Reply:
    versions = [
        {"id": index, "head_commit_sha": head, "created_at": written(at)}
        for index, (head, at) in enumerate(find_pull(call).versions, 1)
    ]
    return Reply(body=versions[::-1])


def _commit(call: Call) -> str:
    if not call.forge.repository.has(call.place["commit"]):
        raise NoSuchThingError
    return call.place["commit"]


_MERGE_REQUEST = "/projects/{project}/merge_requests/{number}"
API = Api(
    root="/api/v4",
    size="per_page",
    has_etags=True,
    routes=(
        ("GET", "/user", _me),
        ("GET", "/projects/{project}/merge_requests", _list),
        ("POST", "/projects/{project}/merge_requests", _open),
        ("GET", _MERGE_REQUEST, _get),
        ("GET", f"{_MERGE_REQUEST}/diffs", _diffs),
        ("GET", f"{_MERGE_REQUEST}/approvals", _approvals),
        ("GET", f"{_MERGE_REQUEST}/versions", _versions),
        ("GET", f"{_MERGE_REQUEST}/notes", _notes),
        ("POST", f"{_MERGE_REQUEST}/notes", _add_note),
        ("PUT", f"{_MERGE_REQUEST}/notes/{{key}}", _edit_note),
        ("GET", "/projects/{project}/repository/commits/{commit}/merge_requests", _of_commit),
        ("GET", "/projects/{project}/repository/commits/{commit}/statuses", _statuses),
        ("POST", "/projects/{project}/statuses/{commit}", _add_status),
    ),
)
