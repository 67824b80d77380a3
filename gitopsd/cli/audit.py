from collections.abc import Sequence

import click
import msgspec

from gitopsd.cli.failure import print_json
from gitopsd.cli.session import Session
from gitopsd.cli.tables import print_table
from gitopsd.daemon.planning.deployed import open_deployed
from gitopsd.daemon.trust.audit import AuditedCommit, audit
from gitopsd.model.excerpt import printable

_DIFFERS = 1
_UNKNOWN = 2
_WORDS = {
    "equal": "equal",
    "differs": "DIFFERS",
    "other-renderer": "not known: another version rendered it",
    "no-source": "not known: its source is missing",
}


@click.command("audit")
@click.argument("deployments", metavar="[DEPLOYMENT]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="Every commit of the artifact branch.")
@click.option("--json", "as_json", is_flag=True, help="What was found of each as JSON.")
@click.pass_obj
def audit_command(session: Session, deployments: tuple[str, ...], *, everything: bool, as_json: bool) -> int:
    """Make deployments again from their source, and say where what is committed differs. Reaches no worker.

    By default the newest one, and the records that were committed since. Exit code 0: all are equal; 1: one differs;
    2: none differs, and of some it can't be known here.
    """
    if deployments and everything:
        raise click.UsageError("name deployments, or say --all")
    workspace = session.workspace()
    found = list(audit(workspace, open_deployed(workspace), deployments, everything=everything))
    if as_json:
        print_json([msgspec.to_builtins(one) for one in found])
    elif not found:
        click.echo("nothing was deployed yet: `gitopsd apply` deploys")
    else:
        _show(found)
    findings = {one.finding for one in found}
    return _DIFFERS if "differs" in findings else _UNKNOWN if findings - {"equal"} else 0


def _show(found: Sequence[AuditedCommit]) -> None:
    print_table(
        ["DEPLOYMENT", "COMMIT", "SOURCE", "FINDING", "SIGNED BY", "SUBJECT"],
        [
            [
                str(one.deployment or "-"),
                one.commit[:12],
                one.source_commit[:7] or "-",
                _WORDS[one.finding],
                one.signed_by or "-",
                one.subject,
            ]
            for one in found
        ],
    )
    for one in found:
        if one.finding != "equal":
            paths = f": {', '.join(one.paths)}" if one.paths else ""
            signature = one.signature or f"is signed by {one.signed_by}"
            click.echo()
            click.echo(printable(f"commit {one.commit[:12]} by {one.committer} {one.why}{paths}; it {signature}"))
            click.echo(one.diff, nl=False)
