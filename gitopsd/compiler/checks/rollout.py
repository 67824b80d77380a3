"""What a group's `rollout:` must be beyond its declaration: something that can come to a good end."""

from collections.abc import Iterator

from gitopsd.compiler.parse import Declared
from gitopsd.compiler.yaml.places import Pointer
from gitopsd.model.amounts import seconds
from gitopsd.model.diagnostic import Diagnostic, Related
from gitopsd.model.fleet import Fleet, Rollout

_SHORTEST_CONFIRM, _LONGEST_CONFIRM = 5.0, 600.0
"""Seconds: a new connection takes one or two, and nobody wants a worker cut off for longer than that."""

_LONGEST_DEADLINE = 86400.0
_LONGEST_DRAIN = 7 * 86400.0


def check_rollout(fleet: Declared[Fleet], way: Pointer, rollout: Rollout) -> Iterator[Diagnostic]:
    """A canary of more workers than the group has is no mistake: then all of them are."""
    if rollout.max_parallel in {0, "0%", "00%"}:
        yield _wrong(fleet, (*way, "max_parallel"), "nothing would ever be rolled out", "let it be 1 at least")
    deadline = seconds(rollout.healthy_deadline)
    if not 0 < deadline <= _LONGEST_DEADLINE:
        hint = "give jobs time to come up: more than `0s`, and at most `1d`"
        yield _wrong(fleet, (*way, "healthy_deadline"), f"it can't be `{rollout.healthy_deadline}`", hint)
    elif seconds(rollout.min_healthy_time) >= deadline:
        # one of the two is written there: the defaults fit together
        place, other = "min_healthy_time", "healthy_deadline"
        if rollout.min_healthy_time == Rollout().min_healthy_time:
            place, other = other, place
        yield _wrong(
            fleet,
            (*way, place),
            f"no job can stay up for {rollout.min_healthy_time} within {rollout.healthy_deadline}",
            "let `min_healthy_time` be shorter than `healthy_deadline`",
            _other(fleet, (*way, other)),
        )
    if seconds(rollout.drain) > _LONGEST_DRAIN:
        hint = "write a duration of `7d` at most; `0s` has jobs stop at once"
        yield _wrong(fleet, (*way, "drain"), f"it can't be `{rollout.drain}`", hint)
    if not _SHORTEST_CONFIRM <= seconds(rollout.confirm_timeout) <= _LONGEST_CONFIRM:
        hint = "write a duration from `5s` to `10m`: a new connection has to be made within it"
        yield _wrong(fleet, (*way, "confirm_timeout"), f"it can't be `{rollout.confirm_timeout}`", hint)


def _wrong(fleet: Declared[Fleet], way: Pointer, what: str, hint: str, related: tuple[Related, ...] = ()) -> Diagnostic:
    return Diagnostic(
        code="wrong-value",
        message=f"`{way[-1]}` of the group `{way[1]}`: {what}",
        location=fleet.document.locate(*way),
        related=related,
        hint=hint,
    )


def _other(fleet: Declared[Fleet], way: Pointer) -> tuple[Related, ...]:
    """The other half, where it is written there."""
    written = fleet.document.value
    for part in way:
        if not isinstance(written, dict) or part not in written:
            return ()
        written = written[part]
    return (Related(message=f"`{way[-1]}` is set here", location=fleet.document.locate(*way)),)
