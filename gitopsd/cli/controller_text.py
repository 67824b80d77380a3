"""What the controller of this machine is about, for people who ask how an environment is."""

import time
from collections.abc import Iterator

from gitopsd.daemon.controller import events
from gitopsd.daemon.controller.control_socket.client import find_leader, state_of
from gitopsd.daemon.controller.control_socket.protocol import EnvironmentState, State
from gitopsd.daemon.convergence.left_out import utc
from gitopsd.daemon.workspace import Workspace


def controller_lines(workspace: Workspace, environment: str) -> Iterator[str]:
    """Who deploys by itself, and what is in the way of the newest version; nothing where no controller leads here."""
    leader = find_leader(workspace.identity, workspace.configuration.listen.control)
    state = state_of(leader) if leader is not None else None
    if state is None:
        return
    yield f"controller: process {state.leader.pid} leads since {state.leader.since}, {_seen(state)}"
    found = state.environments.get(environment)
    if found is None:
        yield f"  it has nothing to do with {environment} yet"
    else:
        yield from _outcome(found)
        if found.problem:
            yield f"  workers are not seen to: {found.problem}"
            yield from [f"    {found.hint}"] * bool(found.hint)


def _seen(state: State) -> str:
    ago = f"{max(0.0, time.time() - state.looked):.0f} s ago" if state.looked else "never"
    return f"last saw the repository {ago}" + (f": {state.problem}" if state.problem else "")


def _outcome(found: EnvironmentState) -> Iterator[str]:
    match found.outcome:
        case events.Refused(source=source, error=error, hint=hint, diagnostics=diagnostics, next=following):
            again = f"tried again at {utc(following)}, or when something changes"
            yield f"  {source[:12]} is not deployed: {error}; {again}"
            yield from [f"    {hint}"] * bool(hint)
            yield from (f"    {line}" for line in diagnostics.splitlines())
        case events.Held(source=source, reasons=reasons, until=until):
            yield f"  {source[:12]} waits{f' until {until}' if until else ''}: {'; '.join(reasons)}"
        case _:
            return
