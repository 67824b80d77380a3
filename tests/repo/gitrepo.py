"""Making repositories with the `git` command, hostile ones included."""

import subprocess
from pathlib import Path

from gitopsd.model.trees import build_tree
from gitopsd.repo.artifacts import ArtifactBranch, read_head
from gitopsd.repo.publish import write_deployment
from gitopsd.repo.remote import Remote
from gitopsd.repo.repository import Repository
from gitopsd.repo.trailers import DeploymentTrailers


def git(cwd: Path, *arguments: str, stdin: bytes = b"") -> str:
    done = subprocess.run(["git", *arguments], cwd=cwd, input=stdin, capture_output=True, check=False)
    assert done.returncode == 0, f"git {arguments}: {done.stderr.decode()}"
    return done.stdout.decode("utf-8", "surrogateescape").rstrip("\n")


class GitRepo:
    """A work tree and what tests do with it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q")

    def git(self, *arguments: str, stdin: bytes = b"") -> str:
        return git(self.path, *arguments, stdin=stdin)

    def write(self, path: str, content: str | bytes, *, executable: bool = False) -> Path:
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        file.chmod(0o755 if executable else 0o644)
        return file

    def commit(self, message: str = "change") -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD")

    def blob(self, content: bytes = b"x\n") -> str:
        return self.git("hash-object", "-w", "--stdin", stdin=content)

    def raw_tree(self, *entries: tuple[str, bytes, str]) -> str:
        """A tree object of exactly these (mode, name, id), in this order, valid or not."""
        data = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(id_) for mode, name, id_ in entries)
        return self.git("hash-object", "-w", "--literally", "-t", "tree", "--stdin", stdin=data)

    def commit_tree(self, tree: str) -> str:
        return self.git("commit-tree", "-m", "made by hand", tree)


def trailers(number: int, **other: str) -> DeploymentTrailers:
    return DeploymentTrailers(
        deployment=number,
        source_commit=other.get("source_commit", "a" * 40),
        environment=other.get("environment", "production"),
        trigger=other.get("trigger", "push"),
        plan_digest=other.get("plan_digest", "sha256:1234"),
        renderer=other.get("renderer", "0.1.0"),
        compiled=other.get("compiled", ""),
    )


def deploy(
    repository: Repository, branch: ArtifactBranch, number: int, *, remote: Remote | None = None, content: str = ""
) -> str:
    """A deployment of one file on top of the present head."""
    tree = build_tree({"workers/edge-1/release.json": (f'{{"n": {number}{content}}}\n'.encode(), False)})
    head = read_head(repository, branch)
    return write_deployment(
        repository, branch, remote, tree, head=head, subject=f"deploy {number}", trailers=trailers(number), now=number
    )
