"""What a workflow is made of: every file of the repository that it uses, directly or through others."""

from typing import NamedTuple

from gitopsd.compiler.link import Linked
from gitopsd.compiler.load import OWN


class Parts(NamedTuple):
    """`names` tell these very files, with their contents, from any others; `paths` are those in the repository."""

    names: tuple[str, ...]
    paths: frozenset[str]


def workflow_parts(linked: Linked, name: str) -> Parts:
    """The workflow's own file, the modules and blueprints that it uses, and what those ship."""
    names: list[str] = []
    paths: set[str] = set()
    pending: list[tuple[str, str]] = [(OWN, linked.workflows[name].path)]
    seen: set[tuple[str, str]] = set()
    while pending:
        library, path = pending.pop()
        if (library, path) in seen:
            continue
        seen.add((library, path))
        names.append(f"{library} {path} {linked.documents[path].content.blob}")
        outline = linked.outlines.get(path)
        if outline is None:
            continue  # a blueprint of gitopsd's own
        paths.add(path)
        shipped, folder = linked.libraries[library].shipped, linked.libraries[library].folder
        ships = [file for file in outline.ships if file in shipped]  # what else a step names is said when it is bound
        names += [f"{library} {file} {shipped[file].blob}" for file in ships]
        paths.update(folder + file for file in ships)
        for use in outline.uses:
            used = linked.find(use, library)
            if used:
                names.append(f"{library} {use} {used.declared.path}")
                pending.append((used.library, used.declared.path))
    return Parts(tuple(names), frozenset(paths))
