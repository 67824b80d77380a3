"""The part of GitHub's REST API that gitopsd uses: https://docs.github.com/rest"""

from tests.forge.standin.call import Api, Call, Json, NoSuchThingError, RefusedError, Reply
from tests.forge.standin.forge import BOT, Standin
from tests.forge.standin.records import Note, PullRecord, Review, Status, moment, written

_STATES = {"open": "open", "merged": "closed", "closed": "closed"}


def _user(login: str, forge: Standin | None = None) -> Json:
    is_bot = forge is not None and forge.is_app and login == BOT
    return {"login": f"{login}[bot]" if is_bot else login, "type": "Bot" if is_bot else "User"}


def _pull(forge: Standin, pull: PullRecord) -> Json:
    owner = forge.name.partition("/")[0]
    head_name = f"{pull.fork}/fleet" if pull.fork else forge.name
    merged = pull.state == "merged"
    return {
        "number": pull.number,
        "state": _STATES[pull.state],
        "title": pull.title,
        "html_url": f"{forge.url}/{forge.name}/pull/{pull.number}",
        "user": _user(pull.author),
        "draft": pull.draft,
        "head": {
            "ref": pull.branch,
            "sha": pull.head,
            "label": f"{pull.fork or owner}:{pull.branch}",
            # that of a fork which was deleted is null
            "repo": {"full_name": head_name} if not pull.fork or pull.fork in forge.forks else None,
        },
        "base": {"ref": pull.base, "sha": pull.base_commit, "repo": {"full_name": forge.name}},
        "created_at": written(pull.at),
        "merged_at": written(pull.at) if merged else None,
        "merge_commit_sha": pull.merge_commit if merged else "e" * 40,  # of a merge that is only tried
    }


def _comment(forge: Standin, note: Note) -> Json:
    return {"id": note.id, "body": note.body, "user": _user(note.author, forge), "updated_at": written(note.at)}


def _status(status: Status) -> Json:
    return {
        "id": status.id,
        "context": status.context,
        "state": status.state,
        "description": status.description or None,
        "target_url": status.target or None,
    }


def _review(review: Review) -> Json:
    state = {"approved": "APPROVED", "changes": "CHANGES_REQUESTED"}[review.verdict]
    return {
        "id": review.id,
        "user": _user(review.author),
        "state": "DISMISSED" if review.dismissed else state,
        "commit_id": review.commit,
        "author_association": "MEMBER" if review.has_a_say else "NONE",
        "submitted_at": written(review.at),
    }


def _list(call: Call) -> Reply:
    wanted = call.query.get("state", "open")
    pulls = [one for one in call.forge.pulls.values() if wanted in {"all", _STATES[one.state]}]
    pulls.sort(key=lambda one: one.number, reverse=call.query.get("direction", "desc") == "desc")
    return Reply(body=[_pull(call.forge, one) for one in pulls])


def add_pull(call: Call) -> PullRecord:
    head = call.body["head"]
    if any(one.state == "open" and one.branch == head for one in call.forge.pulls.values()):
        raise RefusedError(422, f"A pull request already exists for {head}.")
    if not call.forge.repository.head(head):
        raise RefusedError(422, "Validation Failed")
    return call.forge.pulls[call.forge.open(head, author=BOT, base=call.body["base"], title=call.body["title"])]


def _open(call: Call) -> Reply:
    return Reply(body=_pull(call.forge, add_pull(call)), status=201)


def _get(call: Call) -> Reply:
    return Reply(body=_pull(call.forge, find_pull(call)))


def _of_commit(call: Call) -> Reply:
    return Reply(body=[_pull(call.forge, one) for one in call.forge.merged_by(find_commit(call))])


def _me(call: Call) -> Reply:
    if call.forge.is_app:
        raise RefusedError(403, "Resource not accessible by integration")
    return Reply(body=_user(BOT))


def _viewer(call: Call) -> Reply:
    assert call.body == {"query": "{viewer{login}}"}
    return Reply(body={"data": {"viewer": {"login": _user(BOT, call.forge)["login"]}}})


def _comments(call: Call) -> Reply:
    return Reply(body=[_comment(call.forge, one) for one in find_pull(call).notes])


def _add_comment(call: Call) -> Reply:
    note = call.forge.comment(find_pull(call).number, BOT, right_text(call, 65_536))
    return Reply(body=_comment(call.forge, note), status=201)


def _edit_comment(call: Call) -> Reply:
    return Reply(body=_comment(call.forge, edited(call, 65_536)))


def _statuses(call: Call) -> Reply:
    return Reply(body=[_status(one) for one in reversed(call.forge.statuses(find_commit(call)))])


def _add_status(call: Call) -> Reply:
    if call.body["state"] not in {"pending", "success", "failure", "error"} or len(call.body["description"]) > 140:
        raise RefusedError(422, "Validation Failed")
    status = call.forge.add_status(
        find_commit(call),
        call.body["context"],
        call.body["state"],
        call.body["description"],
        call.body.get("target_url", ""),
    )
    return Reply(body=_status(status), status=201)


def _files(call: Call) -> Reply:
    return Reply(
        body=[
            {"filename": new} if old == new else {"filename": new, "previous_filename": old, "status": "renamed"}
            for old, new in call.forge.changed(find_pull(call))
        ]
    )


def _reviews(call: Call) -> Reply:
    return Reply(body=[_review(one) for one in find_pull(call).reviews])


def find_pull(call: Call) -> PullRecord:
    if call.number not in call.forge.pulls:
        raise NoSuchThingError
    return call.forge.pulls[call.number]


def find_commit(call: Call) -> str:
    if not call.forge.repository.has(call.place["commit"]):
        raise RefusedError(422, "No commit found for SHA")
    return call.place["commit"]


def right_text(call: Call, limit: int) -> str:
    text = call.body["body"]
    if "number" in call.place and find_pull(call).locked:
        raise RefusedError(403, "Unable to create comment because issue is locked.")
    if not isinstance(text, str) or not 0 < len(text) <= limit:
        raise RefusedError(422, f"Body is too long (maximum is {limit} characters)")
    return text


def edited(call: Call, limit: int) -> Note:
    note = call.forge.note(int(call.place["key"]))
    if note is None:
        raise NoSuchThingError
    note.body, note.edits, note.at = right_text(call, limit), note.edits + 1, moment()
    return note


_REPOSITORY = "/repos/{owner}/{repo}"
API = Api(
    root="/api",
    size="per_page",
    has_etags=True,
    routes=(
        ("GET", "/v3/user", _me),
        ("POST", "/graphql", _viewer),
        ("GET", f"/v3{_REPOSITORY}/pulls", _list),
        ("POST", f"/v3{_REPOSITORY}/pulls", _open),
        ("GET", f"/v3{_REPOSITORY}/pulls/{{number}}", _get),
        ("GET", f"/v3{_REPOSITORY}/pulls/{{number}}/files", _files),
        ("GET", f"/v3{_REPOSITORY}/pulls/{{number}}/reviews", _reviews),
        ("GET", f"/v3{_REPOSITORY}/commits/{{commit}}/pulls", _of_commit),
        ("GET", f"/v3{_REPOSITORY}/issues/{{number}}/comments", _comments),
        ("POST", f"/v3{_REPOSITORY}/issues/{{number}}/comments", _add_comment),
        ("PATCH", f"/v3{_REPOSITORY}/issues/comments/{{key}}", _edit_comment),
        ("GET", f"/v3{_REPOSITORY}/commits/{{commit}}/statuses", _statuses),
        ("POST", f"/v3{_REPOSITORY}/statuses/{{commit}}", _add_status),
    ),
)
