"""The pull request that a CI job runs for, by what the forge's CI tells its jobs.

GitHub: docs.github.com/actions/reference/variables-reference and the event of `pull_request`; Gitea and Forgejo give
the same ones. GitLab: docs.gitlab.com/ci/variables/predefined_variables.
"""

from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from gitopsd.forge.errors import ForgeRefusedError
from gitopsd.forge.forge import ForgeKind

_LARGEST_EVENT = 16 << 20
_TOKENS: Mapping[ForgeKind, tuple[str, ...]] = {
    "github": ("GITHUB_TOKEN",),
    "gitlab": ("GITLAB_TOKEN",),
    "gitea": ("GITEA_TOKEN", "GITHUB_TOKEN"),
    "forgejo": ("FORGEJO_TOKEN", "GITEA_TOKEN", "GITHUB_TOKEN"),
}


class CiRun(Struct, frozen=True, kw_only=True):
    """`number` is 0, and `head` and `base` are empty, where the job isn't one of a pull request.

    `url` is the forge's front page, `base` a branch without `refs/heads/`, `page` that of the run. `token` is the name
    of the variable that it is in, empty where there is none.
    """

    kind: ForgeKind
    url: str
    repository: str
    number: int = 0
    head: str = ""
    base: str = ""
    page: str = ""
    from_fork: bool = False
    token: str = ""


class _Repository(Struct, frozen=True):
    full_name: str = ""


class _Side(Struct, frozen=True):
    sha: str
    ref: str
    repo: _Repository | None = None


class _Pull(Struct, frozen=True):
    number: int
    head: _Side
    base: _Side


class _Event(Struct, frozen=True):
    pull_request: _Pull | None = None


def read_ci(variables: Mapping[str, str]) -> CiRun | None:
    """None outside of CI. Raises ForgeRefusedError where what CI says can't be read."""
    if variables.get("GITLAB_CI"):
        return _gitlab(variables)
    if variables.get("GITHUB_ACTIONS") or variables.get("GITEA_ACTIONS") or variables.get("FORGEJO_ACTIONS"):
        return _actions(variables)
    return None


def _gitlab(variables: Mapping[str, str]) -> CiRun:
    number = variables.get("CI_MERGE_REQUEST_IID", "")
    head = variables.get("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA") or variables.get("CI_COMMIT_SHA", "")
    return CiRun(
        kind="gitlab",
        url=variables.get("CI_SERVER_URL", ""),
        repository=variables.get("CI_PROJECT_PATH", ""),
        number=int(number) if number.isdecimal() else 0,
        head=head if number else "",
        base=variables.get("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", ""),
        page=variables.get("CI_JOB_URL", ""),
        from_fork=variables.get("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH", "")
        not in {"", variables.get("CI_PROJECT_PATH")},
        token=_token("gitlab", variables),
    )


def _actions(variables: Mapping[str, str]) -> CiRun:
    kind: ForgeKind = "github"
    if variables.get("FORGEJO_ACTIONS"):
        kind = "forgejo"
    elif variables.get("GITEA_ACTIONS"):
        kind = "gitea"
    url, repository = variables.get("GITHUB_SERVER_URL", ""), variables.get("GITHUB_REPOSITORY", "")
    run = variables.get("GITHUB_RUN_ID", "")
    found = CiRun(
        kind=kind,
        url=url,
        repository=repository,
        page=f"{url}/{repository}/actions/runs/{run}" if kind == "github" and url and run else "",
        token=_token(kind, variables),
    )
    pull = _event(variables.get("GITHUB_EVENT_PATH", "")).pull_request
    if pull is None:
        return found
    origin = pull.head.repo.full_name if pull.head.repo else ""  # none where the fork is gone
    return msgspec.structs.replace(
        found,
        number=pull.number,
        head=pull.head.sha,
        base=pull.base.ref,
        from_fork=origin != (pull.base.repo.full_name if pull.base.repo else repository),
    )


def _event(path: str) -> _Event:
    if not path:
        return _Event()
    try:
        with Path(path).open("rb") as stream:
            return msgspec.json.decode(stream.read(_LARGEST_EVENT), type=_Event)
    except (OSError, msgspec.DecodeError) as error:
        raise ForgeRefusedError(
            f"the event that this job runs for can't be read: {error}", "name the pull request with --pull-request"
        ) from None


def _token(kind: ForgeKind, variables: Mapping[str, str]) -> str:
    return next((name for name in ("GITOPSD_FORGE_TOKEN", *_TOKENS[kind]) if variables.get(name)), "")
