"""What modules are made of: all files that have to be copied with them so that they compile somewhere else."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from gitopsd.compiler.declarations.decode import decode
from gitopsd.compiler.from_file import FROM, files_named
from gitopsd.compiler.load import missing_path
from gitopsd.compiler.paths import is_below, path_outside
from gitopsd.compiler.yaml.reader import Document, read_yaml
from gitopsd.model.blueprint import Blueprint, ShippedFile
from gitopsd.model.diagnostic import Diagnostic, Location, Related, in_order
from gitopsd.model.names import did_you_mean
from gitopsd.model.source import Files
from gitopsd.model.vendor import VENDOR_FOLDER
from gitopsd.model.workflow import Module

MODULES = "modules"
T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Closure:
    """`paths` are sorted; with diagnostics they are not all. `modules` are the names that can be used now."""

    paths: tuple[str, ...]
    modules: tuple[str, ...]
    diagnostics: tuple[Diagnostic, ...]


def closure(files: Files, wanted: Sequence[str], refused: Mapping[str, Diagnostic], label: str) -> Closure:
    """`files` are the source tree of another repository; `wanted` are module files of it, or `modules` for all of them.

    `refused`: path -> why that file isn't among the files. `label` comes before paths in diagnostics, to tell them
    from those of the repository that copies.
    """
    finder = _Finder(files, refused, label)
    for path in wanted:
        finder.want(path)
    return Closure(
        paths=tuple(sorted(finder.found)),
        modules=tuple(sorted(finder.modules)),
        diagnostics=in_order(finder.diagnostics),
    )


class _Finder:
    """Follows what is used from one file to the next; `root` is the folder of a library, or empty."""

    def __init__(self, files: Files, refused: Mapping[str, Diagnostic], label: str) -> None:
        self._files = files
        self._refused = refused
        self._label = label
        self._documents: dict[str, Document] = {}
        self._indexes: dict[tuple[str, str], dict[str, list[str]]] = {}
        self.found: set[str] = set()
        self.modules: set[str] = set()
        self.diagnostics: list[Diagnostic] = []

    def want(self, path: str) -> None:
        paths = [path]
        if path == MODULES:
            inside = [at for at in self._refused if at == MODULES or at.rpartition("/")[0] == MODULES]
            self.diagnostics += [self._refused[at] for at in inside if f"{at}/" != VENDOR_FOLDER]
            paths = sorted(self._declarations("", MODULES))
        if not paths or (path != MODULES and path not in self._files):
            known = [*self._declarations("", MODULES), *([MODULES] if self._declarations("", MODULES) else [])]
            self._miss(path, missing_path("the module file", path, Location(path=self._label + path), known))
            return
        for one in paths:
            self._module("", one)
            name = self._name(one, "module")
            if name:
                self._named("", MODULES, "module", name)  # two of one name clash
                self.modules.add(name)

    def _module(self, root: str, path: str) -> None:
        """A list and no recursion: modules of somebody else may use each other to any depth."""
        waiting = [(root, path)]
        while waiting:
            root, path = waiting.pop()
            module = self._take(path, Module)
            if module is None:
                continue
            document = self._document(path)
            for step, declared in module.steps.items():
                for key, file in files_named([declared]):
                    self._ships(root, file, document.locate("steps", step, "with", key, FROM))
                if declared.use.startswith("std/"):
                    continue
                used = self._follow(root, declared.use, document.locate("steps", step, "use"))
                if used is not None:
                    waiting.append(used)

    def _follow(self, root: str, use: str, place: Location) -> tuple[str, str] | None:
        """The root and path of the module that is used, if it is one."""
        folder, slash, name = use.rpartition("/")
        if use.startswith(VENDOR_FOLDER) and slash and folder.count("/") == 2:
            root, folder = f"{root}{folder}/", MODULES
        if folder not in {MODULES, "blueprints"}:
            known = ["blueprints/NAME", "modules/NAME", "modules/vendor/LIB/NAME", "std/NAME"]
            self.diagnostics.append(_unknown(use, place, known))
            return None
        kind = "module" if folder == MODULES else "blueprint"
        path = self._named(root, folder, kind, name)
        if path is None:
            prefix = use.removesuffix(name)
            known = [f"{prefix}{one}" for one in self._index(root, folder, kind)]
            self._miss(f"{root}{folder}/{name}.yaml", _unknown(use, place, known))
        elif kind == "module":
            return root, path
        else:
            self._blueprint(root, path)
        return None

    def _blueprint(self, root: str, path: str) -> None:
        blueprint = self._take(path, Blueprint)
        if blueprint is None:
            return
        document = self._document(path)
        for name, content in blueprint.job.files.items():
            if not isinstance(content, ShippedFile):
                continue
            self._ships(root, content.from_, document.locate("job", "files", name, "from"))

    def _ships(self, root: str, file: str, place: Location) -> None:
        shipped = root + file
        if not is_below(file) or not file.startswith("files/"):
            self.diagnostics.append(path_outside(file, place))
        elif shipped not in self._files:
            known = [one.removeprefix(root) for one in self._files if one.startswith(f"{root}files/")]
            self._miss(shipped, missing_path("the file", file, place, known))
        else:
            self.found.add(shipped)

    def _take(self, path: str, kind: type[T]) -> T | None:
        """The declaration, once: None where it was taken before, or is not sound."""
        if path in self.found:
            return None
        self.found.add(path)
        document, mistakes = read_yaml(self._label + path, self._files[path].data)
        value, more = (None, []) if document.value is None and mistakes else decode(document, kind)
        self.diagnostics += [*mistakes, *more]
        return None if mistakes else value

    def _named(self, root: str, folder: str, kind: str, name: str) -> str | None:
        """The file that declares the name."""
        paths = self._index(root, folder, kind).get(name, [])
        if len(paths) > 1:
            first, second = self._document(paths[0]), self._document(paths[1])
            self.diagnostics.append(
                Diagnostic(
                    code="name-clash",
                    message=f"the {kind} `{name}` is declared twice",
                    location=second.locate(kind),
                    related=(Related(message=f"`{name}` is declared here first", location=first.locate(kind)),),
                    hint="rename one of them there, or name another commit",
                )
            )
        return paths[0] if paths else None

    def _index(self, root: str, folder: str, kind: str) -> dict[str, list[str]]:
        """Declared name -> files, of those that can be read as far as that."""
        key = (root, folder)
        if key not in self._indexes:
            index: dict[str, list[str]] = {}
            for path in self._declarations(root, folder):
                name = self._name(path, kind)
                if name:
                    index.setdefault(name, []).append(path)
            self._indexes[key] = index
        return self._indexes[key]

    def _declarations(self, root: str, folder: str) -> Iterator[str]:
        prefix = f"{root}{folder}/"
        return (path for path in self._files if _lies_in(path, prefix) and path.endswith(".yaml"))

    def _name(self, path: str, kind: str) -> str:
        value: Any = self._document(path).value
        name = value.get(kind) if isinstance(value, dict) else None
        return name if isinstance(name, str) else ""

    def _document(self, path: str) -> Document:
        if path not in self._documents:
            self._documents[path] = read_yaml(self._label + path, self._files[path].data)[0]
        return self._documents[path]

    def _miss(self, path: str, diagnostic: Diagnostic) -> None:
        """Something isn't there: because it was refused, or a folder on the way was, or because nobody wrote it."""
        self.diagnostics.append(diagnostic)
        ways = {path, *(path[:at] for at, character in enumerate(path) if character == "/")}
        self.diagnostics += [why for at, why in self._refused.items() if at in ways]


def _lies_in(path: str, prefix: str) -> bool:
    """Directly in the folder, and not hidden as editors' files are."""
    rest = path.removeprefix(prefix)
    return path.startswith(prefix) and "/" not in rest and not rest.startswith(".")


def _unknown(use: str, place: Location, known: Sequence[str]) -> Diagnostic:
    is_module = use.startswith(f"{MODULES}/")
    return Diagnostic(
        code="unknown-module" if is_module else "unknown-blueprint",
        message=f"there is no {'module' if is_module else 'blueprint'} `{use[:80]}` there",
        location=place,
        hint=did_you_mean(use, known),
    )
