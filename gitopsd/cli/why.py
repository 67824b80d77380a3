from collections.abc import Iterator

import click
import msgspec

from gitopsd.cli.failure import print_json
from gitopsd.cli.session import Session
from gitopsd.cli.traffic_text import standstills
from gitopsd.cli.workloads import state_of
from gitopsd.daemon.status.why import Why, explain_worker
from gitopsd.daemon.status.workloads import Workload
from gitopsd.model.excerpt import printable

_MOST_DRIFT = 20


@click.command()
@click.argument("subject", metavar="WORKER[/JOB]")
@click.option("--json", "as_json", is_flag=True, help="The chain as JSON.")
@click.pass_obj
def why(session: Session, subject: str, *, as_json: bool) -> int:
    """Show why a worker, or one of its jobs, is as it is: what decided, what was tried, what runs, what is next."""
    worker, _, job = subject.partition("/")
    chain = explain_worker(session.workspace(), worker, job or None)
    if as_json:
        print_json(msgspec.to_builtins(chain))
        return 0
    for title, text in _links(chain):
        click.echo(printable(f"{title:<13} {text}"))
    return 0


def _links(chain: Why) -> Iterator[tuple[str, str]]:
    status, cause, attempt = chain.status, chain.cause, chain.status.last_attempted
    yield "desired", f"release {status.desired[:12]}"
    if cause is not None:
        yield (
            "because",
            f"deployment {cause.deployment} ({cause.trigger}) of {cause.source_commit[:12]}: {cause.subject}",
        )
        yield "", f"by {cause.author}, {cause.time}"
    if attempt is None:
        yield "last attempt", "none is recorded"
    else:
        ended = f"failed: {attempt.error}" if attempt.error else "went well"
        yield "last attempt", f"of deployment {attempt.deployment}, {attempt.finished}, {ended}"
    if status.tried is not None:
        times = "once" if status.tried.attempts == 1 else f"{status.tried.attempts} times in a row"
        yield "tried here", f"{status.tried.trouble} {times}, last at {status.tried.last}: {status.tried.error}"
    if status.rolled_back is not None:
        yield "undone", str(status.rolled_back)
    if status.unconfirmed is not None:
        yield "on trial", str(status.unconfirmed)
    if status.seen and status.error:  # else it was seen just now
        yield "last seen", f"{status.seen}, by an attempt from here"
    if status.lost is not None:
        yield "lost", f"given up, since it has been silent since {status.lost.since}"
    yield "last good", f"deployment {status.last_good}" if status.last_good else "never, as far as is recorded"
    yield "running", status.error or (f"release {status.running[:12]}" if status.running else "no release")
    if chain.workload is not None:
        yield from (("", line) for line in _running(chain.workload))
    if not status.error:
        yield "differences", "none" if not status.drift else f"{len(status.drift)}"
    for line in (*status.failed_runs, *status.draining, *status.drift[:_MOST_DRIFT]):
        yield "", line
    if chain.next_attempt:
        yield "next attempt", chain.next_attempt
    yield "next", chain.next


def _running(workload: Workload) -> Iterator[str]:
    process = f", process {workload.main_pid}" if workload.main_pid else ""
    version = "this version" if workload.current else "another version, or not known which"
    yield f"{workload.job} is {state_of(workload)}{process}, {version}, {workload.restarts} restarts"
    yield from standstills(workload)
