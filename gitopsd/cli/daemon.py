import logging
import sys

import click

from gitopsd.cli.session import Session


@click.command()
@click.pass_obj
def daemon(session: Session) -> None:
    """Deploy what is pushed, and keep all workers equal to it, until stopped.

    This is the controller, meant to run as a service: `gitopsd service install`. It looks for new versions of the
    source branch when something is pushed, and every `intervals.poll`; and at all workers every `intervals.reconcile`.
    A second one on the same machine stands by, and takes over when the first ends.

    SIGTERM ends it within seconds, SIGHUP has it read its configuration again.
    """
    from gitopsd.daemon.controller.controller import Controller, Settings  # noqa: PLC0415 - not for `--help`
    from gitopsd.daemon.workspace import open_workspace  # noqa: PLC0415

    logging.basicConfig(stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s", level=logging.INFO)
    controller = Controller(
        Settings(
            open_workspace=lambda: open_workspace(session.repo, session.config, None),
            environment=session.environment,
        )
    )
    controller.broadcast.listen(_log)
    controller.run()


def _log(event: object) -> None:
    logging.getLogger("gitopsd").info("%s", event)
