"""Pass 3: names to what they name: the environment, its fleet, what each step uses."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import msgspec

from gitopsd.compiler.checks.blueprint import check_blueprint
from gitopsd.compiler.checks.fleet import check_fleet
from gitopsd.compiler.checks.module import check_module
from gitopsd.compiler.declarations.mistakes import first_mistakes
from gitopsd.compiler.environment import choose_environment
from gitopsd.compiler.expressions.texts import has_expression
from gitopsd.compiler.load import ENVIRONMENTS_FILE, OWN, missing_path
from gitopsd.compiler.loops import first_loop
from gitopsd.compiler.parameters import not_evaluated, parameter_mistakes
from gitopsd.compiler.parse import Declared, Library, Outline, Parsed, standard_blueprints
from gitopsd.compiler.yaml.reader import Document
from gitopsd.model.blueprint import Blueprint
from gitopsd.model.diagnostic import Diagnostic, Location, Related
from gitopsd.model.environments import Environment, artifact_branch
from gitopsd.model.fleet import Fleet
from gitopsd.model.memory import Memory, memory_key
from gitopsd.model.names import did_you_mean
from gitopsd.model.system import Origin
from gitopsd.model.vendor import VENDOR_FOLDER
from gitopsd.model.workflow import InnerStep, Module, Step, Workflow

T = TypeVar("T")


class Sound(msgspec.Struct, frozen=True):
    """Remembered of a file in which linking found no mistake."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What a `use:` names: a blueprint or a module, and the library that its own names are looked up in."""

    library: str
    declared: Declared[Blueprint] | Declared[Module]
    is_module: bool


@dataclass(frozen=True, kw_only=True)
class Linked:
    """The declarations that one environment uses."""

    name: str
    environment: Environment
    environments_document: Document
    fleet: Declared[Fleet]
    workflows: Mapping[str, Declared[Workflow]]
    libraries: Mapping[str, Library]
    outlines: Mapping[str, Outline]
    documents: Mapping[str, Declared[Any]]
    _used: dict[tuple[str, str], Used | None] = field(default_factory=dict)

    @property
    def groups(self) -> tuple[str, ...]:
        """The worker groups of the environment's fleet."""
        return self.outlines[self.fleet.path].groups

    def find(self, use: str, library: str) -> Used | None:
        """What a `use:` inside the library names; None where it names nothing."""
        key = (use, library)
        if key not in self._used:
            self._used[key] = _find(self.libraries, use, library)
        return self._used[key]

    def locate(self, origin: Origin, *way: str | int) -> Location:
        """The place of a value below where a step or channel is declared."""
        return self.documents[origin.path].document.locate(*origin.pointer, *way)

    def locate_key(self, origin: Origin, *way: str | int) -> Location:
        """Of a key of a workflow or module, or of gitopsd.yaml."""
        is_of_environment = origin.path == ENVIRONMENTS_FILE
        document = self.environments_document if is_of_environment else self.documents[origin.path].document
        return document.locate_key(*origin.pointer, *way)


def link(parsed: Parsed, environment: str | None, memory: Memory) -> tuple[Linked | None, list[Diagnostic]]:
    """`environment` may be None where the repository has only one."""
    diagnostics = [
        *_check_branches(parsed),
        *_check_uses(parsed),
        *_check_cycles(parsed),
        *_check_files(parsed, memory),
    ]
    chosen, mistakes = choose_environment(parsed.environments.value, lambda: parsed.environments.document, environment)
    diagnostics += mistakes
    if chosen is None:
        return None, diagnostics
    declared = parsed.environments.value.environments[chosen]
    document = parsed.environments.document
    if declared.fleet not in parsed.fleets:
        place = document.locate("environments", chosen, "fleet")
        diagnostics.append(missing_path("the fleet file", declared.fleet, place, parsed.fleets))
        return None, diagnostics
    diagnostics += _check_environment_params(parsed, chosen)
    return Linked(
        name=chosen,
        environment=declared,
        environments_document=document,
        fleet=parsed.fleets[declared.fleet],
        workflows=parsed.workflows,
        libraries=parsed.libraries,
        outlines=parsed.outlines,
        documents=_by_path(parsed),
    ), diagnostics


def _find(libraries: Mapping[str, Library], use: str, library: str) -> Used | None:
    kind, _, name = use.rpartition("/")
    own = libraries.get(library)
    if kind == "std":
        blueprint = standard_blueprints().get(use)
        return Used(library=OWN, declared=blueprint, is_module=False) if blueprint else None
    if kind == "blueprints" and own and name in own.blueprints:
        return Used(library=library, declared=own.blueprints[name], is_module=False)
    if kind.startswith(VENDOR_FOLDER) and kind.count("/") == 2:
        library, kind = f"{library}{kind}/", "modules"
        own = libraries.get(library)
    if kind == "modules" and own and name in own.modules:
        return Used(library=library, declared=own.modules[name], is_module=True)
    return None


def _known_uses(libraries: Mapping[str, Library], library: str) -> list[str]:
    """All that a `use:` inside the library may be."""
    own = libraries[library]
    below = f"{library}{VENDOR_FOLDER}"
    return [
        *standard_blueprints(),
        *(f"blueprints/{name}" for name in own.blueprints),
        *(f"modules/{name}" for name in own.modules),
        *(
            f"{VENDOR_FOLDER}{folder.removeprefix(below)}{name}"
            for folder, other in libraries.items()
            if folder.startswith(below) and folder.removeprefix(below).count("/") == 1
            for name in other.modules
        ),
    ]


def _users(parsed: Parsed) -> Iterator[tuple[str, Declared[Workflow] | Declared[Module]]]:
    """Everything that has steps, with the library that it is in."""
    for workflow in parsed.workflows.values():
        yield OWN, workflow
    for folder, library in parsed.libraries.items():
        for module in library.modules.values():
            yield folder, module


def _by_path(parsed: Parsed) -> dict[str, Declared[Any]]:
    found: list[Declared[Any]] = [parsed.environments, *parsed.workflows.values(), *parsed.fleets.values()]
    for library in parsed.libraries.values():
        found += [*library.modules.values(), *library.blueprints.values()]
    return {declared.path: declared for declared in (*found, *standard_blueprints().values())}


def _check_branches(parsed: Parsed) -> Iterator[Diagnostic]:
    """Each environment has an artifact branch of its own; Git can't hold `a` beside `a/b` either."""
    owners: dict[str, str] = {}
    for name, environment in sorted(parsed.environments.value.environments.items()):
        branch = artifact_branch(name, environment)
        for other, owner in owners.items():
            if f"{branch}/".startswith(f"{other}/") or other.startswith(f"{branch}/"):
                document = parsed.environments.document
                first = document.locate_key("environments", owner, "artifacts")
                yield Diagnostic(
                    code="branch-clash",
                    message=f"the artifact branch `{branch}` of `{name}` clashes with `{other}` of `{owner}`",
                    location=document.locate_key("environments", name, "artifacts"),
                    related=(Related(message=f"`{owner}` is declared here", location=first),),
                    hint=f"write `artifacts: rendered/{name}`",
                )
        owners[branch] = name


def _check_uses(parsed: Parsed) -> Iterator[Diagnostic]:
    for library, user in _users(parsed):
        outline = parsed.outlines[user.path]
        unknown = {use for use in outline.uses if _find(parsed.libraries, use, library) is None}
        if not unknown:
            continue
        known = _known_uses(parsed.libraries, library)
        steps: Mapping[str, Step | InnerStep] = user.value.steps
        wrong = (name for name, step in steps.items() if step.use in unknown)
        yield from first_mistakes(_unknown_use(user.document, name, steps[name].use, known) for name in wrong)


def _unknown_use(document: Document, step: str, use: str, known: Sequence[str]) -> Diagnostic:
    is_module = use.startswith("modules/")
    return Diagnostic(
        code="unknown-module" if is_module else "unknown-blueprint",
        message=f"there is no {'module' if is_module else 'blueprint'} `{use[:80]}`",
        location=document.locate("steps", step, "use"),
        hint=did_you_mean(use, known),
    )


def _check_cycles(parsed: Parsed) -> Iterator[Diagnostic]:
    """A module that comes to use itself; the whole way is named."""
    modules = {
        module.path: (folder, module)
        for folder, library in parsed.libraries.items()
        for module in library.modules.values()
    }
    onward: dict[str, list[str]] = {}
    for path, (library, _) in modules.items():
        found = (_find(parsed.libraries, use, library) for use in parsed.outlines[path].uses)
        onward[path] = sorted({used.declared.path for used in found if used and used.is_module})
    loop = first_loop(onward)
    if loop:
        library, module = modules[loop[0]]
        step = next(
            name
            for name, step in module.value.steps.items()
            if (used := _find(parsed.libraries, step.use, library)) and used.declared.path == loop[1]
        )
        yield Diagnostic(
            code="module-cycle",
            message=f"modules use each other in a circle: {' → '.join(path.removesuffix('.yaml') for path in loop)}",
            location=module.document.locate("steps", step, "use"),
            hint="a module can't be a part of itself: take one of these uses out",
        )


def _check_files(parsed: Parsed, memory: Memory) -> Iterator[Diagnostic]:
    """What can be wrong with a file by itself, whether it is used or not. One that was sound before still is."""
    for workflow in parsed.workflows.values():
        yield from _remembered(
            memory, "workflow", workflow, (), lambda one: parameter_mistakes(one.value.params, one.document)
        )
    for fleet in parsed.fleets.values():
        yield from _remembered(memory, "fleet", fleet, (), check_fleet)
    for library in parsed.libraries.values():
        for module in library.modules.values():
            yield from _remembered(memory, "module", module, (), check_module)
        for blueprint in library.blueprints.values():
            ships = [path for path in parsed.outlines[blueprint.path].ships if path in library.shipped]
            check = partial(check_blueprint, shipped=library.shipped)
            yield from _remembered(memory, "blueprint", blueprint, ships, check)


def _remembered(
    memory: Memory,
    kind: str,
    declared: Declared[T],
    others: Sequence[str],
    check: Callable[[Declared[T]], Iterable[Diagnostic]],
) -> list[Diagnostic]:
    key = memory_key("sound", kind, declared.content.blob, others)
    if memory.recall(key, Sound) is not None:
        return []
    found = list(check(declared))
    if not found:
        memory.keep(key, Sound())
    return found


def _check_environment_params(parsed: Parsed, environment: str) -> Iterator[Diagnostic]:
    """Values that an environment gives to a workflow or parameter that isn't there."""
    for workflow, values in parsed.environments.value.environments[environment].params.items():
        document = parsed.environments.document
        way = ("environments", environment, "params", workflow)
        if workflow not in parsed.workflows:
            yield Diagnostic(
                code="unknown-workflow",
                message=f"there is no workflow `{workflow}`",
                location=document.locate_key(*way),
                hint=did_you_mean(workflow, parsed.workflows),
            )
            continue
        declared = parsed.workflows[workflow].value.params
        for name, value in values.items():
            if name not in declared:
                yield unknown_parameter(f"workflow `{workflow}`", name, declared, document.locate_key(*way, name))
            elif has_expression(value):
                yield not_evaluated(f"`{name}`", document, *way, name)


def unknown_parameter(owner: str, name: str, known: Mapping[str, object], location: Location) -> Diagnostic:
    return Diagnostic(
        code="unknown-parameter",
        message=f"{owner} has no parameter `{name[:80]}`",
        location=location,
        hint=did_you_mean(name, known) or "remove it: there are none",
    )
