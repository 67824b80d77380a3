"""Real keys, real Git: what we sign Git accepts, and what Git signs we judge."""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from gitopsd.model.trees import TreeFile, build_tree
from gitopsd.repo.commit import write_commit
from gitopsd.repo.commit_signature import split_signature
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository, open_at
from gitopsd.repo.ssh_signature import NotSigned, SignedBy, sign, verify_commit
from tests.repo.gitrepo import GitRepo
from tests.ssh_keys import SshKey, allow, make_key, signing_options


@pytest.fixture
def repo(tmp_path: Path) -> GitRepo:
    repo = GitRepo(tmp_path / "repo")
    repo.git("config", "user.name", "Ada")
    repo.git("config", "user.email", "ada@example.org")
    repo.commit("first")
    return repo


def _signed(repo: GitRepo, key: SshKey, *, at: str = "2026-03-01T00:00:00Z") -> str:
    environment = {**os.environ, "GIT_COMMITTER_DATE": at, "GIT_AUTHOR_DATE": at}
    command = ["git", *signing_options(key), "commit", "-q", "-S", "--allow-empty", "-m", "signed"]
    subprocess.run(command, cwd=repo.path, env=environment, check=True, capture_output=True)
    return repo.git("rev-parse", "HEAD")


def _raw(repo: GitRepo, data: bytes) -> str:
    return repo.git("hash-object", "-w", "--literally", "-t", "commit", "--stdin", stdin=data)


def _content(repo: GitRepo, commit: str) -> bytes:
    done = subprocess.run(["git", "cat-file", "commit", commit], cwd=repo.path, check=True, capture_output=True)
    return done.stdout


def _why(repository: Repository, commit: str, *allowed: Path) -> str:
    found = verify_commit(repository, commit, allowed)
    assert isinstance(found, NotSigned), found
    return found.why


@pytest.mark.parametrize("kind", ["ed25519", "rsa", "ecdsa"])
def test_git_accepts_the_signature_of_a_commit_that_we_wrote(repo: GitRepo, tmp_path: Path, kind: str) -> None:
    key = make_key(tmp_path, "controller", kind=kind)
    allowed = allow(tmp_path / "allowed", ("controller", "", key))
    repository = replace(open_at(repo.path), signer=lambda data: sign(key.path, data))
    tree = build_tree({"file": TreeFile(b"text\n")})
    commit = write_commit(repository, tree, parent=repo.git("rev-parse", "HEAD"), message="subject\n\nKey: value\n")
    repo.git("-c", f"gpg.ssh.allowedSignersFile={allowed}", "verify-commit", commit)
    assert repo.git("log", "-1", "--format=%(trailers:key=Key,valueonly)", commit).strip() == "value"
    assert verify_commit(repository, commit, [allowed]) == SignedBy(principal="controller", file=allowed)
    repo.git("fsck", "--strict")


def test_a_commit_that_git_signed_is_accepted_by_any_of_several_lists(repo: GitRepo, tmp_path: Path) -> None:
    ada, eve = make_key(tmp_path, "ada"), make_key(tmp_path, "eve")
    commit = _signed(repo, ada)
    first = allow(tmp_path / "first", ("eve@example.org", "", eve))
    second = allow(tmp_path / "second", ("ada@example.org", 'namespaces="git"', ada))
    found = verify_commit(open_at(repo.path), commit, [first, second])
    assert found == SignedBy(principal="ada@example.org", file=second)


def test_a_key_that_is_not_listed_is_named(repo: GitRepo, tmp_path: Path) -> None:
    ada, eve = make_key(tmp_path, "ada"), make_key(tmp_path, "eve")
    allowed = allow(tmp_path / "allowed", ("ada", "", ada))
    fingerprint = subprocess.run(["ssh-keygen", "-lf", eve.path], check=True, capture_output=True, text=True)
    why = _why(open_at(repo.path), _signed(repo, eve), allowed)
    assert fingerprint.stdout.split()[1] in why
    assert "not listed" in why


def test_no_signature_and_an_empty_list_are_said(repo: GitRepo, tmp_path: Path) -> None:
    ada = make_key(tmp_path, "ada")
    repository = open_at(repo.path)
    assert _why(repository, repo.git("rev-parse", "HEAD"), allow(tmp_path / "a", ("ada", "", ada))) == "is not signed"
    assert "not listed" in _why(repository, _signed(repo, ada))


def test_a_key_for_other_purposes_does_not_count(repo: GitRepo, tmp_path: Path) -> None:
    ada = make_key(tmp_path, "ada")
    allowed = allow(tmp_path / "allowed", ("ada", 'namespaces="file"', ada))
    assert "not listed" in _why(open_at(repo.path), _signed(repo, ada), allowed)
    text = tmp_path / "text"
    text.write_text("signed for another purpose")
    subprocess.run(["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", ada.path, text], check=True)
    payload = _content(repo, "HEAD~1")
    headers, _, message = payload.partition(b"\n\n")
    signature = (tmp_path / "text.sig").read_bytes().strip().replace(b"\n", b"\n ")
    commit = _raw(repo, headers + b"\ngpgsig " + signature + b"\n\n" + message)
    listed = allow(tmp_path / "listed", ("ada", "", ada))
    assert "not of this commit" in _why(open_at(repo.path), commit, listed)


def test_a_list_says_how_long_a_key_counts(repo: GitRepo, tmp_path: Path) -> None:
    ada = make_key(tmp_path, "ada")
    allowed = allow(tmp_path / "allowed", ("ada", 'valid-after="20260101",valid-before="20260201"', ada))
    repository = open_at(repo.path)
    assert isinstance(verify_commit(repository, _signed(repo, ada, at="2026-01-15T00:00:00Z"), [allowed]), SignedBy)
    assert "not listed for the time" in _why(repository, _signed(repo, ada, at="2026-02-15T00:00:00Z"), allowed)
    assert "not listed for the time" in _why(repository, _signed(repo, ada, at="2025-12-15T00:00:00Z"), allowed)


def test_a_certificate_of_a_listed_authority_counts_for_its_names(repo: GitRepo, tmp_path: Path) -> None:
    authority, ada = make_key(tmp_path, "authority"), make_key(tmp_path, "ada")
    public = str(ada.path.with_suffix(".pub"))
    command = ["ssh-keygen", "-q", "-s", str(authority.path), "-I", "ada", "-n", "ada@example.org", public]
    subprocess.run(command, check=True)
    options = f"-c gpg.format=ssh -c user.signingKey={tmp_path}/ada-cert.pub"
    script = f"ssh-add -q {ada.path} && git {options} commit -q -S --allow-empty -m certified"
    subprocess.run(["ssh-agent", "sh", "-c", script], cwd=repo.path, check=True, timeout=60)
    repository, commit = open_at(repo.path), repo.git("rev-parse", "HEAD")
    allowed = allow(tmp_path / "allowed", ("*@example.org", "cert-authority", authority))
    assert isinstance(verify_commit(repository, commit, [allowed]), SignedBy)
    others = allow(tmp_path / "others", ("*@example.com", "cert-authority", authority))
    assert isinstance(verify_commit(repository, commit, [others]), NotSigned)


def test_a_commit_that_was_changed_after_it_was_signed_is_refused(repo: GitRepo, tmp_path: Path) -> None:
    ada = make_key(tmp_path, "ada")
    allowed = allow(tmp_path / "allowed", ("ada", "", ada))
    content = _content(repo, _signed(repo, ada))
    changed = _raw(repo, content.replace(b"signed\n", b"another\n"))
    assert "not of this commit" in _why(open_at(repo.path), changed, allowed)


def test_a_signature_in_the_message_is_none(repo: GitRepo, tmp_path: Path) -> None:
    ada = make_key(tmp_path, "ada")
    allowed = allow(tmp_path / "allowed", ("ada", "", ada))
    headers = _content(repo, _signed(repo, ada)).partition(b"\n\n")[0]
    unsigned = _content(repo, repo.git("commit-tree", "-m", "x", repo.git("write-tree")))
    in_message = _raw(repo, unsigned + headers[headers.index(b"gpgsig") :] + b"\n")
    assert _why(open_at(repo.path), in_message, allowed) == "is not signed"


def test_two_signatures_or_a_huge_one_are_refused(repo: GitRepo, tmp_path: Path) -> None:
    ada = make_key(tmp_path, "ada")
    allowed = allow(tmp_path / "allowed", ("ada", "", ada))
    content = _content(repo, _signed(repo, ada))
    headers, _, message = content.partition(b"\n\n")
    twice = _raw(repo, headers + headers[headers.index(b"\ngpgsig") :] + b"\n\n" + message)
    assert "more than one signature" in _why(open_at(repo.path), twice, allowed)
    payload = split_signature(content).payload
    start, _, rest = payload.partition(b"\n\n")
    huge = _raw(repo, start + b"\ngpgsig " + b"x" * 100_000 + b"\n\n" + rest)
    assert "100,000 bytes" in _why(open_at(repo.path), huge, allowed)


def test_a_commit_signed_with_gpg_is_refused(repo: GitRepo, tmp_path: Path) -> None:
    """Whose keyring would say what it is worth? That of whoever runs this isn't the operator's list."""
    headers, _, message = _content(repo, "HEAD").partition(b"\n\n")
    armor = b"-----BEGIN PGP SIGNATURE-----\n \n iHUEABYKAB0WIQ\n -----END PGP SIGNATURE-----"
    commit = _raw(repo, headers + b"\ngpgsig " + armor + b"\n\n" + message)
    allowed = allow(tmp_path / "allowed", ("ada", "", make_key(tmp_path, "ada")))
    assert "signed with GPG" in _why(open_at(repo.path), commit, allowed)


def test_a_missing_list_and_a_key_with_a_passphrase_are_errors_that_name_them(repo: GitRepo, tmp_path: Path) -> None:
    key = make_key(tmp_path, "locked", passphrase="long enough")  # noqa: S106
    with pytest.raises(RepositoryError, match=r"list of signers .*missing can't be read"):
        verify_commit(open_at(repo.path), repo.git("rev-parse", "HEAD"), [tmp_path / "missing"])
    with pytest.raises(RepositoryError, match=r"nothing was committed: it can't be signed with .*locked"):
        sign(key.path, b"data")
    with pytest.raises(RepositoryError, match="nothing was committed"):
        sign(tmp_path / "nowhere", b"data")
