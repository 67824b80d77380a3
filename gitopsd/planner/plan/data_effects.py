"""What a change does to data in flight: events that are on their way, and what a job remembers of them.

Two documents of a job, before and after, are compared end by end. Each table holds the rules for one kind of thing; the
first rule that has an answer gives it, and the empty answer means that nothing happens to the data. What is not
mentioned is safe: batches are acknowledged end to end, so that a job which restarts is sent again what it had not
finished (docs/reference/worker-channel.md).
"""

from collections.abc import Callable

from gitopsd.model.workflow import SIGNALS
from gitopsd.planner.plan.fates import Fate, Stores
from gitopsd.planner.plan.job_document import End

DRAIN_SECONDS = 5
"""How long the runner waits for acknowledgements when it is told to stop; a test compares it with the runner's."""


EndRule = Callable[[Fate, End, Stores], str | None]
JobRule = Callable[[Fate], str | None]


def data_effect(fate: Fate, known: Stores) -> str:
    """Sentences for people, empty where nothing happens to the data."""
    if fate.effect == "none":
        return ""
    found = [
        *(_first(OLD_INPUTS, fate, end, known) for end in fate.before.inputs),
        *(_first(NEW_INPUTS, fate, end, known) for end in fate.after.inputs),
        *(_first(OLD_OUTPUTS, fate, end, known) for end in fate.before.outputs),
        *(next((said for said in (rule(fate) for rule in table) if said is not None), "") for table in JOB_TABLES),
    ]
    return "; ".join(dict.fromkeys(filter(None, found)))


def _first(rules: tuple[EndRule, ...], fate: Fate, end: End, known: Stores) -> str:
    return next((said for said in (rule(fate, end, known) for rule in rules) if said is not None), "")


# An input that the job had ----------------------------------------------------------------------------------------


def _not_stored(_fate: Fate, end: End, _known: Stores) -> str | None:
    return None if end.place else ""  # what a `worker` channel holds in memory is its producer's, and sent again


def _is_drained(fate: Fate, end: End, _known: Stores) -> str | None:
    reads_on = fate.drains_as and _is_read_by_itself(fate, end)
    if not fate.drains or reads_on:
        return None
    return f"{_who_drains(fate)}: it reads what is left in {end.where}, for {fate.drains} at most, and ends"


def _is_read_by_itself(fate: Fate, end: End) -> bool:
    return any(new.meets(end) and new.reads_for == end.reads_for for new in fate.after.inputs)


def _who_drains(fate: Fate) -> str:
    if fate.drains_as:
        return f"as it was it drains beside itself, as `{fate.drains_as}`"
    return f"it drains on `{fate.origin or fate.worker}`"


def _is_in_reach(fate: Fate, end: End, known: Stores) -> str | None:
    """What isn't a directory is in reach of all."""
    if end.path:
        return None
    return "" if _is_read_by_itself(fate, end) or known.is_read(end) else None


def _stays_on_the_old_worker(fate: Fate, end: End, _known: Stores) -> str | None:
    reads = any(new.path == end.path and new.consumer == end.consumer for new in fate.after.inputs)
    if not reads or not fate.leaves_behind(end.path):
        return None
    return f"what `{end.consumer}` has not read in {end.path} on `{fate.origin}` stays there"


def _reads_on(fate: Fate, end: End, _known: Stores) -> str | None:
    for new in fate.after.inputs:
        if (new.path, new.consumer) == (end.path, end.consumer):
            return "" if new.replicas == end.replicas else _shared_anew(new, end)
    return None


def _shared_anew(new: End, end: End) -> str:
    return (
        f"what is stored in {end.path} is shared out among {new.replicas} instead of {end.replicas} of "
        f"`{end.consumer}`: nothing is left out, and some may be delivered twice"
    )


def _other_replicas_go_on(_fate: Fate, end: End, known: Stores) -> str | None:
    if (end.path, end.consumer) not in known.readers:
        return None
    return f"what it has not read in {end.path} goes to the other replicas of `{end.consumer}`"


def _reads_elsewhere(fate: Fate, end: End, _known: Stores) -> str | None:
    for new in fate.after.inputs:
        if new.channel == end.channel:
            now = f"from {new.path}" if new.path else f"over {new.transport}"
            return f"`{end.channel_name}` is read {now} now: what has not been read in {end.where} stays there"
    return None


def _other_steps_read_on(_fate: Fate, end: End, known: Stores) -> str | None:
    if not known.written_for(end) - {end.reads_for}:
        return None
    if end.transport == "nats":
        return (
            f"what `{end.reads_for}` has not read in {end.where} stays in the stream, and so does what comes for it "
            "from now on, until its consumer is removed: the log of whoever writes there says how"
        )
    return (
        f"what `{end.reads_for}` has not read in {end.where} is not delivered to it any more, "
        "and is removed once the other steps have read it"
    )


def _nobody_reads_it(_fate: Fate, end: End, _known: Stores) -> str | None:
    return f"what `{end.reads_for}` has not read in {end.where} stays there, and nothing reads it any more"


OLD_INPUTS: tuple[EndRule, ...] = (
    _not_stored,
    _is_drained,
    _is_in_reach,
    _stays_on_the_old_worker,
    _reads_on,
    _other_replicas_go_on,
    _reads_elsewhere,
    _other_steps_read_on,
    _nobody_reads_it,
)


# An input that the job will have ----------------------------------------------------------------------------------


def _begins_with_what_is_stored(_fate: Fate, end: End, known: Stores) -> str | None:
    if not end.path or end.path not in known.written_before or (end.path, end.consumer) in known.readers_before:
        return None
    return f"`{end.consumer}` begins with what is still stored in {end.path}"


NEW_INPUTS: tuple[EndRule, ...] = (_begins_with_what_is_stored,)


# An output that the job had ---------------------------------------------------------------------------------------


def _filter_forgets(fate: Fate, end: End, _known: Stores) -> str | None:
    """A filter's output can't be had from it again, unless a message has it run again."""
    if end.port == SIGNALS or fate.before.kind == "message":
        return None
    ends = fate.effect in {"restart", "stop"} or fate.action == "move"
    if fate.before.role != "exec" or not ends or (fate.drains and not fate.drains_as):
        return None
    return (
        f"what the filter has put out and `{end.channel_name}` has not taken {DRAIN_SECONDS} s "
        "after the filter is told to stop is lost"
    )


def _sent_again_another_way(fate: Fate, end: End, _known: Stores) -> str | None:
    if end.path or not fate.before.role:
        return None
    for new in fate.after.outputs:
        if new.channel == end.channel and new.transport != end.transport:
            return (
                f"`{end.channel_name}` goes over {new.transport} now: what was under way is sent again, "
                "so that nothing is lost and some may come twice"
            )
    return None


def _segments_are_read_on(fate: Fate, end: End, known: Stores) -> str | None:
    """Only their writer removes segments."""
    writes = any(new.path == end.path for new in fate.after.outputs)
    if not end.path or writes or not known.still_reading(end):
        return None
    return f"what it wrote to {end.path} is still read there, and is not removed afterwards"


OLD_OUTPUTS: tuple[EndRule, ...] = (_filter_forgets, _sent_again_another_way, _segments_are_read_on)


# What the job remembers -------------------------------------------------------------------------------------------


def _has_no_memory(fate: Fate) -> str | None:
    return "" if fate.action != "move" or fate.is_same_machine or fate.before.role in {"relay", "transform"} else None


def _positions_stay_behind(fate: Fate) -> str | None:
    if fate.before.role != "read-files":
        return None
    glob = fate.before.setting("glob")
    if fate.sees(glob):
        return f"its positions stay on `{fate.origin}`: it reads {glob} from the beginning, so all of that comes again"
    return (
        f"its positions stay on `{fate.origin}`, with what it has not read of {glob} there; "
        f"on `{fate.worker}` it begins at the beginning of what it finds"
    )


def _files_stay_behind(fate: Fate) -> str | None:
    if fate.before.role != "write-files":
        return None
    path = fate.before.setting("path")
    return "" if fate.sees(path) else f"what it wrote to {path} stays on `{fate.origin}`; here it begins a new file"


def _state_stays_behind(fate: Fate) -> str | None:
    return f"what it keeps in its state directory stays on `{fate.origin}`"


def _does_not_run_again(fate: Fate) -> str | None:
    runs = fate.after.kind == "once" and bool(fate.before.kind) and not (fate.action == "move" and fate.is_same_machine)
    return None if runs else ""


def _moved_reader(fate: Fate) -> str | None:
    return "" if fate.leaves_machine and fate.before.role == "read-files" else None  # told with its positions


def _reads_what_is_left(fate: Fate) -> str | None:
    is_reader = fate.before.role == fate.after.role == "read-files"
    return "it runs again, and delivers only what it has not delivered yet" if is_reader else None


def _runs_again(_fate: Fate) -> str | None:
    return "it runs again, from its beginning"


def _read_is_read(fate: Fate) -> str | None:
    was, will_be = fate.before, fate.after
    if fate.leaves_machine or not was.role == will_be.role == "read-files":
        return None
    if was.setting("format") == will_be.setting("format"):
        return None
    return f"what it has read is not read again as `{will_be.setting('format')}`"


def _waits_for_the_others(fate: Fate) -> str | None:
    if not fate.drains or any(end.place for end in fate.before.inputs):
        return None
    return f"{_who_drains(fate)} with the jobs that it reads from, for {fate.drains} at most"


JOB_TABLES: tuple[tuple[JobRule, ...], ...] = (
    (_has_no_memory, _positions_stay_behind, _files_stay_behind, _state_stays_behind),
    (_does_not_run_again, _moved_reader, _reads_what_is_left, _runs_again),
    (_read_is_read,),
    (_waits_for_the_others,),
)
