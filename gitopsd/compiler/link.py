"""Pass 3: names to what they name: the environment, its fleet, each step's blueprint."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from gitopsd.compiler.blueprint_check import check_blueprint
from gitopsd.compiler.environment import choose_environment
from gitopsd.compiler.expressions import has_expression
from gitopsd.compiler.fleet_check import check_fleet
from gitopsd.compiler.load import missing_path
from gitopsd.compiler.parameters import not_evaluated, parameter_mistakes
from gitopsd.compiler.parse import Declared, Parsed
from gitopsd.compiler.yaml_reader import Document
from gitopsd.model.blueprint import Blueprint
from gitopsd.model.diagnostic import Diagnostic, Location, Related
from gitopsd.model.environments import Environment, artifact_branch
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
    diagnostics = [
        *_check_branches(parsed),
        *_check_uses(parsed),
        *(found for workflow in parsed.workflows.values() for found in _check_params(workflow)),
        *(found for own in parsed.own_blueprints for found in check_blueprint(own, parsed.shipped)),
        *(found for fleet in parsed.fleets.values() for found in check_fleet(fleet)),
    ]
    chosen, mistakes = choose_environment(parsed.environments, environment)
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
        blueprints=parsed.blueprints,
        shipped=parsed.shipped,
    ), diagnostics


def _check_branches(parsed: Parsed) -> Iterator[Diagnostic]:
    """Each environment has an artifact branch of its own; Git can't hold `a` beside `a/b` either."""
    document = parsed.environments.document
    owners: dict[str, str] = {}
    for name, environment in sorted(parsed.environments.value.environments.items()):
        branch = artifact_branch(name, environment)
        for other, owner in owners.items():
            if f"{branch}/".startswith(f"{other}/") or other.startswith(f"{branch}/"):
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
    for workflow in parsed.workflows.values():
        for name, step in workflow.value.steps.items():
            if step.use not in parsed.blueprints:
                yield Diagnostic(
                    code="unknown-blueprint",
                    message=f"there is no blueprint `{step.use[:80]}`",
                    location=workflow.document.locate("steps", name, "use"),
                    hint=did_you_mean(step.use, parsed.blueprints),
                )


def _check_params(workflow: Declared[Workflow]) -> Iterator[Diagnostic]:
    return parameter_mistakes(workflow.value.params, workflow.document)


def _check_environment_params(parsed: Parsed, environment: str) -> Iterator[Diagnostic]:
    """Values that an environment gives to a workflow or parameter that isn't there."""
    document = parsed.environments.document
    for workflow, values in parsed.environments.value.environments[environment].params.items():
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
