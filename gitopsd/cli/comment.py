import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gitopsd.cli import exit_codes
from gitopsd.cli.session import Session
from gitopsd.cli.write_aside import write_aside
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.pull_requests.exchange import Limits, Links, Outcome
from gitopsd.daemon.pull_requests.outcomes import outcomes_of
from gitopsd.daemon.workspace import Workspace
from gitopsd.forge.ci import CiRun, read_ci
from gitopsd.forge.errors import ForgeRefusedError
from gitopsd.forge.pages import file_page
from gitopsd.model.secret import SecretValue
from gitopsd.repo.remote import fetch
from gitopsd.repo.revision import default_branch, resolve_commit

if TYPE_CHECKING:
    from gitopsd.forge.forge import Forge

_LONGEST = 200_000
"""Bytes: some forges take more, and nobody reads it."""


@click.command()
@click.option("--head", metavar="REV", help="What is to be merged; by default what CI says, else what is checked out.")
@click.option("--base", metavar="REV", help="Where it is to go; by default what CI says, else the source branch.")
@click.option("--pull-request", "number", type=click.IntRange(min=1), help="Its number; by default what CI says.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Also write what is shown to FILE.")
@click.option("--dry-run", is_flag=True, help="Print all of it, and write nothing to the forge.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit with 2 when there are changes.")
@click.pass_obj
def comment(
    session: Session,
    head: str | None,
    base: str | None,
    number: int | None,
    output: Path | None,
    *,
    dry_run: bool,
    detailed_exitcode: bool,
) -> int:
    """In CI, show on a pull request what merging it would do: a comment and a status for each environment.

    It is planned as merged, in a process that runs nothing of it and knows no token. Exit code 0: planned; 1: one
    doesn't compile or can't be merged, or the forge refused; with --detailed-exitcode 2: there are changes.
    """
    ci = read_ci(os.environ)
    forge = None if dry_run else _forge(ci, number)
    workspace = session.workspace()
    head_commit = resolve_commit(workspace.repository, head or (ci.head if ci else "") or "HEAD")
    base_commit = _base(workspace, base, ci)
    found = outcomes_of(
        workspace,
        head_commit,
        base_commit,
        environments=[session.environment] if session.environment else [],
        links=_links(ci, head_commit),
        limits=Limits(comment=min(forge.comment_limit, _LONGEST) if forge else None),
    )
    text = "\n".join(outcome.comment for outcome in found)
    if output is not None:
        write_aside(output, text.encode())
    if forge is None:
        click.echo(text, nl=False)
    else:
        _write(forge, ci, number or (ci.number if ci else 0), head_commit, found)
    if any(outcome.state != "planned" for outcome in found):
        return exit_codes.FAILED
    return exit_codes.CHANGES if detailed_exitcode and any(outcome.changes for outcome in found) else exit_codes.OK


def _forge(ci: CiRun | None, number: int | None) -> "Forge":
    from gitopsd.forge.connect import connect  # noqa: PLC0415 - not for a dry run

    if ci is None:
        raise ControllerError(
            "this is no job of CI on GitHub, GitLab, Gitea or Forgejo", "`gitopsd comment --dry-run` prints the comment"
        )
    if not (number or ci.number):
        raise ControllerError("this job runs for no pull request", "name one with --pull-request, or use --dry-run")
    variable = ci.token
    if not variable:
        raise ControllerError(
            "there is no token in the environment of this job",
            "give it GITHUB_TOKEN, GITLAB_TOKEN, GITEA_TOKEN or FORGEJO_TOKEN: `gitopsd init` makes files that do",
        )
    token = SecretValue(os.environ[variable].encode())
    try:
        return connect(ci.kind, ci.repository, ci.url, lambda: token)
    except ValueError as error:
        raise ControllerError(f"what CI says of the forge can't be used: {error}") from None


def _base(workspace: Workspace, named: str | None, ci: CiRun | None) -> str:
    """The base branch as the remote has it now, where CI names it: it may have moved since the job began."""
    repository, remote = workspace.repository, workspace.remote
    if named is None and ci is not None and ci.base:
        if remote is None:
            return resolve_commit(repository, ci.base)
        tracking = f"refs/remotes/{remote.name}/{ci.base}"
        fetch(repository, remote, [f"+refs/heads/{ci.base}:{tracking}"])
        return repository.ref(tracking) or resolve_commit(repository, tracking)
    return resolve_commit(repository, named or workspace.configuration.source_branch or default_branch(repository))


def _links(ci: CiRun | None, head: str) -> Links:
    return Links(file=file_page(ci.kind, ci.url, ci.repository, head), rest=ci.page) if ci else Links()


def _write(forge: "Forge", ci: CiRun | None, number: int, head: str, found: tuple[Outcome, ...]) -> None:
    """The status comes last: whoever sees it finds the comment. A fork's job may read only, and that is no failure."""
    from gitopsd.daemon.pull_requests.status import plan_status  # noqa: PLC0415 - not for a dry run

    try:
        for outcome in found:
            wrote = forge.upsert_comment(number, outcome.marker, outcome.comment)
            forge.set_status(head, plan_status(outcome, ci.page if ci else ""))
            click.echo(
                f"{outcome.environment}: {outcome.description}; the comment {'is written' if wrote else 'stays'}"
            )
    except ForgeRefusedError as error:
        if ci is None or not ci.from_fork:
            raise
        click.echo(f"no comment: {error.message}: jobs of forks may only read", err=True)
    finally:
        forge.close()
