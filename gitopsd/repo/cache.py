"""Bare clones of repositories that are named by URL, kept under $XDG_CACHE_HOME/gitopsd. Safe to delete."""

import os
import shlex
import shutil
import tempfile
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from gitopsd.repo.errors import GitCommandError, RemoteUnreachableError, RepositoryError
from gitopsd.repo.gitcommand import GitResult, run_git
from gitopsd.repo.location import RemoteUrl
from gitopsd.repo.lock import host_lock
from gitopsd.repo.private_folder import check_private_folder, make_private_folder
from gitopsd.repo.remote import explain_failure
from gitopsd.repo.repository import Repository, open_at

_WAY_OUT = "set XDG_CACHE_HOME to a folder of your own"
_REFSPECS = ("+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*")


def open_cached_clone(
    url: RemoteUrl,
    *,
    ssh_identity: str = "",
    may_be_away: bool = False,
    may_be_empty: bool = False,
    deadline: float = 300.0,
) -> Repository:
    """The cached clone of `url`, made if needed and fetched, opened.

    The remote's branches are under refs/remotes/origin/, HEAD included; local branches are only those that gitopsd
    follows. `ssh_identity` is the path of a private key that is tried first. `may_be_away`: where the remote can't be
    reached, what was fetched before will do. `may_be_empty`: it need not have a commit. `deadline` in seconds, for each
    step. Raises RepositoryError, a RemoteError among them.
    """
    folder = _cache_folder() / f"{sha256(url.canonical.encode()).hexdigest()[:32]}.git"
    environment = _credentials(url) | _ssh(ssh_identity)
    locks = folder.parent / "locks"
    make_private_folder(locks, way_out=_WAY_OUT)
    with host_lock(url.canonical, "cache", deadline=deadline, folder=locks):
        if not os.path.lexists(folder):
            _create(folder, url)
        check_private_folder(folder, way_out=_WAY_OUT)  # its configuration names commands that Git runs
        away: RemoteUnreachableError | None = None
        try:
            _fetch(folder, environment, deadline)
        except GitCommandError as error:
            failure = explain_failure(error, url.canonical)
            if not may_be_away or not isinstance(failure, RemoteUnreachableError):
                raise failure from error
            away = failure
    try:
        repository = open_at(folder, may_be_empty=may_be_empty and away is None)
    except RepositoryError as error:
        if away is not None:  # nothing was ever fetched
            raise away from None
        raise RepositoryError(f"{url.canonical}: {error.message.replace(str(folder), 'it')}", error.hint) from None
    return replace(
        repository, identity=url.canonical, branch_prefix="refs/remotes/origin/", git_environment=environment
    )


def _cache_folder() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME", "")
    folder = (Path(cache) if cache.startswith("/") else Path.home() / ".cache") / "gitopsd"
    make_private_folder(folder, way_out=_WAY_OUT)
    return folder


def _create(folder: Path, url: RemoteUrl) -> None:
    """Made aside and renamed, so that a crash leaves no half clone under the name."""
    aside = Path(tempfile.mkdtemp(prefix="new-", dir=folder.parent))
    try:
        run_git(["init", "--quiet", "--bare", "--template=", str(aside)])
        run_git(["config", "remote.origin.url", url.public], git_dir=aside)
        run_git(["config", "remote.origin.fetch", _REFSPECS[0]], git_dir=aside)
        aside.chmod(0o700)  # core.sharedRepository of the user's configuration may have opened it
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _fetch(folder: Path, environment: dict[str, str], deadline: float) -> None:
    def git(*arguments: str) -> GitResult:
        return run_git(arguments, git_dir=folder, environment=environment, deadline=deadline)

    head = git("ls-remote", "--symref", "origin", "HEAD").stdout.decode("utf-8", "replace")
    git("fetch", "--quiet", "--prune", "--no-write-fetch-head", "--no-auto-gc", "--recurse-submodules=no", "--refmap=",
        "origin", *_REFSPECS)  # fmt: skip
    first = head.split("\t", 1)[0]
    if first.startswith("ref: refs/heads/"):
        branch = first.removeprefix("ref: refs/heads/")
        git("symbolic-ref", "refs/remotes/origin/HEAD", f"refs/remotes/origin/{branch}")


def _ssh(identity: str) -> dict[str, str]:
    """What has `ssh` use this key, unless somebody chose the command already."""
    if not identity or os.environ.keys() & {"GIT_SSH_COMMAND", "GIT_SSH"}:
        return {}
    return {"GIT_SSH_COMMAND": f"ssh -i {shlex.quote(identity)} -oBatchMode=yes"}


def _credentials(url: RemoteUrl) -> dict[str, str]:
    """Credentials of the URL for the environment of `git`: neither on disk nor in a process list."""
    if url.secret == url.public:
        return {}
    return {
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.{url.secret}.insteadOf",
        "GIT_CONFIG_VALUE_0": url.public,
    }
