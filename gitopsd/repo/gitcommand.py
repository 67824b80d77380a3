"""The one place that runs `git`: argument lists only, a scrubbed environment, a deadline."""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gitopsd.repo.errors import GitCommandError
from gitopsd.repo.left_lock import remove_left_lock
from gitopsd.repo.process import Finished, run_process

# Everything else named GIT_* is dropped: a GIT_DIR or GIT_INDEX_FILE left over from a hook would point us elsewhere.
_KEPT_GIT_VARIABLES = frozenset({
    "GIT_ASKPASS", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "GIT_CONFIG_SYSTEM", "GIT_EXEC_PATH",
    "GIT_SSH", "GIT_SSH_COMMAND", "GIT_SSH_VARIANT", "GIT_SSL_CAINFO", "GIT_SSL_CAPATH", "GIT_SSL_CERT", "GIT_SSL_KEY",
})  # fmt: skip

_OPTIONS = (
    "-c", "core.hooksPath=/dev/null",  # hooks of the clone; a server's own hooks run in its own process and stay on
    "-c", "core.askPass=",
    "-c", "gc.auto=0",  # whoever owns the repository decides when to repack
    "-c", "maintenance.auto=false",
    "-c", "core.fsync=pack,pack-metadata,reference",
    "-c", "core.fsyncMethod=fsync",
    "-c", "fetch.unpackLimit=1",  # what is fetched stays a pack, and so is synced as one
    "-c", "core.filesRefLockTimeout=2000",
)  # fmt: skip

_FROM = {"git": "git 2.30 or later", "prlimit": "util-linux"}
_USERINFO = re.compile(r"(?<=://)[^/@\s'\"]+(?=@)")


@dataclass(frozen=True, slots=True, kw_only=True)
class GitResult:
    """What a finished `git` left: raw stdout, stderr as text with credentials masked, and its exit code."""

    command: tuple[str, ...]
    exit_code: int
    stdout: bytes
    stderr: str


def run_git(
    arguments: Sequence[str],
    *,
    git_dir: Path | None = None,
    cwd: Path | None = None,
    stdin: bytes = b"",
    deadline: float = 60.0,
    environment: Mapping[str, str] | None = None,
    ssh_command: str | None = None,
    ok_exit_codes: frozenset[int] = frozenset({0}),
    limits: Sequence[str] = (),
) -> GitResult:
    """Run `git` with `arguments` and return its output.

    `deadline` is in seconds; when it passes, git and all it started (ssh, remote helpers) are killed. `environment` is
    added on top of the scrubbed one. `ssh_command` is the repository's `core.sshCommand`, if it has one. `limits` are
    options of `prlimit` (util-linux), for git and all that it starts.

    Raises GitCommandError for an exit code outside `ok_exit_codes`, a missed deadline, or a missing `git`.
    """
    git_dir_option = () if git_dir is None else (f"--git-dir={git_dir}",)
    bounded = ("prlimit", *limits, "--") if limits else ()
    command = (*bounded, "git", *git_dir_option, *_OPTIONS, *arguments)
    shown = ("git", *(without_credentials(argument) for argument in arguments))
    environment = _scrubbed_environment(ssh_command) | dict(environment or {})

    def attempt() -> Finished:
        return run_process(command, environment=environment, cwd=cwd, stdin=stdin, deadline=deadline)

    try:
        done = attempt()
        if done.exit_code and git_dir is not None and remove_left_lock(git_dir, done.stderr.decode("utf-8", "replace")):
            done = attempt()
    except FileNotFoundError as error:
        raise GitCommandError(
            command=shown, exit_code=127, stdout="", stderr=str(error), hint=f"install {_FROM[command[0]]}"
        ) from None
    if done.exit_code is None:
        raise GitCommandError(command=shown, exit_code=None, stdout="", stderr=f"killed after {deadline:g} s")
    stderr = without_credentials(done.stderr.decode("utf-8", "replace"))
    if done.exit_code not in ok_exit_codes:
        text = without_credentials(done.stdout.decode("utf-8", "replace"))
        raise GitCommandError(command=shown, exit_code=done.exit_code, stdout=text, stderr=stderr)
    return GitResult(command=shown, exit_code=done.exit_code, stdout=done.stdout, stderr=stderr)


def without_credentials(text: str) -> str:
    """`text` with the user part of every URL in it masked: git and its helpers quote URLs in their messages."""
    return _USERINFO.sub("***", text)


def _scrubbed_environment(ssh_command: str | None) -> dict[str, str]:
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith("GIT_") or name in _KEPT_GIT_VARIABLES
    }
    if "GIT_SSH" not in kept or "GIT_SSH_COMMAND" in kept or ssh_command:
        # BatchMode: an unknown host key or a passphrase is an error, never a question that nobody answers
        kept["GIT_SSH_COMMAND"] = f"{kept.get('GIT_SSH_COMMAND') or ssh_command or 'ssh'} -oBatchMode=yes"
    return kept | {
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_ALLOW_PROTOCOL": "file:http:https:ssh",  # above all not ext::, which runs commands
        "GIT_NO_REPLACE_OBJECTS": "1",  # libgit2 ignores refs/replace; both must see the same objects
        "GIT_OPTIONAL_LOCKS": "0",
    }
