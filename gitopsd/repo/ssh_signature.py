"""Signatures by SSH keys, made and checked by OpenSSH's `ssh-keygen -Y`, as Git does with `gpg.format=ssh`.

Checked here rather than by `git verify-commit`: that one would hand a commit signed with GPG to whatever keys the
user's keyring has, and look for its programs and files in the configuration of the repository's clone.
"""

import os
import re
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gitopsd.repo.commit_signature import split_signature
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.process import Finished, run_process
from gitopsd.repo.repository import Repository

_NAMESPACE = "git"
_SECONDS = 20.0
_KEY = re.compile(rb"with (\S+) key (SHA256:\S+)")
_COMMITTED = re.compile(rb"^committer [^\n]*> (\d{1,11}) [+-]\d{4}$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedBy:
    """A signature that holds. `principal` is who that is by the list; `file` is the list that has the key."""

    principal: str
    file: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class NotSigned:
    """`why`, as the end of a sentence about the commit: `is not signed`."""

    why: str


def sign(key: Path, data: bytes) -> bytes:
    """The armored signature of `data`. Raises RepositoryError where the key can't be used."""
    done = _ssh_keygen(["-Y", "sign", "-n", _NAMESPACE, "-f", str(key)], stdin=data)
    if done.exit_code != 0 or not done.stdout.startswith(b"-----BEGIN SSH SIGNATURE-----"):
        raise RepositoryError(
            f"nothing was committed: it can't be signed with {key}: {_said(done)}",
            "`signing.key` must be a private key of OpenSSH without a passphrase, or one that ssh-agent holds",
        )
    return done.stdout


def verify_commit(repository: Repository, commit: str, allowed: Sequence[Path]) -> SignedBy | NotSigned:
    """Whether a key of one of the `allowed` lists (ALLOWED SIGNERS of ssh-keygen(1)) signed the commit.

    As with Git, a list's `valid-after` and `valid-before` are compared with the time of the commit, and only an SSH
    signature for the namespace `git` counts. Raises RepositoryError for a list that can't be read, or a missing commit.
    """
    _require(allowed)
    raw = repository.read(commit, "commit")
    try:
        signed = split_signature(raw)
    except ValueError as error:
        return NotSigned(why=f"can't be trusted: {error}")
    if not signed.signature:
        return NotSigned(why="is not signed")
    if not signed.is_by_ssh:
        return NotSigned(why="is signed with GPG or X.509, and only signatures by SSH keys count")
    headers = signed.payload.partition(b"\n\n")[0]
    committed = _COMMITTED.findall(headers)
    if len(committed) != 1:
        return NotSigned(why="can't be trusted: it doesn't say when it was committed")
    try:
        # in the local time zone, as ssh-keygen takes the times of its lists
        at = datetime.fromtimestamp(int(committed[0]), UTC).astimezone().strftime("%Y%m%d%H%M%S")
    except (OverflowError, ValueError):
        return NotSigned(why="can't be trusted: it was committed at no time that there is")
    with tempfile.NamedTemporaryFile(prefix="gitopsd-signature-") as file:
        file.write(signed.signature)
        file.flush()
        found = (_signer(Path(file.name), signed.payload, at, one) for one in allowed)
        return next((one for one in found if one is not None), None) or _unknown(Path(file.name), signed.payload)


def _signer(signature: Path, payload: bytes, at: str, allowed: Path) -> SignedBy | None:
    time = f"-Overify-time={at}"
    listed = _ssh_keygen(["-Y", "find-principals", "-f", str(allowed), "-s", str(signature), time])
    if listed.exit_code != 0:
        return None
    for principal in listed.stdout.decode("utf-8", "replace").splitlines():
        arguments = ["-Y", "verify", "-n", _NAMESPACE, "-f", str(allowed), "-I", principal, "-s", str(signature), time]
        if _ssh_keygen(arguments, stdin=payload).exit_code == 0:
            return SignedBy(principal=principal, file=allowed)
    return None


def _unknown(signature: Path, payload: bytes) -> NotSigned:
    """Which key it was, that no list has."""
    done = _ssh_keygen(["-Y", "check-novalidate", "-n", _NAMESPACE, "-s", str(signature)], stdin=payload)
    key = _KEY.search(done.stdout)
    if done.exit_code != 0 or key is None:
        return NotSigned(why="has a signature that is not of this commit")
    kind, fingerprint = (part.decode("ascii", "replace") for part in key.groups())
    return NotSigned(why=f"is signed with the {kind} key {fingerprint}, which is not listed for the time of the commit")


def _require(allowed: Sequence[Path]) -> None:
    """A list that is missing must not pass for one that is empty: the message would name the wrong cause."""
    for file in allowed:
        try:
            with file.open("rb"):
                pass
        except OSError as error:
            raise RepositoryError(
                f"the list of signers {file} can't be read: {error.strerror}", "see `policy` in the configuration"
            ) from None


def _ssh_keygen(arguments: Sequence[str], *, stdin: bytes = b"") -> Finished:
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "SSH_AUTH_SOCK", "TMPDIR", "TZ") if name in os.environ}
    # a passphrase is never asked for: there is nobody to answer
    environment = {**kept, "LC_ALL": "C", "SSH_ASKPASS_REQUIRE": "force", "SSH_ASKPASS": "/bin/false"}
    try:
        done = run_process(["ssh-keygen", *arguments], environment=environment, stdin=stdin, deadline=_SECONDS)
    except FileNotFoundError:
        raise RepositoryError("ssh-keygen is not installed", "install OpenSSH's client, 8.9 or later") from None
    if done.exit_code is None:
        raise RepositoryError(f"ssh-keygen had not ended after {_SECONDS:g} s", "run this again")
    return done


def _said(done: Finished) -> str:
    return " ".join(done.stderr.decode("utf-8", "replace").split()) or f"ssh-keygen ended with {done.exit_code}"
