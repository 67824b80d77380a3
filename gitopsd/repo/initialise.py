"""A new workflow repository from the template, and commits of its work tree."""

import shutil
import tempfile
from importlib.resources import files
from pathlib import Path

import pygit2
from ruamel.yaml import YAML

from gitopsd.repo.commit import identity_of
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.repository import Repository, open_at

TEMPLATE = "workflow-repo-template"


def initialise(folder: Path) -> Repository:
    """Copy the template into `folder`, which must be empty or not there, and commit it on the branch `main`.

    The environment `local` is given `folder/data` to work in. Raises RepositoryError.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RepositoryError(
            f"{folder} exists and is not an empty directory", "name a new one, or `cd` into it if it is your repository"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.resolve().name}.", dir=folder.resolve().parent))
    try:
        aside.chmod(0o755)
        _copy(template_folder(), aside)
        set_parameter(aside, "local", "roundtrip", "data", str(folder.resolve() / "data"))
        for name in ("in", "out"):
            (aside / "data" / name).mkdir(parents=True)
        pygit2.init_repository(str(aside), initial_head="main")
        commit_work_tree(aside, "Start from gitopsd's template")
        _move_into_place(aside, folder.resolve())
    except BaseException:
        shutil.rmtree(aside)
        raise
    return open_at(folder)


def _move_into_place(aside: Path, folder: Path) -> None:
    """In one rename, or entry by entry into an empty directory that is there, which may be somebody's current one."""
    if not folder.exists():
        aside.replace(folder)
        return
    for entry in sorted(aside.iterdir(), key=lambda entry: entry.name == "gitopsd.yaml"):
        entry.replace(folder / entry.name)
    aside.rmdir()


def commit_work_tree(folder: Path, message: str, *, only: str | None = None) -> None:
    """Commit everything in the work tree that is not ignored, or only one file; nothing when nothing changed.

    Raises RepositoryError where `folder` is no repository.
    """
    git = open_at(folder).git if only else pygit2.Repository(str(folder))
    if only is None:
        git.index.add_all()
        git.index.write()
        tree = git.index.write_tree()
    else:
        git.index.add(only)
        git.index.write()
        committed = pygit2.Index()
        committed.read_tree(git.head.peel(pygit2.Tree))
        committed.add(git.index[only])
        tree = committed.write_tree(git)
    parents = [] if git.head_is_unborn else [git.head.target]
    if parents and git[parents[0]].peel(pygit2.Tree).id == tree:
        return
    repository = Repository(git=git, git_dir=Path(git.path), work_tree=folder, identity="")
    who = identity_of(repository)
    signature = pygit2.Signature(who.name, who.email)
    git.create_commit("HEAD", signature, signature, message, tree, parents)


def set_parameter(folder: Path, environment: str, workflow: str, name: str, value: str) -> None:
    """Set one value in gitopsd.yaml, keeping its comments and order."""
    path = folder / "gitopsd.yaml"
    yaml = YAML(typ="rt")
    yaml.width = 4096
    document = yaml.load(path.read_text())
    document["environments"][environment].setdefault("params", {}).setdefault(workflow, {})[name] = value
    aside = path.with_name(".gitopsd.yaml.new")
    with aside.open("w") as stream:
        yaml.dump(document, stream)
    aside.replace(path)


def template_folder() -> Path:
    """The template: beside the modules in an installed package, beside the package in a checkout."""
    package = Path(str(files("gitopsd")))
    installed = package / TEMPLATE
    return installed if installed.is_dir() else package.parent / TEMPLATE


def _copy(source: Path, destination: Path) -> None:
    if not source.is_dir():
        raise RepositoryError(f"the template {source} is missing", "install gitopsd again")
    for path in sorted(source.rglob("*")):
        target = destination / path.relative_to(source)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        else:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
