"""What jobs say of the events that pass them, for people."""

from collections.abc import Iterator

from gitopsd.daemon.status.workloads import Workload

_FRESH_SECONDS = 15.0
"""A job that runs says more often how long it has stood still; what is older is of a process that is gone."""

_STANDSTILL_SECONDS = 10.0

_WELL = frozenset({"running", "completed"})
"""States in which an error is of a process long gone, such as that of a runner where another program runs now."""


def channel_rows(workload: Workload) -> Iterator[list[str]]:
    """A row for each end of its channels: worker, job, port, direction, channel, events, bytes, what waits: of an
    output to a store, for each step that reads it.
    """
    traffic = workload.traffic
    if traffic is None:
        return
    for one in traffic.inputs:
        counts = [f"{one.events:,}", f"{one.bytes:,}", _count(one.waiting)]
        yield [workload.worker, workload.job, one.port, "in", one.channel, *counts]
    for out in traffic.outputs:
        waiting = ", ".join(f"{_count(lag)} for {step}" for step, lag in sorted(out.consumers.items()))
        counts = [f"{out.events:,}", f"{out.bytes:,}", waiting or "-"]
        yield [workload.worker, workload.job, out.port, "out", out.channel, *counts]


def _count(events: int | None) -> str:
    return "-" if events is None else f"{events:,}"


def standstills(workload: Workload) -> Iterator[str]:
    """A line for each end at which nothing moves although something waits, or whose other end is away; else, for a job
    that isn't up, why it failed.
    """
    traffic = workload.traffic
    if traffic is None:
        return
    who = f"{workload.worker}/{workload.job}"
    if traffic.error and workload.state not in _WELL:
        yield f"{who}: {traffic.trouble}"
    if traffic.age > _FRESH_SECONDS:
        return
    for one in traffic.inputs:
        if one.away is not None:
            yield f"{who}: {one.away}"
        elif one.stalled >= _STANDSTILL_SECONDS:
            waiting = f", {one.waiting:,} waiting" if one.waiting else ""
            under_way = one.events - one.done
            yield f"{who}: stuck on `{one.channel}` for {one.stalled:.0f} s ({under_way:,} under way{waiting})"
    for out in traffic.outputs:
        if out.away is not None:
            yield f"{who}: {out.away}"
        elif out.blocked >= _STANDSTILL_SECONDS:
            taken = f"`{out.channel}` has taken nothing for {out.blocked:.0f} s"
            yield f"{who}: {taken}: who stores or reads it is slow, or away"
