"""A repository that people push to, as far as its hooks are concerned; it may be empty yet."""

from dataclasses import dataclass
from pathlib import Path

from pygit2.enums import ConfigLevel

from gitopsd.repo.repository import common_dir, open_git


@dataclass(frozen=True, slots=True, kw_only=True)
class ServedRepository:
    """`hooks_path` is `core.hooksPath` where it is set; `is_shared` then says that it isn't this repository's own."""

    git_dir: Path
    hooks_path: str = ""
    is_shared: bool = False


def open_served(path: Path) -> ServedRepository:
    """The repository at exactly `path`. Raises RepositoryError as `open_at` does."""
    git = open_git(path)
    entries = [one for one in git.config if one.name == "core.hookspath"]
    if not entries or entries[-1].value is None:
        return ServedRepository(git_dir=common_dir(git))
    own = entries[-1].level in {ConfigLevel.LOCAL, ConfigLevel.WORKTREE}
    return ServedRepository(git_dir=common_dir(git), hooks_path=entries[-1].value, is_shared=not own)
