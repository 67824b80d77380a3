import logging
from typing import Literal

import click

from gitopsd.cli.session import Session


@click.command()
@click.option(
    "--log-format",
    type=click.Choice(["text", "json"]),
    help="How stderr is written; by default the journal with its fields under systemd, else text.",
)
@click.pass_obj
def daemon(session: Session, *, log_format: Literal["text", "json"] | None) -> None:
    """Deploy what is pushed, and keep all workers equal to it, until stopped.

    This is the controller, meant to run as a service: `gitopsd service install`. It looks for new versions of the
    source branch when something is pushed, and every `intervals.poll`; and at all workers every `intervals.reconcile`.
    A second one on the same machine stands by, and takes over when the first ends.

    SIGTERM ends it within seconds, SIGHUP has it read its configuration again.
    """
    from gitopsd.daemon.controller.controller import Controller, Settings  # noqa: PLC0415 - not for `--help`
    from gitopsd.daemon.controller.onlookers.event_log import LogHandler, log_sink  # noqa: PLC0415
    from gitopsd.daemon.controller.onlookers.onlookers import onlookers  # noqa: PLC0415
    from gitopsd.daemon.workspace import open_workspace  # noqa: PLC0415

    log = log_sink(log_format, debug=session.debug)
    logging.basicConfig(handlers=[LogHandler(log)], level=logging.WARNING, force=True)
    logging.getLogger("gitopsd").setLevel(logging.DEBUG if session.debug else logging.INFO)
    controller = Controller(
        Settings(
            open_workspace=lambda: open_workspace(session.repo, session.config, None, for_daemon=True),
            environment=session.environment,
        )
    )
    with onlookers(
        controller.configuration,
        controller.repository,
        hearts=controller.hearts,
        asked=controller.asked,
        say=controller.broadcast.tell,
        log=log,
        look=controller.look,
        look_at_pull_requests=controller.look_at_pull_requests,
    ) as listeners:
        for listener in listeners:
            controller.broadcast.listen(listener)
        controller.run()
