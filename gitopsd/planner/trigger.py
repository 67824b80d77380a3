"""Why there is a deployment: the word for its `Trigger` trailer. The first rule that applies gives it."""

from typing import Literal

Trigger = Literal["push", "revert", "rollback", "auto-revert", "manual", "lost", "facts", "secret", "upgrade"]

BY_A_PERSON: Trigger = "manual"


def trigger_of(
    asked: Trigger, *, is_upgrade: bool, is_new: bool, goes_back: bool, rolls_back: bool, reverts: bool
) -> Trigger:
    """`asked` is what made somebody look: a push, say, or a person.

    `is_new`: its commit isn't the one that is deployed. `goes_back`: that one came later, so nobody wrote a revert, an
    older commit was asked for. `rolls_back`: `gitopsd rollback` wrote the commit. `reverts`: all that differs from
    what is deployed is as an earlier deployment had it.
    """
    rules: tuple[tuple[bool, Trigger], ...] = (
        (is_upgrade, "upgrade"),
        (not is_new and asked == "push", "facts"),  # nobody pushed: what else planning goes by has changed
        (not is_new or goes_back, asked),
        (rolls_back, "rollback"),
        (reverts, "revert"),
        (True, asked),
    )
    return next(trigger for applies, trigger in rules if applies)
