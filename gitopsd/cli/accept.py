import click
import msgspec

from gitopsd.cli.decision_options import checked_reason, with_json, with_reason
from gitopsd.cli.failure import print_json
from gitopsd.cli.session import Session
from gitopsd.daemon.trust.accepting import accept_history
from gitopsd.model.excerpt import printable


@click.command()
@click.argument("commit", required=False)
@with_reason
@with_json
@click.pass_obj
def accept(session: Session, commit: str | None, reason: str, *, as_json: bool) -> int:
    """Accept that the source branch's history was rewritten: COMMIT, by default its head, and what follows it deploys.

    It counts once: what is rewritten after it was deployed needs to be accepted again.
    """
    done = accept_history(session.workspace(), commit, reason=checked_reason(reason))
    if as_json:
        accepted = msgspec.to_builtins(done.accepted)
        print_json({"environment": done.environment, "accepted": accepted, "commit": done.commit or None})
        return 0
    committed = f"committed as {done.commit[:12]}" if done.commit else "as before: there is nothing to commit"
    said = f"commit {done.accepted.commit[:12]} is accepted by {done.accepted.owner}: {done.accepted.reason}"
    click.echo(printable(f"{done.environment}: {said} ({committed})"))
    return 0
