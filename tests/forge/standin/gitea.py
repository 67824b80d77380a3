"""The part of Gitea's and Forgejo's API that gitopsd uses: /api/swagger of any instance."""

from tests.forge.standin.call import Api, Call, Json, NoSuchThingError, RefusedError, Reply
from tests.forge.standin.forge import BOT, Standin
from tests.forge.standin.github import add_pull, edited, find_pull, right_text
from tests.forge.standin.records import Note, PullRecord, Review, Status, written

_LONGEST = 1_000_000
_BASE_ID = 1


def _user(login: str) -> Json:
    return {"id": abs(hash(login)) % 1000, "login": login}


def _pull(forge: Standin, pull: PullRecord) -> Json:
    merged = pull.state == "merged"
    head_id = 2 + sorted(forge.forks).index(pull.fork) if pull.fork in forge.forks else 0 if pull.fork else _BASE_ID
    return {
        "id": pull.number + 500,
        "number": pull.number,
        "state": "open" if pull.state == "open" else "closed",
        "title": pull.title,
        "html_url": f"{forge.url}/{forge.name}/pulls/{pull.number}",
        "user": _user(pull.author),
        "draft": pull.draft,
        "head": {"label": pull.branch, "ref": pull.branch, "sha": pull.head, "repo_id": head_id},
        "base": {"label": pull.base, "ref": pull.base, "sha": pull.base_commit, "repo_id": _BASE_ID},
        "merged": merged,
        "merged_at": written(pull.at) if merged else None,
        "merge_commit_sha": pull.merge_commit if merged else None,
        "created_at": written(pull.at),
    }


def _comment(note: Note) -> Json:
    return {"id": note.id, "body": note.body, "user": _user(note.author), "updated_at": written(note.at)}


def _status(status: Status) -> Json:
    return {
        "id": status.id,
        "context": status.context,
        "status": status.state,
        "description": status.description,
        "target_url": status.target,
    }


def _review(review: Review) -> Json:
    return {
        "id": review.id,
        "user": _user(review.author),
        "state": {"approved": "APPROVED", "changes": "REQUEST_CHANGES"}[review.verdict],
        "commit_id": review.commit,
        "dismissed": review.dismissed,
        "official": review.has_a_say,
        "stale": False,
        "submitted_at": written(review.at),
    }


def _list(call: Call) -> Reply:
    wanted = call.query.get("state", "open")
    pulls = [one for one in call.forge.pulls.values() if wanted == "all" or (one.state == "open") == (wanted == "open")]
    pulls.sort(key=lambda one: one.number, reverse=call.query.get("sort") != "oldest")
    return Reply(body=[_pull(call.forge, one) for one in pulls])


def _open(call: Call) -> Reply:
    return Reply(body=_pull(call.forge, add_pull(call)), status=201)


def _get(call: Call) -> Reply:
    return Reply(body=_pull(call.forge, find_pull(call)))


def _of_commit(call: Call) -> Reply:
    """Gitea looks among the commits that merging made last."""
    found = [one for one in call.forge.pulls.values() if one.merge_commit == call.place["commit"]]
    if not found:
        raise NoSuchThingError
    return Reply(body=_pull(call.forge, found[0]))


def _me(_call: Call) -> Reply:
    return Reply(body=_user(BOT))


def _comments(call: Call) -> Reply:
    return Reply(body=[_comment(one) for one in find_pull(call).notes], whole=True)


def _add_comment(call: Call) -> Reply:
    return Reply(body=_comment(call.forge.comment(find_pull(call).number, BOT, right_text(call, _LONGEST))), status=201)


def _edit_comment(call: Call) -> Reply:
    return Reply(body=_comment(edited(call, _LONGEST)))


def _statuses(call: Call) -> Reply:
    statuses = call.forge.statuses(_commit(call))
    return Reply(body=[_status(one) for one in (reversed(statuses) if "sort" in call.query else statuses)])


def _add_status(call: Call) -> Reply:
    body = call.body
    if body["state"] not in {"pending", "success", "failure", "error", "warning"}:
        raise RefusedError(422, "[State]: unknown")
    status = call.forge.add_status(
        _commit(call), body["context"], body["state"], body["description"], body.get("target_url", "")
    )
    return Reply(body=_status(status), status=201)


def _files(call: Call) -> Reply:
    return Reply(
        body=[
            {"filename": new, "previous_filename": old if old != new else ""}
            for old, new in call.forge.changed(find_pull(call))
        ]
    )


def _reviews(call: Call) -> Reply:
    return Reply(body=[_review(one) for one in find_pull(call).reviews])


def _commit(call: Call) -> str:
    if not call.forge.repository.has(call.place["commit"]):
        raise NoSuchThingError
    return call.place["commit"]


_REPOSITORY = "/repos/{owner}/{repo}"
API = Api(
    root="/api/v1",
    size="limit",
    has_etags=False,
    routes=(
        ("GET", "/user", _me),
        ("GET", f"{_REPOSITORY}/pulls", _list),
        ("POST", f"{_REPOSITORY}/pulls", _open),
        ("GET", f"{_REPOSITORY}/pulls/{{number}}", _get),
        ("GET", f"{_REPOSITORY}/pulls/{{number}}/files", _files),
        ("GET", f"{_REPOSITORY}/pulls/{{number}}/reviews", _reviews),
        ("GET", f"{_REPOSITORY}/commits/{{commit}}/pull", _of_commit),
        ("GET", f"{_REPOSITORY}/issues/{{number}}/comments", _comments),
        ("POST", f"{_REPOSITORY}/issues/{{number}}/comments", _add_comment),
        ("PATCH", f"{_REPOSITORY}/issues/comments/{{key}}", _edit_comment),
        ("GET", f"{_REPOSITORY}/commits/{{commit}}/statuses", _statuses),
        ("POST", f"{_REPOSITORY}/statuses/{{commit}}", _add_status),
    ),
)
