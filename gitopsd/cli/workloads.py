import click
import msgspec

from gitopsd.cli.failure import print_json
from gitopsd.cli.session import Session
from gitopsd.cli.tables import print_table
from gitopsd.cli.traffic_text import channel_rows, standstills
from gitopsd.daemon.planning.deployed import open_deployed
from gitopsd.daemon.status import workloads as running
from gitopsd.daemon.status.status import age, observe_fleet, time_left
from gitopsd.daemon.status.workloads import Workload
from gitopsd.model.excerpt import printable


@click.command()
@click.option("--channels", is_flag=True, help="What passed each end of each channel, instead of the jobs.")
@click.option("--json", "as_json", is_flag=True, help="The workloads as JSON.")
@click.pass_obj
def workloads(session: Session, *, channels: bool, as_json: bool) -> int:
    """Show what runs: every job as it is observed on its worker. Exit code 1: a worker could not be observed."""
    workspace = session.workspace()
    deployed = open_deployed(workspace)
    observed = sorted(observe_fleet(workspace, deployed, traffic=True), key=lambda one: one.desired.worker)
    found = [workload for one in observed for workload in running.workloads(one)]
    if as_json:
        print_json([msgspec.to_builtins(workload) for workload in found])
    elif not found and all(not one.error for one in observed):
        click.echo("nothing runs yet: `gitopsd apply` deploys")
    elif channels:
        print_table(
            ["WORKER", "JOB", "PORT", "", "CHANNEL", "EVENTS", "BYTES", "WAITING"],
            [row for workload in found for row in channel_rows(workload)],
        )
    else:
        print_table(
            ["WORKER", "JOB", "STATE", "PID", "RESTARTS", "SINCE", "VERSION", "EVENTS"],
            [
                [
                    workload.worker,
                    workload.job,
                    state_of(workload),
                    str(workload.main_pid or "-"),
                    "-" if workload.state == "unknown" else str(workload.restarts),
                    age(workload.since) or "-",
                    "current" if workload.current else "-" if workload.state == "unknown" else "other",
                    events_of(workload),
                ]
                for workload in found
            ],
        )
    for workload in found:
        for line in standstills(workload):
            click.echo(printable(line), err=True)
    for one in observed:
        if one.error:
            click.echo(printable(f"{one.desired.worker}: {one.error}"), err=True)
    return 1 if any(one.error for one in observed) else 0


def state_of(workload: Workload) -> str:
    """Of a scheduled job also when it runs next."""
    due = f", next {time_left(workload.next_run)}" if workload.next_run else ""
    return workload.state + due


def events_of(workload: Workload) -> str:
    """Those that its process has done with, and those that it could not handle."""
    if workload.traffic is None:
        return "-"
    failed = f", {workload.traffic.failed:,} failed" if workload.traffic.failed else ""
    return f"{workload.traffic.done:,}{failed}"
