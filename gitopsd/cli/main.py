"""The entry point: a group whose commands are imported only when they are called, and the one boundary for errors."""

import importlib
import os
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from gitopsd import __version__

EXIT_FAILED = 1
EXIT_USAGE = 64
EXIT_INTERRUPTED = 130

COMMANDS = {
    "apply": "gitopsd.cli.apply:apply",
    "check": "gitopsd.cli.check:check",
    "demo": "gitopsd.cli.demo:demo",
    "history": "gitopsd.cli.history:history",
    "init": "gitopsd.cli.init:init",
    "plan": "gitopsd.cli.plan:plan",
    "status": "gitopsd.cli.status:status",
    "worker": "gitopsd.cli.worker:worker",
    "workloads": "gitopsd.cli.workloads:workloads",
}


class LazyGroup(click.Group):
    """Imports a command's module when the command is asked for, so that `--version` costs nothing of it."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name].partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[str | None, click.Command | None, list[str]]:
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


def main() -> NoReturn:
    """Runs the command line; the exit code says what came of it (DESIGN.md, section 8)."""
    sys.exit(_run(sys.argv[1:]))


def _run(arguments: list[str]) -> int:
    try:
        result: Any = cli.main(args=arguments, prog_name="gitopsd", standalone_mode=False)
    except click.exceptions.Exit as finished:
        return finished.exit_code
    except click.UsageError as error:
        error.show()
        return EXIT_USAGE
    except click.ClickException as error:
        error.show()
        return EXIT_FAILED
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted", err=True)
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        # the reader went away, as `| head` does; keep the interpreter from complaining at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_FAILED
    except Exception as error:  # the one catch-all of the command line
        from gitopsd.cli.failure import show_failure

        show_failure(error, debug="--debug" in arguments)
        return EXIT_FAILED
    return result if isinstance(result, int) else 0
