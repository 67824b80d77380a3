"""Artifact commits made by hand, by somebody who can push to the branch."""

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.ssh_keys import SshKey, signing_options

EVE = {"GIT_AUTHOR_NAME": "Eve", "GIT_AUTHOR_EMAIL": "eve@example.org", "GIT_COMMITTER_NAME": "Eve",
       "GIT_COMMITTER_EMAIL": "eve@example.org"}  # fmt: skip


def forge(
    repository: Path,
    edits: Mapping[str, bytes | None],
    *,
    message: str = "Cordon edge-1: it smells",
    branch: str = "rendered/production",
    key: SshKey | None = None,
) -> str:
    """The branch with these files, or without where None, in one more commit; its id."""
    index = repository / ".git/forged-index"
    environment = {**os.environ, **EVE, "GIT_INDEX_FILE": str(index)}

    def git(*arguments: str, stdin: bytes = b"") -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=repository, env=environment, input=stdin, capture_output=True, check=True
        )
        return done.stdout.decode().strip()

    git("read-tree", branch)
    for path, content in edits.items():
        if content is None:
            git("update-index", "--force-remove", path)
        else:
            blob = git("hash-object", "-w", "--stdin", stdin=content)
            git("update-index", "--add", "--cacheinfo", f"100644,{blob},{path}")
    options = signing_options(key) if key else ()
    commit = git(
        *options, "commit-tree", *(["-S"] if key else []), "-p", branch, "-F", "-", git("write-tree"),
        stdin=message.encode(),
    )  # fmt: skip
    git("update-ref", f"refs/heads/{branch}", commit)
    index.unlink()
    return commit


def content(repository: Path, path: str, *, branch: str = "rendered/production") -> bytes:
    done = subprocess.run(["git", "show", f"{branch}:{path}"], cwd=repository, capture_output=True, check=True)
    return done.stdout


def edited(
    repository: Path, path: str, edit: Callable[[Any], object], *, branch: str = "rendered/production"
) -> dict[str, bytes]:
    """A JSON file of the branch, changed."""
    value = json.loads(content(repository, path, branch=branch))
    edit(value)
    return {path: json.dumps(value, indent=2, sort_keys=True).encode() + b"\n"}
