"""The entry point: a group whose commands are imported only when they are called, and the one boundary for errors."""

import gc
import importlib
import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from gitopsd import __version__
from gitopsd.cli import exit_codes

COMMANDS = {
    "accept": ("gitopsd.cli.accept:accept", "Accept that the source branch's history was rewritten."),
    "apply": ("gitopsd.cli.apply:apply", "Commit what a version renders to, and make every worker equal to it."),
    "audit": ("gitopsd.cli.audit:audit_command", "Check what is committed against what its source renders to."),
    "check": ("gitopsd.cli.check:check", "Check a version without planning against what is deployed."),
    "comment": ("gitopsd.cli.comment:comment", "In CI, show on a pull request what merging it would do."),
    "daemon": ("gitopsd.cli.daemon:daemon", "Deploy what is pushed, and keep workers equal to it, until stopped."),
    "demo": ("gitopsd.cli.demo:demo", "Send a real file through a workflow on this machine, end to end."),
    "diff": ("gitopsd.cli.diff:diff", "Show what differs between two deployments."),
    "explain": (
        "gitopsd.cli.explain:explain_command",
        "Show which layer gave each value of a step, and why it runs where it does.",
    ),
    "graph": ("gitopsd.cli.graph:graph", "Draw workflows: steps, channels, placement, and what a plan changes."),
    "history": ("gitopsd.cli.history:history", "Show the deployments, newest first."),
    "hook": ("gitopsd.cli.hook:hook", "Check versions when they are pushed, and show their deployment to the pusher."),
    "init": ("gitopsd.cli.init:init", "Make a new workflow repository."),
    "job": ("gitopsd.cli.job:job", "List jobs, and make copies of them that no deployment touches."),
    "logs": ("gitopsd.cli.logs:logs", "Show what a job printed, or all replicas of a step; -f goes on."),
    "pause": ("gitopsd.cli.pause:pause", "Have nothing applied to the environment for a while."),
    "plan": ("gitopsd.cli.plan:plan", "Show what applying would change. Reaches no worker."),
    "quarantine": (
        "gitopsd.cli.quarantine:quarantine",
        "Keep forms of workflows from running that failed, or that somebody says are bad.",
    ),
    "reconcile": ("gitopsd.cli.reconcile:reconcile", "Put right what differs on workers from what is deployed."),
    "resume": ("gitopsd.cli.pause:resume", "End the environment's pause, or its hold at a version."),
    "rollback": ("gitopsd.cli.rollback:rollback", "Return to an earlier deployment, as one more commit of the source."),
    "run": ("gitopsd.cli.run:run", "Run a workflow or step over a file of events here, without deploying it."),
    "schema": ("gitopsd.cli.schema:schema", "Print the JSON Schema of a kind of file, for editors."),
    "service": ("gitopsd.cli.service:service", "Run the controller as a service of systemd's on this machine."),
    "show": ("gitopsd.cli.show:show", "Show a deployment: who, why, what became of it, and what it changed."),
    "status": ("gitopsd.cli.status:status", "Show what each worker should hold, and what it does."),
    "vendor": ("gitopsd.cli.vendor:vendor", "Copy modules of other repositories into this one."),
    "why": ("gitopsd.cli.why:why", "Show why a worker or job is as it is, and what happens next."),
    "worker": ("gitopsd.cli.worker:worker", "Look at workers, keep jobs away from them, and let go of them."),
    "workloads": ("gitopsd.cli.workloads:workloads", "Show what runs: every job as observed on its worker."),
}
"""Command -> where it is, and its line in `gitopsd --help`, which imports none of them."""

_COLLECT_AFTER = (100_000, 20, 100)
"""Planning makes millions of objects and hardly a cycle: Python's 700 would have it look for them all the time."""


class LazyGroup(click.Group):
    """Imports a command's module when the command is asked for, so that `--version` costs nothing of it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary) for name, (_, summary) in COMMANDS.items()])

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and not args[0].startswith("-"):
            from gitopsd.model.names import did_you_mean

            raise click.UsageError(f"there is no command `{args[0]}`; {did_you_mean(args[0], COMMANDS)}", ctx)
        return super().resolve_command(ctx, args)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="gitopsd", message="%(prog)s %(version)s")
@click.option("--repo", metavar="PATH|URL", help="The repository; by default the one around the current directory.")
@click.option("--env", "environment", metavar="NAME", help="The environment; by default the only one.")
@click.option(
    "--config",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The operator's configuration; by default /etc/gitopsd/config.yaml, else ~/.config/gitopsd/config.yaml.",
)
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.pass_context
def cli(ctx: click.Context, repo: str | None, environment: str | None, config: Path | None, *, debug: bool) -> None:
    """Deploy workflows from Git to fleets of plain Linux machines."""
    from gitopsd.cli.session import Session

    ctx.obj = Session(repo=repo, environment=environment, config=config, debug=debug)


def _was_interrupted(error: BaseException | None) -> bool:
    """Whether Ctrl-C is behind it: where classes are being made, Python 3.11 wraps it in a RuntimeError."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def main() -> NoReturn:
    """Runs the command line; the exit code says what came of it (DESIGN.md, section 8)."""
    # ended by a service manager or a closed terminal, a command stops as cleanly as by Ctrl-C
    for ending in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(ending, signal.default_int_handler)
    gc.set_threshold(*_COLLECT_AFTER)
    if "--debug" in sys.argv:
        _log_everything()
    code = _run(sys.argv[1:])
    gc.freeze()  # the interpreter's last collection would look at all that there is, just before it is gone
    sys.exit(code)


def _log_everything() -> None:
    import logging

    logging.basicConfig(format="%(name)s: %(message)s")
    logging.getLogger("gitopsd").setLevel(logging.DEBUG)


def _run(arguments: list[str]) -> int:  # noqa: PLR0911 - one return a kind of ending
    try:
        result: Any = cli.main(args=arguments, prog_name="gitopsd", standalone_mode=False)
    except click.exceptions.Exit as finished:
        return finished.exit_code
    except click.NoSuchOption as unknown:
        error: click.UsageError = unknown
        if unknown.option_name in {option for parameter in cli.params for option in parameter.opts}:
            name = unknown.option_name
            error = click.UsageError(f"{name} stands before the command: gitopsd {name} …", unknown.ctx)
        error.show()
        return exit_codes.USAGE
    except click.UsageError as error:
        error.show()
        return exit_codes.USAGE
    except click.ClickException as error:
        error.show()
        return exit_codes.FAILED
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return exit_codes.INTERRUPTED
    except BrokenPipeError:
        # the reader went away, as `| head` does; keep the interpreter from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return exit_codes.FAILED
    except Exception as error:  # noqa: BLE001 - the one catch-all of the command line
        if _was_interrupted(error):
            click.echo("interrupted", err=True)
            return exit_codes.INTERRUPTED
        from gitopsd.cli.failure import show_failure

        show_failure(error, debug="--debug" in arguments, as_json="--json" in arguments)
        return exit_codes.FAILED
    return result if isinstance(result, int) else 0
