"""The fixed commands that a worker's shell is given: of what varies there is only the agent's hash and the verb."""

from __future__ import annotations

import re
from typing import Literal

from gitopsd.fleet.layout import SYSTEM_ROOT

PYTHON = "/usr/bin/python3"  # the one that units run with
AGENT_MISSING = 91
NO_AGENTS = 92  # nor any other: nothing of gitopsd is there
BY_HAND = ("adopt", "copies", "clone", "remove-copy", "feed")  # what people do besides deploying
VERBS = (
    "probe",
    "observe",
    "activate",
    "confirm",
    "rollback",
    "health",
    "prune",
    "teardown",
    "logs",
    "follow",
    "show",
    "serve",
    *BY_HAND,
)
_AGENTS = f"{SYSTEM_ROOT}/agent"
_SHA256 = re.compile(r"[0-9a-f]{64}")

Rights = Literal["root", "sudo"]


def agent_command(sha256: str, verb: str, rights: Rights) -> str:
    """Run one verb; exits with AGENT_MISSING when that agent isn't there, with NO_AGENTS when none ever was, or a
    teardown has removed it. Works from any login shell.
    """
    if verb not in VERBS:
        raise ValueError(f"{verb!r} is not a verb of the agent")
    agent = _agent(sha256)
    run = f"{PYTHON} -IB {agent} {verb}"
    if rights == "sudo":
        run = f"sudo -n -- {run}"
    missing = f"test -d {_AGENTS} && exit {AGENT_MISSING}; exit {NO_AGENTS}"
    return f"exec /bin/sh -c 'test -f {agent} || {{ {missing}; }}; exec {run}'"


def delivery_command(sha256: str, rights: Rights) -> str:
    """Put the agent that arrives on stdin in its place, if it is whole: aside, checked, on disk, renamed."""
    agent = _agent(sha256)
    aside = f"{_AGENTS}/.{sha256}.$$"
    steps = (
        f"umask 022 && mkdir -p {_AGENTS} && cat > {aside} "
        f'&& test "$(sha256sum < {aside})" = "{sha256}  -" && sync {aside} && mv {aside} {agent} '
        f"|| {{ status=$?; rm -f {aside}; exit $status; }}"
    )
    sudo = "sudo -n -- " if rights == "sudo" else ""
    return f"exec {sudo}/bin/sh -c '{steps}'"


def passing_command(sha256: str, size: int, verb: str, rights: Rights) -> str:
    """Run one verb by the agent that arrives on stdin, `size` bytes before the request, and that isn't kept."""
    if verb not in VERBS:
        raise ValueError(f"{verb!r} is not a verb of the agent")
    steps = (
        f"umask 077 && d=$(mktemp -d) || exit; head -c {size:d} > $d/{_checked(sha256)}.py "
        f'&& test "$(sha256sum < $d/{sha256}.py)" = "{sha256}  -" && {PYTHON} -IB $d/{sha256}.py {verb}; '
        "status=$?; rm -rf $d; exit $status"
    )
    sudo = "sudo -n -- " if rights == "sudo" else ""
    return f"exec {sudo}/bin/sh -c '{steps}'"


def _agent(sha256: str) -> str:
    return f"{_AGENTS}/{_checked(sha256)}.py"


def _checked(sha256: str) -> str:
    if not _SHA256.fullmatch(sha256):
        raise ValueError("the agent is named by a SHA-256 in hex")
    return sha256
