import click
import msgspec

from gitopsd.cli.failure import print_json, show_diagnostics
from gitopsd.cli.plan_text import format_plan
from gitopsd.cli.session import Session
from gitopsd.daemon.configuration.configuration import policy_of
from gitopsd.daemon.reverting.rollback import carry_out, prepare_rollback
from gitopsd.model.excerpt import printable
from gitopsd.repo.source import FileContents


@click.command()
@click.argument("deployment", required=False)
@click.option("--workflow", metavar="NAME", help="Only this workflow, and what it alone is made of.")
@click.option("--all-environments", is_flag=True, help="Also those that share the branch and have no pin.")
@click.option("--dry-run", is_flag=True, help="Show the plan, and leave the source branch as it is.")
@click.option("--json", "as_json", is_flag=True, help="The commit and its plan as JSON.")
@click.pass_obj
def rollback(
    session: Session,
    deployment: str | None,
    *,
    workflow: str | None,
    all_environments: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Write and push one commit that returns to a DEPLOYMENT, by default the one before.

    It restores workflows, modules, blueprints and files, never fleets; in a pinned environment it moves the pin. No
    worker is touched: whatever deploys the source branch deploys this commit. Where `policy.rollback` is
    `pull-request` it is proposed to the branch, and deployed once that is merged.
    """
    workspace = session.workspace()
    prepared = prepare_rollback(workspace, deployment, workflow=workflow, all_environments=all_environments)
    proposes = policy_of(workspace.configuration).rollback == "pull-request"
    proposed = None
    if proposes and not dry_run:
        from gitopsd.daemon.reverting.proposing import propose  # noqa: PLC0415 - HTTP, where policy wants it

        proposed = propose(workspace, prepared)
    if not dry_run and proposed is None:
        carry_out(workspace, prepared)
    if as_json:
        print_json(
            {
                "deployment": prepared.deployment,
                "branch": prepared.branch.name,
                "commit": prepared.commit,
                "pin": prepared.pin,
                "left": list(prepared.left),
                "written": not dry_run,
                "pull_request": proposed.number if proposed else None,
                "url": proposed.url if proposed else "",
                "plan": msgspec.to_builtins(prepared.planned.plan),
            }
        )
        return 0
    if prepared.planned.diagnostics:
        show_diagnostics(prepared.planned.diagnostics, FileContents(prepared.planned.source.files))
    click.echo(format_plan(prepared.planned.plan))
    how = f"the pin becomes {prepared.pin[:12]}" if prepared.pin else "its files return"
    if prepared.left and not prepared.pin:
        names = " and ".join(prepared.left)
        click.echo(
            f"Not as it was then, and not restored: {names}; "
            f"`git diff {prepared.restored[:12]} -- {' '.join(prepared.left)}` shows it."
        )
    if proposed is not None:
        click.echo(
            f"Pull request {proposed.number} returns to deployment {prepared.deployment} once it is merged ({how}): "
            f"{printable(proposed.url)}"
        )
    elif dry_run:
        click.echo(f"Nothing was written: without --dry-run {how} in a commit on {prepared.branch.name}.")
    else:
        pushed = " It is pushed: a controller deploys it by itself; else" if workspace.remote else ""
        click.echo(
            f"{prepared.branch.name} is at {prepared.commit[:12]}: return to deployment {prepared.deployment} ({how})."
            f"{pushed} `gitopsd apply` deploys it."
        )
    return 0
