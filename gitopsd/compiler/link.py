"""Pass 3: names to what they name: the environment, its fleet, each step's blueprint."""

from collections.abc import Mapping
from dataclasses import dataclass

from gitopsd.compiler.fleet_check import check_fleet
from gitopsd.compiler.load import missing_path
from gitopsd.compiler.parse import Declared, Parsed
from gitopsd.compiler.yaml_reader import Document
from gitopsd.model.blueprint import Blueprint, ShippedFile
from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.environments import Environment
from gitopsd.model.fleet import Fleet
from gitopsd.model.names import did_you_mean
from gitopsd.model.workflow import Workflow


@dataclass(frozen=True, slots=True, kw_only=True)
class Linked:
    """The declarations that one environment uses."""

    name: str
    environment: Environment
    environments_document: Document
    fleet: Declared[Fleet]
    workflows: Mapping[str, Declared[Workflow]]
    blueprints: Mapping[str, Declared[Blueprint]]
    shipped: Mapping[str, bytes]


def link(parsed: Parsed, environment: str | None) -> tuple[Linked | None, list[Diagnostic]]:
    """`environment` may be None where the repository has only one."""
    diagnostics: list[Diagnostic] = []
    chosen = _choose_environment(parsed, environment, diagnostics)
    diagnostics += _check_uses(parsed)
    diagnostics += _check_shipped_files(parsed)
    for fleet in parsed.fleets.values():
        diagnostics += check_fleet(fleet)
    if chosen is None:
        return None, diagnostics
    declared = parsed.environments.value.environments[chosen]
    document = parsed.environments.document
    fleet_path = declared.fleet
    if fleet_path not in parsed.fleets:
        place = document.locate("environments", chosen, "fleet")
        diagnostics.append(missing_path("the fleet file", fleet_path, place, dict.fromkeys(parsed.fleets, b"")))
        return None, diagnostics
    diagnostics += _check_environment_params(parsed, chosen)
    return Linked(
        name=chosen,
        environment=declared,
        environments_document=document,
        fleet=parsed.fleets[fleet_path],
        workflows=parsed.workflows,
        blueprints=parsed.blueprints,
        shipped=parsed.shipped,
    ), diagnostics


def _choose_environment(parsed: Parsed, wanted: str | None, diagnostics: list[Diagnostic]) -> str | None:
    known = parsed.environments.value.environments
    document = parsed.environments.document
    if wanted is None and len(known) == 1:
        return next(iter(known))
    if wanted is None:
        names = ", ".join(f"`{name}`" for name in known)
        diagnostics.append(
            Diagnostic(
                code="which-environment",
                message=f"the repository has several environments: {names}",
                location=document.locate_key("environments"),
                hint="choose one with --env NAME",
            )
        )
        return None
    if wanted not in known:
        diagnostics.append(
            Diagnostic(
                code="unknown-environment",
                message=f"there is no environment `{wanted}`",
                location=document.locate_key("environments"),
                hint=did_you_mean(wanted, known),
            )
        )
        return None
    return wanted


def _check_uses(parsed: Parsed) -> list[Diagnostic]:
    diagnostics: list[Diagnostic] = []
    for workflow in parsed.workflows.values():
        for name, step in workflow.value.steps.items():
            if step.use not in parsed.blueprints:
                diagnostics.append(
                    Diagnostic(
                        code="unknown-blueprint",
                        message=f"there is no blueprint `{step.use}`",
                        location=workflow.document.locate("steps", name, "use"),
                        hint=did_you_mean(step.use, parsed.blueprints),
                    )
                )
    return diagnostics


def _check_shipped_files(parsed: Parsed) -> list[Diagnostic]:
    diagnostics: list[Diagnostic] = []
    for use, blueprint in parsed.blueprints.items():
        if use.startswith("std/"):
            continue
        for name, content in blueprint.value.job.files.items():
            place = blueprint.document.locate("job", "files", name)
            if not _is_relative_path(name):
                diagnostics.append(path_outside(name, blueprint.document.locate_key("job", "files", name)))
            if not isinstance(content, ShippedFile):
                continue
            source = blueprint.document.locate("job", "files", name, "from")
            if not _is_relative_path(content.from_):
                diagnostics.append(path_outside(content.from_, source))
            elif content.from_ not in parsed.shipped:
                diagnostics.append(missing_path("the file", content.from_, source or place, parsed.shipped))
    return diagnostics


def _is_relative_path(path: str) -> bool:
    """Whether the path stays below the directory that it starts in."""
    parts = path.split("/")
    return bool(path) and not any(part in {"", ".", ".."} for part in parts) and path.isprintable() and "\\" not in path


def path_outside(path: str, location: Location) -> Diagnostic:
    return Diagnostic(
        code="path-outside",
        message=f"the path `{path}` leaves its directory",
        location=location,
        hint="use a relative path without `.` or `..` parts",
    )


def _check_environment_params(parsed: Parsed, environment: str) -> list[Diagnostic]:
    """Values that an environment gives to a workflow or parameter that isn't there."""
    diagnostics: list[Diagnostic] = []
    document = parsed.environments.document
    for workflow, values in parsed.environments.value.environments[environment].params.items():
        way = ("environments", environment, "params", workflow)
        if workflow not in parsed.workflows:
            diagnostics.append(
                Diagnostic(
                    code="unknown-workflow",
                    message=f"there is no workflow `{workflow}`",
                    location=document.locate_key(*way),
                    hint=did_you_mean(workflow, parsed.workflows),
                )
            )
            continue
        declared = parsed.workflows[workflow].value.params
        diagnostics += [
            unknown_parameter(f"workflow `{workflow}`", name, declared, document.locate_key(*way, name))
            for name in values
            if name not in declared
        ]
    return diagnostics


def unknown_parameter(owner: str, name: str, known: Mapping[str, object], location: Location) -> Diagnostic:
    return Diagnostic(
        code="unknown-parameter",
        message=f"{owner} has no parameter `{name}`",
        location=location,
        hint=did_you_mean(name, known),
    )
