import click
import msgspec

from gitopsd.cli import exit_codes
from gitopsd.cli.confirm import confirmed
from gitopsd.cli.cordon_text import cordon_sentence, cordon_word
from gitopsd.cli.failure import print_json
from gitopsd.cli.session import Session
from gitopsd.cli.tables import print_table
from gitopsd.cli.worker_adopt import adopt
from gitopsd.cli.worker_bootstrap import bootstrap
from gitopsd.cli.worker_cordon import cordon, drain, uncordon
from gitopsd.cli.worker_forget import forget
from gitopsd.daemon.artifacts.control import known_cordons
from gitopsd.daemon.workers.facts import record_facts
from gitopsd.daemon.workers.single import known_workers, probe_workers, teardown_worker
from gitopsd.model.artifacts import PlacedWorker
from gitopsd.model.excerpt import printable


@click.group()
def worker() -> None:
    """Look at workers, keep jobs away from them, and let go of them."""


worker.add_command(adopt)
worker.add_command(bootstrap)
worker.add_command(cordon)
worker.add_command(uncordon)
worker.add_command(drain)
worker.add_command(forget)


@worker.command("list")
@click.option("--json", "as_json", is_flag=True, help="The workers as JSON.")
@click.pass_obj
def list_workers(session: Session, *, as_json: bool) -> int:
    """Show the workers of the fleet file, and those that are leaving. Reaches none of them."""
    workspace = session.workspace()
    known = known_workers(workspace)
    workers = known.workers.values()
    cordons = known_cordons(workspace.repository, known.head)
    if as_json:
        print_json(
            [{**msgspec.to_builtins(one), "cordon": msgspec.to_builtins(cordons.get(one.name))} for one in workers]
        )
        return 0
    print_table(
        ["WORKER", "GROUP", "CONNECTION", "ADDRESS", "SERVICES", "SLOTS", "CORDON", "LABELS", "FEATURES"],
        [
            [
                one.name + (" (leaving)" if one.leaving else ""),
                one.group,
                one.connection,
                f"{one.user}@{one.address}:{one.port}" if one.address else "-",
                one.service_manager,
                str(one.slots),
                cordon_word(cordons.get(one.name)) or "-",
                ",".join(f"{key}={value}" for key, value in one.labels.items()) or "-",
                ",".join(one.features) or "-",
            ]
            for one in workers
        ],
    )
    for one in workers:
        if one.name in cordons:
            click.echo(printable(f"{one.name}: {cordon_sentence(cordons[one.name])}"))
    return 0


@worker.command()
@click.argument("names", metavar="[WORKER]...", nargs=-1)
@click.option("--commit", is_flag=True, help="Commit what was found to the artifact branch, for planning.")
@click.option("--json", "as_json", is_flag=True, help="The facts as JSON.")
@click.pass_obj
def probe(session: Session, names: tuple[str, ...], *, commit: bool, as_json: bool) -> int:
    """Ask workers (all of them by default) what they are, and whether they can be workers.

    With --commit, plans know of the features that were found from then on. Of workers that don't answer, what was
    known stays.

    Exit code 0: all can; 1: one can't, or didn't answer.
    """
    workspace = session.workspace()
    found = sorted(probe_workers(workspace, names), key=lambda one: one.worker)
    if as_json:
        print_json([msgspec.to_builtins(one) for one in found])
    else:
        print_table(
            ["WORKER", "STATE", "SYSTEM", "FEATURES"],
            [
                [
                    one.worker,
                    "no answer" if one.facts is None else "has problems" if one.facts.problems else "ready",
                    f"{one.facts.os}, {one.facts.architecture}" if one.facts else "-",
                    " ".join(f"{name} {version}" for name, version in sorted(one.facts.features.items()))
                    if one.facts
                    else "-",
                ]
                for one in found
            ],
        )
        for one in found:
            for line in [one.error] if one.error else one.facts.problems if one.facts else ():
                click.echo(printable(f"{one.worker}: {line.removeprefix(one.worker + ': ')}"))
    if commit:
        recorded = record_facts(workspace, {one.worker: one.facts for one in found if one.facts is not None})
        for line in recorded.changes:
            click.echo(printable(f"facts of {line}"), err=True)
        committed = f"committed as {recorded.commit[:12]}: plans go by it from now on"
        click.echo(committed if recorded.commit else "nothing new was found: there is nothing to commit", err=True)
    return 1 if any(one.facts is None or one.facts.problems for one in found) else 0


@worker.command()
@click.argument("name", metavar="WORKER")
@click.option("--with-copies", is_flag=True, help="Unmanaged copies of jobs that are there as well.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.pass_obj
def teardown(session: Session, name: str, *, with_copies: bool, yes: bool) -> int:
    """Stop and remove all that gitopsd manages on WORKER. What its jobs wrote elsewhere stays.

    Where there are unmanaged copies, nothing is done without --with-copies. The next apply deploys to it again, unless
    it was taken out of the fleet file.
    """
    workspace = session.workspace()
    known = known_workers(workspace)
    described = _described(known.get(name))
    copies = ", and all unmanaged copies there" if with_copies else ""
    question = f"Stop and remove everything that gitopsd manages on {described}{copies}?"
    if not confirmed(question, f"{described} is not torn down", yes=yes):
        return exit_codes.FAILED
    removed = teardown_worker(workspace, known, name, with_copies=with_copies)
    click.echo(f"{name}: {len(removed.units)} jobs stopped and removed")
    for directory in removed.directories:
        click.echo(printable(f"{name}: removed {directory}"))
    click.echo(f"{name}: {_what_comes_next(known.get(name))}")
    return 0


def _what_comes_next(one: PlacedWorker | None) -> str:
    if one is None or one.leaving:
        return "nothing is deployed to it any more"
    return "the next `gitopsd apply` deploys to it again, unless it is taken out of the fleet file"


def _described(one: PlacedWorker) -> str:
    return f"{one.name} ({one.user}@{one.address})" if one.address else f"{one.name} (this machine)"
