import os
import subprocess
from pathlib import Path

import pytest

from tests.operator import Operator

HOOKS = ("pre-receive", "post-receive")


@pytest.fixture
def ada(tmp_path: Path) -> Operator:
    (tmp_path / "home").mkdir()
    return Operator(folder=tmp_path, home=tmp_path / "home")


@pytest.fixture
def bare(ada: Operator, tmp_path: Path) -> Path:
    ada.git("init", "--quiet", "--bare", "fleet.git")
    return tmp_path / "fleet.git"


def hooks(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".sample")


def test_hooks_are_put_into_an_empty_repository_and_again_changes_nothing(ada: Operator, bare: Path) -> None:
    ran = ada.run("hook", "install", "fleet.git")
    assert f"{bare}/hooks/pre-receive: installed\n{bare}/hooks/post-receive: installed\n" in ran.stdout
    for name in HOOKS:
        assert (bare / "hooks" / name).stat().st_mode & 0o777 == 0o755
    assert "pre-receive: unchanged" in ada.run("hook", "install", str(bare)).stdout
    assert "pre-receive: replaced" in ada.run("hook", "install", str(bare), "--mode", "advise").stdout
    assert "--mode advise" in (bare / "hooks/pre-receive").read_text()
    assert hooks(bare / "hooks") == sorted(HOOKS)


def test_a_hook_of_a_persons_own_is_never_touched(ada: Operator, bare: Path) -> None:
    own = bare / "hooks/post-receive"
    own.write_text("#!/bin/sh\n")
    ran = ada.run("hook", "install", str(bare), expect=1)
    assert f"{own} is there already and isn't gitopsd's: nothing was changed" in ran.stderr
    assert "-P -m gitopsd hook run post-receive --mode enforce" in ran.stderr
    ada.run("hook", "remove", str(bare))
    assert hooks(bare / "hooks") == ["post-receive"]
    assert own.read_text() == "#!/bin/sh\n"


def test_a_link_in_the_place_of_a_hook_is_not_followed(ada: Operator, bare: Path) -> None:
    elsewhere = bare.parent / "elsewhere"
    elsewhere.write_text("#!/bin/sh\n# gitopsd hook: made by somebody else\n")
    (bare / "hooks/pre-receive").symlink_to(elsewhere)
    assert "isn't gitopsd's" in ada.run("hook", "install", str(bare), expect=1).stderr
    ada.run("hook", "remove", str(bare))
    assert elsewhere.exists()
    assert (bare / "hooks/pre-receive").is_symlink()


def test_hooks_are_removed_and_removing_again_changes_nothing(ada: Operator, bare: Path) -> None:
    ada.run("hook", "install", str(bare))
    assert "pre-receive: removed" in ada.run("hook", "remove", str(bare)).stdout
    assert "pre-receive: not there" in ada.run("hook", "remove", str(bare)).stdout
    assert hooks(bare / "hooks") == []


def test_a_folder_of_hooks_of_the_repositorys_own_is_used_and_one_of_all_repositories_is_not(
    ada: Operator, bare: Path, tmp_path: Path
) -> None:
    ada.git("config", "--global", "core.hooksPath", str(tmp_path / "all"))
    ran = ada.run("hook", "install", str(bare), expect=1)
    assert "the hooks of every repository" in ran.stderr
    assert not (tmp_path / "all").exists()
    ada.git("--git-dir=fleet.git", "config", "core.hooksPath", "own hooks")
    ada.run("hook", "install", str(bare))
    assert hooks(bare / "own hooks") == sorted(HOOKS)


def test_what_is_no_repository_of_this_machine_is_refused(ada: Operator, bare: Path) -> None:
    del bare
    assert "on the machine that has the repository" in ada.run("hook", "install", "git@host:x.git", expect=1).stderr
    assert "does not exist" in ada.run("hook", "install", "nowhere.git", expect=1).stderr
    ada.run("hook", "install", "fleet.git", "--deadline", "2h", expect=64)


def test_a_configuration_about_another_repository_is_pointed_out(ada: Operator, bare: Path, tmp_path: Path) -> None:
    configuration = tmp_path / "operator.yaml"
    configuration.write_text(f"repository: {tmp_path}/other.git\n")
    ran = ada.run("--config", "operator.yaml", "hook", "install", str(bare))
    assert f"the operator's configuration is about {tmp_path}/other.git" in ran.stderr
    assert f"--config {configuration} hook run" in (bare / "hooks/post-receive").read_text()
    configuration.write_text(f"repository: {bare}\n")
    assert ada.run("--config", "operator.yaml", "hook", "install", str(bare)).stderr == ""


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: a repository of another user")
def test_a_repository_of_another_user_is_used_only_where_it_is_trusted(ada: Operator, bare: Path) -> None:
    subprocess.run(["chown", "--recursive", "65534:65534", str(bare)], check=True)
    ran = ada.run("hook", "install", str(bare), expect=1)
    assert f"{bare} belongs to another user" in ran.stderr
    assert f"git config --global --add safe.directory {bare}" in ran.stderr
    ada.git("config", "--global", "--add", "safe.directory", str(bare))
    ran = ada.run("hook", "install", str(bare))
    assert "belongs to another user (uid 65534)" in ran.stderr
