"""Real Git repositories, cut off from the configuration of whoever runs the tests."""

from collections.abc import Iterator
from pathlib import Path

import pygit2
import pytest
from pygit2.enums import ConfigLevel

from gitopsd.repo.artifacts import ArtifactBranch, artifact_branch
from gitopsd.repo.repository import Repository, open_at
from tests.repo.gitrepo import GitRepo, git


@pytest.fixture(scope="session", autouse=True)
def isolated_git(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    home = tmp_path_factory.mktemp("home")
    (home / ".gitconfig").write_text("[user]\n name = Ada\n email = ada@example.org\n[init]\n defaultBranch = main\n")
    levels = [ConfigLevel.GLOBAL, ConfigLevel.XDG, ConfigLevel.SYSTEM]
    before = [pygit2.settings.search_path[level] for level in levels]
    ours = [home, home / "xdg_config_home" / "git", home / "none"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.setenv("GIT_CONFIG_NOSYSTEM", "1")
        for name in ("XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME"):
            patch.setenv(name, str(home / name.lower()))
        for level, folder in zip(levels, ours, strict=True):
            pygit2.settings.search_path[level] = str(folder)
        yield
    for level, path in zip(levels, before, strict=True):
        pygit2.settings.search_path[level] = path


@pytest.fixture
def source(tmp_path: Path) -> GitRepo:
    """A work tree with one commit of a small workflow repository."""
    repo = GitRepo(tmp_path / "source")
    repo.write("gitopsd.yaml", "environments: {}\n")
    repo.write("workflows/orders.yaml", "workflow: orders\n")
    repo.write("files/run.sh", "#!/bin/sh\n", executable=True)
    repo.write("README.md", "not ours\n")
    repo.commit("first")
    return repo


@pytest.fixture
def repository(source: GitRepo) -> Repository:
    return open_at(source.path)


@pytest.fixture
def branch() -> ArtifactBranch:
    return artifact_branch("production")


@pytest.fixture
def bare(tmp_path: Path, source: GitRepo) -> Path:
    """A bare repository that has what `source` has and is its origin."""
    path = tmp_path / "fleet.git"
    git(tmp_path, "clone", "-q", "--bare", str(source.path), str(path))
    source.git("remote", "add", "origin", str(path))
    return path
