"""GitHub's description of its API, cut down to what gitopsd asks for."""

from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

ROOT = "/api/v3"
OPERATIONS = (
    ("get", "/user"),
    ("get", "/repos/{owner}/{repo}/pulls"),
    ("post", "/repos/{owner}/{repo}/pulls"),
    ("get", "/repos/{owner}/{repo}/pulls/{pull_number}"),
    ("get", "/repos/{owner}/{repo}/pulls/{pull_number}/files"),
    ("get", "/repos/{owner}/{repo}/pulls/{pull_number}/reviews"),
    ("get", "/repos/{owner}/{repo}/commits/{commit_sha}/pulls"),
    ("get", "/repos/{owner}/{repo}/issues/{issue_number}/comments"),
    ("post", "/repos/{owner}/{repo}/issues/{issue_number}/comments"),
    ("patch", "/repos/{owner}/{repo}/issues/comments/{comment_id}"),
    ("get", "/repos/{owner}/{repo}/commits/{ref}/statuses"),
    ("post", "/repos/{owner}/{repo}/statuses/{sha}"),
)


def trimmed(whole: Json) -> Json:
    """Only these operations, below ROOT as on a server of one's own, and what they refer to.

    What a client may send besides is forbidden: bodies take no other keys than those that are described.
    """
    paths: Json = {}
    for method, path in OPERATIONS:
        operation = whole["paths"][path][method]
        for content in operation.get("requestBody", {}).get("content", {}).values():
            content["schema"]["additionalProperties"] = False
        paths.setdefault(ROOT + path, {})[method] = operation
    document = {key: whole[key] for key in ("openapi", "info")} | {"paths": paths, "components": {}}
    waiting, known = list(_references(paths)), set[str]()
    while waiting:
        reference = waiting.pop()
        if reference in known:
            continue
        known.add(reference)
        _, _, kind, name = reference.split("/")
        found = whole["components"][kind][name]
        document["components"].setdefault(kind, {})[name] = found
        waiting += _references(found)
    return document


def query_names(document: Json, method: str, path: str) -> set[str]:
    """The parameters that an operation takes in its query."""
    found = set()
    for parameter in document["paths"][path][method].get("parameters", ()):
        if "$ref" in parameter:
            parameter = document["components"]["parameters"][parameter["$ref"].rpartition("/")[2]]  # noqa: PLW2901
        if parameter["in"] == "query":
            found.add(parameter["name"])
    return found


def _references(part: object) -> Iterator[str]:
    if isinstance(part, dict):
        for key, value in part.items():
            if key == "$ref" and isinstance(value, str) and value.startswith("#/components/"):
                yield value
            else:
                yield from _references(value)
    elif isinstance(part, list):
        for one in part:
            yield from _references(one)
