import click
import msgspec

from gitopsd.cli.failure import print_json
from gitopsd.cli.session import Session
from gitopsd.cli.tables import print_table
from gitopsd.daemon import status
from gitopsd.model.excerpt import printable


@click.command()
@click.option("--json", "as_json", is_flag=True, help="The workloads as JSON.")
@click.pass_obj
def workloads(session: Session, *, as_json: bool) -> int:
    """Show what runs: every job as it is observed on its worker. Exit code 1: a worker could not be observed."""
    workspace = session.workspace()
    deployed = status.open_deployed(workspace)
    observed = sorted(status.observe_fleet(workspace, deployed), key=lambda one: one.desired.worker)
    found = [workload for one in observed for workload in status.workloads(one)]
    if as_json:
        print_json([msgspec.to_builtins(workload) for workload in found])
    elif not found and all(not one.error for one in observed):
        click.echo("nothing runs yet: `gitopsd apply` deploys")
    else:
        print_table(
            ["WORKER", "JOB", "STATE", "PID", "RESTARTS", "SINCE", "VERSION"],
            [
                [
                    workload.worker,
                    workload.job,
                    state_of(workload),
                    str(workload.main_pid or "-"),
                    str(workload.restarts),
                    status.age(workload.since) or "-",
                    "current" if workload.current else "other",
                ]
                for workload in found
            ],
        )
    for one in observed:
        if one.error:
            click.echo(printable(f"{one.desired.worker}: {one.error}"), err=True)
    return 1 if any(one.error for one in observed) else 0


def state_of(workload: status.Workload) -> str:
    """Of a scheduled job also when it runs next."""
    due = f", next {status.time_left(workload.next_run)}" if workload.next_run else ""
    return workload.state + due
