"""What jobs say of the events that pass them, for people."""

from collections.abc import Iterator

from gitopsd.daemon.status.workloads import Workload
from gitopsd.model.facts import Away

_FRESH_SECONDS = 15.0
"""A job that runs says more often how long it has stood still; what is older is of a process that is gone."""

_STANDSTILL_SECONDS = 10.0


def channel_rows(workload: Workload) -> Iterator[list[str]]:
    """A row for each end of its channels: worker, job, port, direction, channel, events, bytes, what waits."""
    traffic = workload.traffic
    if traffic is None:
        return
    for one in traffic.inputs:
        waiting = "-" if one.waiting is None else f"{one.waiting:,}"
        counts = [f"{one.events:,}", f"{one.bytes:,}", waiting]
        yield [workload.worker, workload.job, one.port, "in", one.channel, *counts]
    for out in traffic.outputs:
        yield [workload.worker, workload.job, out.port, "out", out.channel, f"{out.events:,}", f"{out.bytes:,}", "-"]


def standstills(workload: Workload) -> Iterator[str]:
    """A line for each end at which nothing moves although something waits, or whose other end is away."""
    traffic = workload.traffic
    if traffic is None or traffic.age > _FRESH_SECONDS:
        return
    who = f"{workload.worker}/{workload.job}"
    for one in traffic.inputs:
        if one.away is not None:
            yield _away(who, one.away)
        elif one.stalled >= _STANDSTILL_SECONDS:
            waiting = f", {one.waiting:,} waiting" if one.waiting else ""
            under_way = one.events - one.done
            yield f"{who}: stuck on `{one.channel}` for {one.stalled:.0f} s ({under_way:,} under way{waiting})"
    for out in traffic.outputs:
        if out.away is not None:
            yield _away(who, out.away)
        elif out.blocked >= _STANDSTILL_SECONDS:
            taken = f"`{out.channel}` has taken nothing for {out.blocked:.0f} s"
            yield f"{who}: {taken}: who stores or reads it is slow, or away"


def _away(who: str, away: Away) -> str:
    return f"{who}: {away.message} ({away.seconds:.0f} s)"
