"""What of this gitopsd ships in releases, as Git trees: read when it is first asked for."""

from functools import cache

from gitopsd.model.trees import BuiltTree, build_tree
from gitopsd.runner.bundle import library_files


@cache
def library(name: str) -> BuiltTree:
    """A library that ships beside the runner. Raises LookupError for one that isn't known."""
    return build_tree(library_files(name))
