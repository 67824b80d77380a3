"""Pass 2: each YAML file becomes the declaration that it holds.

A file that was found to be sound before is known by its blob id: its outline is enough to link it, and its declaration
is decoded from memory, or read again, when a later pass asks for it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files as package_files
from typing import Any, Generic, TypeVar

from msgspec import Struct

from gitopsd.compiler.declarations.decode import decode
from gitopsd.compiler.from_file import files_named
from gitopsd.compiler.load import ENVIRONMENTS_FILE, LibraryFiles, Loaded
from gitopsd.compiler.yaml.reader import Document, read_yaml
from gitopsd.model.blueprint import Blueprint, ShippedFile
from gitopsd.model.diagnostic import Diagnostic, Location, Related
from gitopsd.model.environments import Environments
from gitopsd.model.fleet import Fleet
from gitopsd.model.memory import Forgetful, Memory, memory_key
from gitopsd.model.source import Content, Files, Text
from gitopsd.model.trees import object_id
from gitopsd.model.workflow import Module, Workflow

T = TypeVar("T")


MAX_WRONG_FILES = 20
MAX_WRONG_BYTES = 1 << 20
"""Once files with mistakes are as many, or together as large, no more are read: to say where each stands costs most."""


class Outline(Struct, frozen=True, array_like=True):
    """What linking needs of a sound file: its declared name, what its steps use, which files it ships.

    `groups` are the worker groups of a fleet file.
    """

    name: str
    uses: tuple[str, ...] = ()
    ships: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


class Declared(Generic[T]):
    """A declaration and the document that it was read from, each made when it is first asked for."""

    def __init__(self, path: str, content: Content, kind: type[T], memory: Memory) -> None:
        self.path = path
        self.content = content
        self._kind = kind
        self._memory = memory
        self._key = memory_key("declaration", kind.__name__, content.blob)
        self._document: Document | None = None
        self._value: T | None = None

    @property
    def document(self) -> Document:
        if self._document is None:
            self._document = read_yaml(self.path, self.content.data)[0]
        return self._document

    @property
    def value(self) -> T:
        """Only of a file that `read` found to be sound, in this process or before."""
        if self._value is None:
            self._value = self._memory.recall(self._key, self._kind)
        if self._value is None:
            mistakes = self.read()
            if mistakes or self._value is None:
                raise ValueError(f"{self.path} is not sound")
        return self._value

    def read(self) -> list[Diagnostic]:
        """Reads the file; gives what is wrong with it."""
        document, mistakes = read_yaml(self.path, self.content.data)
        self._document = document
        if mistakes and document.value is None:
            return mistakes  # said already why it can't be read
        value, more = decode(document, self._kind)
        if value is not None and not mistakes:
            self._value = value
            self._memory.keep(self._key, value)
        return [*mistakes, *more]


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """What `use:` can name, by declared name, and the files that its blueprints ship by path below its folder."""

    folder: str
    modules: Mapping[str, Declared[Module]] = field(default_factory=dict)
    blueprints: Mapping[str, Declared[Blueprint]] = field(default_factory=dict)
    shipped: Files = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """Every declaration of a source tree: fleets by path, libraries by folder, the others by name.

    `outlines` are by path.
    """

    environments: Declared[Environments]
    files: Files
    workflows: Mapping[str, Declared[Workflow]]
    libraries: Mapping[str, Library]
    fleets: Mapping[str, Declared[Fleet]]
    outlines: Mapping[str, Outline]


def parse(loaded: Loaded, memory: Memory) -> tuple[Parsed | None, list[Diagnostic]]:
    reader = _Reader(memory)
    environments = reader.declare(ENVIRONMENTS_FILE, loaded.environments, Environments, lambda _: Outline(""))
    workflows = reader.named(loaded.workflows, Workflow, "workflow", _workflow_outline)
    fleets = reader.declare_all(loaded.fleets, Fleet, lambda fleet: Outline("", groups=tuple(sorted(fleet.groups))))
    libraries = {folder: reader.library(folder, files) for folder, files in loaded.libraries.items()}
    if environments is None:
        return None, reader.diagnostics
    return Parsed(
        environments=environments,
        files=loaded.files,
        workflows=workflows,
        libraries=libraries,
        fleets=fleets,
        outlines=reader.outlines,
    ), reader.diagnostics


@cache
def standard_blueprints() -> Mapping[str, Declared[Blueprint]]:
    """The blueprints that ship with gitopsd, as `std/NAME`."""
    found: dict[str, Declared[Blueprint]] = {}
    for entry in package_files("gitopsd.compiler").joinpath("std").iterdir():
        if entry.name.endswith(".yaml"):
            name = f"std/{entry.name.removesuffix('.yaml')}"
            data = entry.read_bytes()
            found[name] = Declared(name, Text(blob=object_id("blob", data), data=data), Blueprint, Forgetful())
    return dict(sorted(found.items()))


class _Reader:
    """Reads declarations and gathers what is wrong with them."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.diagnostics: list[Diagnostic] = []
        self.outlines: dict[str, Outline] = {}
        self._wrong_files = 0
        self._wrong_bytes = 0
        self._has_stopped = False

    def library(self, folder: str, files: LibraryFiles) -> Library:
        return Library(
            folder=folder,
            modules=self.named(files.modules, Module, "module", _workflow_outline),
            blueprints=self.named(files.blueprints, Blueprint, "blueprint", _blueprint_outline),
            shipped=files.shipped,
        )

    def named(
        self, contents: Files, kind: type[T], key: str, outline: Callable[[T], Outline]
    ) -> dict[str, Declared[T]]:
        """By declared name; two files that declare one name clash."""
        found: dict[str, Declared[T]] = {}
        for path, one in self.declare_all(contents, kind, outline).items():
            name = self.outlines[path].name
            if name in found:
                first = Related(message=f"`{name}` is declared here first", location=found[name].document.locate(key))
                self.diagnostics.append(
                    Diagnostic(
                        code="name-clash",
                        message=f"the {key} `{name}` is declared twice",
                        location=one.document.locate(key),
                        related=(first,),
                        hint="rename one of them",
                    )
                )
            else:
                found[name] = one
        return found

    def declare_all(self, contents: Files, kind: type[T], outline: Callable[[T], Outline]) -> dict[str, Declared[T]]:
        declared = {path: self.declare(path, content, kind, outline) for path, content in contents.items()}
        return {path: one for path, one in declared.items() if one is not None}

    def declare(
        self, path: str, content: Content, kind: type[T], outline: Callable[[T], Outline]
    ) -> Declared[T] | None:
        declared = Declared(path, content, kind, self._memory)
        key = memory_key("outline", kind.__name__, content.blob)
        known = self._memory.recall(key, Outline)
        if known is None:
            too_large = self._wrong_files > 1 and self._wrong_bytes > MAX_WRONG_BYTES
            if too_large or self._wrong_files >= MAX_WRONG_FILES:
                self._leave_out(path)
                return None
            mistakes = declared.read()
            self.diagnostics += mistakes
            if mistakes:
                self._wrong_files += 1
                self._wrong_bytes += len(content.data)
                return None
            known = outline(declared.value)
            self._memory.keep(key, known)
        self.outlines[path] = known
        return declared

    def _leave_out(self, path: str) -> None:
        """A file that is new, after so many with mistakes; the first such file stands for all."""
        if not self._has_stopped:
            self._has_stopped = True
            self.diagnostics.append(
                Diagnostic(
                    code="more-mistakes",
                    message=f"there are mistakes in {self._wrong_files} files; this one and what follows were not read",
                    location=Location(path=path),
                    hint="mend those first",
                )
            )


def _workflow_outline(declared: Workflow | Module) -> Outline:
    steps: Iterable[Any] = declared.steps.values()
    name = declared.workflow if isinstance(declared, Workflow) else declared.module
    ships = {path for _, path in files_named(declared.steps.values())}
    return Outline(name, tuple(sorted({step.use for step in steps})), tuple(sorted(ships)))


def _blueprint_outline(declared: Blueprint) -> Outline:
    ships = {content.from_ for content in declared.job.files.values() if isinstance(content, ShippedFile)}
    return Outline(declared.blueprint, (), tuple(sorted(ships)))
