from pathlib import Path

import click

from gitopsd.cli.plan_file import read_plan
from gitopsd.cli.session import Session
from gitopsd.cli.write_aside import write_aside
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.planning.plan import Planned, plan_version
from gitopsd.model.names import did_you_mean
from gitopsd.model.plan import JobChange
from gitopsd.planner.graph.draw import Graph, draw_graph, workflow_of


@click.command()
@click.argument("workflow", metavar="[WORKFLOW]", required=False)
@click.option("--rev", "revision", metavar="REV", help="The version to draw; by default the work tree as it is.")
@click.option("--format", "style", type=click.Choice(["mermaid", "svg"]), default="mermaid", show_default=True)
@click.option("--plan", "planned", is_flag=True, help="Show what applying the version would do to each step.")
@click.option(
    "--plan-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Show what the plan in FILE would do, as `plan --out FILE` wrote it.",
)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="Write the picture to FILE.")
@click.pass_obj
def graph(
    session: Session,
    workflow: str | None,
    revision: str | None,
    style: str,
    *,
    planned: bool,
    plan_file: Path | None,
    out: Path | None,
) -> int:
    """Draw a workflow, or all of them: steps, channels with their transports, and where each step runs.

    Mermaid goes into Markdown between ```mermaid and ```; SVG is a picture of its own.
    """
    read = read_plan(str(plan_file)) if plan_file else None
    workspace = session.workspace()
    found = plan_version(workspace, workspace.source(revision or (read.inputs.source_commit if read else None)))
    if read and read.inputs.source_tree != found.plan.inputs.source_tree:
        raise ControllerError(f"{plan_file} is a plan of another version", "leave out --rev, or plan that version")
    plan = read or (found.plan if planned else None)
    drawn = _drawn(found, workflow, plan.changes if plan else None)
    if style == "svg":
        from gitopsd.planner.graph.svg import svg_text  # noqa: PLC0415 - only for those who ask for it

        text = svg_text(drawn)
    else:
        from gitopsd.planner.graph.mermaid import mermaid_text  # noqa: PLC0415

        text = mermaid_text(drawn)
    if out is None:
        click.echo(text, nl=False)
    else:
        write_aside(out, text.encode())
    return 0


def _drawn(found: Planned, workflow: str | None, changes: tuple[JobChange, ...] | None) -> Graph:
    systems = [flow.system for flow in found.flows if workflow in {None, flow.name}]
    if workflow is not None:
        known = {flow.name for flow in found.flows} | {workflow_of(change) for change in changes or ()}
        if workflow not in known:
            raise ControllerError(f"there is no workflow `{workflow}`", did_you_mean(workflow, known))
        changes = changes and tuple(change for change in changes if workflow_of(change) == workflow)
    rendering = found.rendering
    placed = rendering.placement
    schedules = rendering.schedules(workflow)
    return draw_graph(rendering.environment, systems, placed, rendering.adapters, changes, schedules=schedules)
