import click
import msgspec

from gitopsd.cli import exit_codes
from gitopsd.cli.failure import print_json
from gitopsd.cli.session import Session
from gitopsd.daemon.vendor.check import LibraryState, check_libraries
from gitopsd.daemon.vendor.vendoring import Vendored, add_library, update_libraries
from gitopsd.model.excerpt import printable
from gitopsd.model.vendor import library_folder


@click.group()
def vendor() -> None:
    """Copy modules of other repositories into this one."""


@vendor.command()
@click.argument("url", metavar="URL")
@click.argument("ref", metavar="REF")
@click.argument("path", metavar="PATH")
@click.option("--name", metavar="LIB", help="The library's name here; by default that of its repository.")
@click.option("--force", is_flag=True, help="Overwrite what was edited here.")
@click.pass_obj
def add(session: Session, url: str, ref: str, path: str, name: str | None, *, force: bool) -> int:
    """Copy a module of the repository at URL, as it is at REF, with all that it uses.

    REF is a tag, a branch or a commit; PATH a module file such as modules/cleanse.yaml, or `modules` for all.
    """
    done = add_library(session.workspace().repository, url, ref, path, name=name, force=force)
    if not done.written:
        click.echo(printable(f"{done.name}: nothing to do, it holds this already"))
    else:
        where = f"{done.source} at {done.after.ref} ({done.after.commit[:12]})"
        click.echo(printable(f"{done.name}: copied from {where} to {library_folder(done.name)}"))
        _show_files(done)
    click.echo("Its modules, as workflows name them:")
    for module in done.modules:
        click.echo(printable(f"  use: {library_folder(done.name)}{module}"))
    return 0


@vendor.command()
@click.argument("names", metavar="[LIB]...", nargs=-1)
@click.option("--ref", metavar="REF", help="Follow this tag, branch or commit from now on; for one library.")
@click.option("--force", is_flag=True, help="Overwrite what was edited here.")
@click.pass_obj
def update(session: Session, names: tuple[str, ...], ref: str | None, *, force: bool) -> int:
    """Fetch libraries (all of them by default) again, and move each to the newest commit of its ref."""
    for done in update_libraries(session.workspace().repository, names, ref=ref, force=force):
        before = done.before.commit[:12] if done.before else "nothing"
        after = f"{done.after.commit[:12]} ({done.after.ref})"
        if not done.written:
            click.echo(printable(f"{done.name}: nothing to do, {done.after.ref} is still at {before}"))
        elif before == done.after.commit[:12]:
            click.echo(printable(f"{done.name}: {after} again"))
        else:
            click.echo(printable(f"{done.name}: {before} -> {after}"))
        _show_files(done)
    return 0


@vendor.command()
@click.option("--upstream", is_flag=True, help="Ask the other repositories whether there is something newer, too.")
@click.option("--json", "as_json", is_flag=True, help="The libraries as JSON.")
@click.pass_obj
def check(session: Session, *, upstream: bool, as_json: bool) -> int:
    """Compare modules/vendor/ of the work tree with its lock. Changes nothing, and reaches nothing.

    With --upstream it reaches the repositories that the lock names: read that of a stranger first.

    Exit code 0: it is what the lock says; 1: it differs. Something newer elsewhere is told, and is no difference.
    """
    found = check_libraries(session.workspace().repository, upstream=upstream)
    if as_json:
        print_json(msgspec.to_builtins(found))
        return 0 if found.clean else exit_codes.FAILED
    for state in found.libraries:
        for line in _state_lines(state):
            click.echo(printable(line))
    for path in found.extra:
        click.echo(printable(f"{path}: belongs to no library: remove it"))
    if not found.libraries and not found.extra:
        click.echo("nothing is vendored here")
    return 0 if found.clean else exit_codes.FAILED


def _show_files(done: Vendored) -> None:
    for line in done.differences.lines:
        click.echo(printable(f"  {line}"))


def _state_lines(state: LibraryState) -> list[str]:
    if state.state == "not-locked":
        return [f"{state.library}: is not in the lock: remove it, or copy it with `gitopsd vendor add`"]
    at = f"{state.ref} ({state.commit[:12]}) of {state.url}"
    words = {
        "clean": f"is {at}",
        "modified": f"is not what was copied from {at}",
        "missing": "is locked, and not there",
    }
    lines = [f"{state.library}: {words[state.state]}", *(f"  {line}" for line in state.differs)]
    if state.state != "clean":
        lines.append(f"  `gitopsd vendor update --force {state.library}` copies it anew")
    if state.unknown:
        lines.append(f"  whether there is something newer isn't known: {state.unknown.splitlines()[0]}")
    elif state.upstream and state.upstream != state.commit:
        lines.append(f"  {state.ref} is at {state.upstream[:12]} now: `gitopsd vendor update {state.library}`")
    return lines
