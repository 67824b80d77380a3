"""The rows of the matrix: which step of an apply a point belongs to, told from the calls that led there."""

from __future__ import annotations

import re

AGENT, CONTROLLER = "worker", "controller"

# The first pattern that is found in a point's name gives its step. What none of them finds is a step by the name of
# the function that it happens in: so what is added to an apply shows in the matrix, named here or not.
_STEPS = {
    AGENT: (
        (r"verbs\._observe", "observe"),
        (r"verbs\._prune", "prune"),
        (r"verbs\._confirm", "confirm"),
        (r"verbs\._rollback", "roll back"),
        (r"verbs\._health", "health"),
        (r"scope\.leave_session", "leave the session"),
        (r"activate\.activate > lock|activate\.activate \| mkdir", "lock"),
        (r"records\.(write_owner|take_over)", "record the owner"),
        (r"activate\._stage", "stage the release"),
        (r"credentials\.stage", "stage the secrets"),
        (r"surroundings\.prepare", "make directories"),
        (r"arm\.arm\b", "arm the switch"),
        (r"arm\.activated", "set the switch's time"),
        (r"call of Reload|systemctl daemon-reload", "reload systemd"),
        (r"records\.(mark_activating|forget_applied)", "forget what runs"),
        (r"credentials\.swap", "swap the secrets"),
        (r"store\.swap", "swap the release"),
        (r"stop_orphans", "stop"),
        (r"systemd\.install", "write units"),
        (r"run_jobs\.run_jobs", "start"),
        (r"credentials\.settle", "settle the secrets"),
        (r"records\.(write_applied|clear_)", "remember what runs"),
        (r"systemd\.units", "read the units"),
    ),
    CONTROLLER: (
        (r"call of (\w+)", "{}"),
        (r"connection|\| connect", "connect"),
        (r"update_note", "note"),
        (r"attempts\.(note_down|record|_attempt)", "remember the attempt"),
        (r"write_objects", "write objects"),
        (r"remote\.push", "push"),
        (r"update_ref", "move the branch"),
        (r"fetch_artifacts", "fetch"),
        (r"repo\.lock", "lock"),
        (r"compile_version|plan_version", "plan"),
    ),
}


def step_of(side: str, point: str) -> str:
    for pattern, step in _STEPS[side]:
        found = re.search(pattern, point)
        if found:
            return step.format(*found.groups())
    return point.partition(" | ")[0].split(" > ")[-1]


def kind_of(point: str) -> str:
    """What points of a step have in common that do the same to one file after another."""
    calls, _, effect = point.partition(" | ")
    return f"{calls} | {effect.split()[0]}" if not effect.startswith(("run", "end", "before", "after")) else point
