"""Pass 2: each YAML file becomes the declaration that it holds."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files as package_files
from typing import Any, Generic, TypeVar

from gitopsd.compiler.declaration import decode
from gitopsd.compiler.load import ENVIRONMENTS_FILE, Loaded
from gitopsd.compiler.yaml_reader import Document, read_yaml
from gitopsd.model.blueprint import Blueprint
from gitopsd.model.diagnostic import Diagnostic, Related
from gitopsd.model.environments import Environments
from gitopsd.model.fleet import Fleet
from gitopsd.model.workflow import Workflow

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declared(Generic[T]):
    """A declaration, and the document that it was read from."""

    value: T
    document: Document


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """Every declaration of a source tree: fleets by path, the others by name; blueprints as `use:` names them."""

    environments: Declared[Environments]
    workflows: Mapping[str, Declared[Workflow]]
    blueprints: Mapping[str, Declared[Blueprint]]
    fleets: Mapping[str, Declared[Fleet]]
    shipped: Mapping[str, bytes]

    @property
    def own_blueprints(self) -> list[Declared[Blueprint]]:
        """Those of the repository itself, without the ones that ship with gitopsd."""
        return [declared for use, declared in self.blueprints.items() if use.startswith("blueprints/")]


def parse(loaded: Loaded) -> tuple[Parsed | None, list[Diagnostic]]:
    diagnostics: list[Diagnostic] = []
    environments = _declare(ENVIRONMENTS_FILE, loaded.environments, Environments, diagnostics)
    workflows = _declare_all(loaded.declarations["workflows"], Workflow, diagnostics)
    blueprints = _declare_all(loaded.declarations["blueprints"], Blueprint, diagnostics)
    fleets = _declare_all(loaded.declarations["fleets"], Fleet, diagnostics)
    named_workflows = _by_name(workflows, "workflow", diagnostics)
    named_blueprints = _by_name(blueprints, "blueprint", diagnostics)
    if environments is None:
        return None, diagnostics
    own = {f"blueprints/{name}": declared for name, declared in named_blueprints.items()}
    return Parsed(
        environments=environments,
        workflows=named_workflows,
        blueprints={**standard_blueprints(), **own},
        fleets=fleets,
        shipped=loaded.shipped,
    ), diagnostics


@cache
def standard_blueprints() -> Mapping[str, Declared[Blueprint]]:
    """The blueprints that ship with gitopsd, as `std/NAME`."""
    found: dict[str, Declared[Blueprint]] = {}
    for entry in package_files("gitopsd.compiler").joinpath("std").iterdir():
        if entry.name.endswith(".yaml"):
            name = f"std/{entry.name.removesuffix('.yaml')}"
            document, mistakes = read_yaml(name, entry.read_bytes())
            value, more = decode(document, Blueprint)
            if value is None or mistakes:
                raise AssertionError(f"{name} ships broken: {[*mistakes, *more]}")
            found[name] = Declared(value=value, document=document)
    return dict(sorted(found.items()))


def _declare(path: str, content: bytes, kind: type[T], diagnostics: list[Diagnostic]) -> Declared[T] | None:
    document, mistakes = read_yaml(path, content)
    diagnostics += mistakes
    if mistakes and document.value is None:
        return None  # said already why it can't be read
    value, mistakes = decode(document, kind)
    diagnostics += mistakes
    return None if value is None else Declared(value=value, document=document)


def _declare_all(contents: Mapping[str, bytes], kind: type[T], diagnostics: list[Diagnostic]) -> dict[str, Declared[T]]:
    declared = {path: _declare(path, content, kind, diagnostics) for path, content in contents.items()}
    return {path: value for path, value in declared.items() if value is not None}


def _by_name(
    declared: Mapping[str, Declared[Any]], key: str, diagnostics: list[Diagnostic]
) -> dict[str, Declared[Any]]:
    """By declared name; two files that declare one name clash."""
    named: dict[str, Declared[Any]] = {}
    for one in declared.values():
        name = getattr(one.value, key)
        if name in named:
            first = Related(message=f"`{name}` is declared here first", location=named[name].document.locate(key))
            diagnostics.append(
                Diagnostic(
                    code="name-clash",
                    message=f"the {key} `{name}` is declared twice",
                    location=one.document.locate(key),
                    related=(first,),
                    hint="rename one of them",
                )
            )
        else:
            named[name] = one
    return named
