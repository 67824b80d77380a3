"""The network: fetch from a remote and push to it, through the `git` command."""

import random
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass

from gitopsd.repo.errors import (
    GitCommandError,
    RefMovedError,
    RemoteAuthenticationError,
    RemoteError,
    RemoteRejectedError,
    RemoteUnreachableError,
    RepositoryError,
)
from gitopsd.repo.gitcommand import GitResult, run_git, without_credentials
from gitopsd.repo.location import looks_like_url, parse_url, path_identity
from gitopsd.repo.refs import RefUpdate
from gitopsd.repo.repository import Repository

_FETCH_ATTEMPTS = 5

_AUTHENTICATION = re.compile(
    r"permission denied|authentication failed|could not read (username|password)|terminal prompts disabled"
    r"|host key verification failed|access denied|invalid credentials|returned error: 40[13]",
    re.IGNORECASE,
)
# What servers answer when somebody else's push got between our lease and their lock.
_LOST_RACE = re.compile(
    r"stale info|fetch first|non-fast-forward|failed to update ref|cannot lock ref|incorrect old value"
    r"|reference already exists|failed to lock|atomic transaction failed"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Remote:
    """A remote of a repository: its name in Git's configuration, and its canonical identity.

    `away`: it couldn't be reached a moment ago and isn't asked; what is here of it counts, and nothing can be written.
    """

    name: str
    identity: str
    away: bool = False


def find_remote(repository: Repository, name: str = "origin") -> Remote | None:
    """The remote of that name that the repository follows; None if it has none.

    A remote without a fetch refspec is not followed: `git clone --bare` leaves one in what becomes the server.
    """
    try:
        found = repository.git.remotes[name]
    except (KeyError, ValueError):
        return None
    url = found.url
    if url is None or not found.fetch_refspecs:
        return None
    if not looks_like_url(url):
        return Remote(name=name, identity=path_identity((repository.work_tree or repository.git_dir) / url))
    try:
        return Remote(name=name, identity=parse_url(url).canonical)
    except RepositoryError:  # the configuration of this clone may use what we would not take as an argument
        return Remote(name=name, identity=without_credentials(url))


def list_remote(
    repository: Repository, remote: Remote, patterns: Sequence[str], *, deadline: float = 30.0
) -> dict[str, str]:
    """The refs of the remote that match `patterns` (full names, or globs), with their ids: one round trip.

    Raises a RemoteError.
    """
    refuse_away(remote)
    result = _run_network(repository, remote, ["ls-remote", "--quiet", remote.name, *patterns], deadline)
    lines = (line.split("\t", 1) for line in result.stdout.decode("utf-8", "replace").splitlines() if "\t" in line)
    return {ref: object_id for object_id, ref in lines}


def fetch(repository: Repository, remote: Remote, refspecs: Sequence[str], *, deadline: float = 300.0) -> None:
    """`git fetch` of exactly `refspecs`, durable when it returns. Raises a RemoteError.

    Several processes may fetch into one repository: one that loses the race for a ref tries again, five times at most.
    """
    refuse_away(remote)
    options = ["--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc", "--recurse-submodules=no", "--refmap="]
    for attempt in range(1, _FETCH_ATTEMPTS + 1):
        try:
            _run_network(repository, remote, ["fetch", *options, remote.name, *refspecs], deadline)
            break
        except RemoteError as error:
            if attempt == _FETCH_ATTEMPTS or "cannot lock ref" not in _command_error(error).stderr:
                raise
            time.sleep(random.uniform(0.0, 0.02 * 2**attempt))  # noqa: S311 - jitter
    for backend in repository.git.odb.backends:
        backend.refresh()


def push(repository: Repository, remote: Remote, updates: Sequence[RefUpdate], *, deadline: float = 300.0) -> None:
    """Swap refs of the remote, all or none, if they still have their old values there.

    Each `new` must descend from its `old`: the lease alone would let a rewind through. Raises RefMovedError when a ref
    moved meanwhile, RemoteRejectedError when the server said no, RemoteUnreachableError when the outcome is unknown,
    RemoteAuthenticationError.
    """
    refuse_away(remote)
    options = ["--porcelain", "--no-verify", "--no-follow-tags", "--no-signed", "--recurse-submodules=no"]
    if len(updates) > 1:
        options.append("--atomic")
    not_a_mirror = ["-c", f"remote.{remote.name}.mirror=false"]  # a mirror's push would take everything along
    leases = [f"--force-with-lease={update.ref}:{update.old or ''}" for update in updates]
    refspecs = [f"{update.new}:{update.ref}" for update in updates]
    try:
        _run_network(repository, remote, [*not_a_mirror, "push", *options, *leases, remote.name, *refspecs], deadline)
    except RemoteError as error:
        refusals = _refusals(error)
        for update in updates:
            if _LOST_RACE.search(refusals.get(update.ref, "")):
                raise RefMovedError(update.ref, expected=update.old, actual=None) from error
        if refusals:
            ref, reason = next(iter(refusals.items()))
            raise RemoteRejectedError(
                f"{remote.identity} refused the push to {ref}: {reason}\n{_command_error(error).stderr.strip()}",
                "a hook or a rule of the server says so; let gitopsd push to it",
            ) from error
        raise


def tracking_ref(remote: Remote, ref: str) -> str:
    """Where we keep what the remote last had at `ref`."""
    for prefix, mirror in (("refs/heads/", "refs/remotes/"), ("refs/notes/", "refs/notes/remotes/")):
        if ref.startswith(prefix):
            return f"{mirror}{remote.name}/{ref.removeprefix(prefix)}"
    raise ValueError(f"{ref} is neither a branch nor notes")


def refuse_away(remote: Remote) -> None:
    """Raises RemoteUnreachableError where it wasn't reached a moment ago."""
    if remote.away:
        raise RemoteUnreachableError(
            f"{remote.identity} could not be reached a moment ago, and isn't asked now",
            "check the address and the network",
        )


def _run_network(repository: Repository, remote: Remote, arguments: list[str], deadline: float) -> GitResult:
    try:
        return run_git(
            arguments,
            git_dir=repository.git_dir,
            cwd=repository.work_tree or repository.git_dir,
            deadline=deadline,
            environment=repository.git_environment,
            ssh_command=repository.config("core.sshCommand"),
        )
    except GitCommandError as error:
        raise explain_failure(error, remote.identity) from error


def explain_failure(error: GitCommandError, identity: str) -> RemoteError:
    """The RemoteError behind a failed network command of `git`."""
    said = error.stderr.strip() or error.stdout.strip()
    if "mismatched algorithms" in said:
        return RemoteError(
            f"{identity} does not name its objects by SHA-1", "gitopsd works with SHA-1 repositories only"
        )
    if _AUTHENTICATION.search(said):
        return RemoteAuthenticationError(
            f"{identity} did not let us in:\n{said}",
            "check the key or token and, for ssh, that known_hosts has the host; nothing is ever asked interactively",
        )
    return RemoteUnreachableError(
        f"{identity} could not be reached: {'no answer before the deadline' if error.exit_code is None else said}",
        "check the address and the network, then run this again",
    )


def _refusals(error: RemoteError) -> dict[str, str]:
    """The refs that the server refused, with its reason, from `git push --porcelain`."""
    refused = re.findall(r"^!\t[^\t:]*:([^\t]+)\t(.*)$", _command_error(error).stdout, re.MULTILINE)
    # Of an atomic push only one ref has the reason; the others say "atomic push failed".
    return dict(sorted(refused, key=lambda refusal: "atomic push fail" in refusal[1]))


def _command_error(error: RemoteError) -> GitCommandError:
    cause = error.__cause__
    assert isinstance(cause, GitCommandError)  # noqa: S101 - _run_network chains it
    return cause
