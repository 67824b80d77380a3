"""The messages of artifact commits: a subject, and trailers that say who, when and why. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from gitopsd.model.plan import Returns

_TRAILER = re.compile(r"([A-Za-z][A-Za-z0-9-]*): (\S(?:.*\S)?)")
_SUBJECT_LENGTH = 100
_NAMES = ("Deployment", "Source-Commit", "Environment", "Trigger", "Plan-Digest", "Renderer")
_COMPILED = "Compiled"
_OFF_BRANCH = "Off-Branch"
_RETURNS = "Returns-To"
ROLLBACK = "Rollback-To"
"""Of a commit of the source branch: what `gitopsd rollback` returns to with it."""

_OBJECT_ID = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploymentTrailers:
    """What a deployment says of itself.

    `deployment` counts from 1. `source_commit` is 40 hex digits, and so is `compiled`, which tells what the version
    came to before it was placed; it may be empty. `trigger` is one of push, revert, rollback,
    auto-revert, manual, lost, facts, secret, upgrade; a later version may know more. `returns` says which earlier
    deployments had the same. `off_branch`: the version is not on the source branch; a person named it.
    """

    deployment: int
    source_commit: str
    environment: str
    trigger: str
    plan_digest: str
    renderer: str
    compiled: str = ""
    returns: Returns = field(default_factory=Returns)
    off_branch: bool = False


def format_message(subject: str, trailers: Mapping[str, str]) -> str:
    """A commit message. `subject` may be any text, from a hostile repository too: it stays one line.

    Raises ValueError for a trailer whose name or value would not be read back the same.
    """
    line = " ".join("".join(character if character.isprintable() else " " for character in subject).split())
    if len(line) > _SUBJECT_LENGTH:
        line = line[: _SUBJECT_LENGTH - 1].rstrip() + "…"
    block = [f"{name}: {value}" for name, value in trailers.items()]
    for text in block:
        if not text.isprintable() or _TRAILER.fullmatch(text) is None:
            raise ValueError(f"{text!r} cannot be a trailer")
    return "\n".join([line or "(no subject)", *([""] if block else []), *block]) + "\n"


def parse_trailers(message: str) -> dict[str, str]:
    """The trailers of a commit message: its last paragraph, if every line there is one and no name comes twice.

    Anything else gives {}: the first paragraph is the subject, whatever it looks like.
    """
    paragraphs = re.split(r"\n[ \t]*\n+", message.strip("\n"))
    if len(paragraphs) < 2:
        return {}
    found: dict[str, str] = {}
    for line in paragraphs[-1].split("\n"):
        match = _TRAILER.fullmatch(line)
        if match is None or match[1] in found:
            return {}
        found[match[1]] = match[2]
    return found


def deployment_message(subject: str, trailers: DeploymentTrailers) -> str:
    """The commit message of a deployment. Raises ValueError as `format_message` does."""
    if trailers.deployment < 1:
        raise ValueError("deployments are counted from 1")
    values = (
        str(trailers.deployment),
        trailers.source_commit,
        trailers.environment,
        trailers.trigger,
        trailers.plan_digest,
        trailers.renderer,
    )
    named = dict(zip(_NAMES, values, strict=True))
    optional = {_COMPILED: trailers.compiled, _RETURNS: _written(trailers.returns)}
    present = {name: value for name, value in optional.items() if value}
    return format_message(subject, named | present | _off_branch(trailers.off_branch))


def parse_deployment(found: Mapping[str, str]) -> DeploymentTrailers | None:
    """The trailers of a deployment; None where not all of them are there, well formed."""
    number, source_commit = found.get("Deployment", ""), found.get("Source-Commit", "")
    compiled = found.get(_COMPILED, "")
    if not all(name in found for name in _NAMES):
        return None
    if re.fullmatch(r"[1-9][0-9]{0,9}", number) is None or _OBJECT_ID.fullmatch(source_commit) is None:
        return None
    if compiled and _OBJECT_ID.fullmatch(compiled) is None:
        return None
    return DeploymentTrailers(
        deployment=int(number),
        source_commit=source_commit,
        environment=found["Environment"],
        trigger=found["Trigger"],
        plan_digest=found["Plan-Digest"],
        renderer=found["Renderer"],
        compiled=compiled,
        returns=_returns(found.get(_RETURNS, "")),
        off_branch=is_off_branch(found),
    )


def records_message(subject: str, *, source_commit: str, compiled: str, renderer: str, off_branch: bool = False) -> str:
    """The commit message of an update of records that changes no release."""
    named = {"Source-Commit": source_commit, "Renderer": renderer, _COMPILED: compiled}
    return format_message(f"Records for: {subject}", named | _off_branch(off_branch))


def compiled_in(found: Mapping[str, str]) -> str:
    """What `Compiled` says, of a deployment or of records; empty where that isn't 40 hex digits."""
    return _object_id(found, _COMPILED)


def source_commit_in(found: Mapping[str, str]) -> str:
    """The same for `Source-Commit`."""
    return _object_id(found, "Source-Commit")


def renderer_in(found: Mapping[str, str]) -> str:
    """What `Renderer` says, of a deployment or of records; empty where there is none."""
    return found.get("Renderer", "")


def is_off_branch(found: Mapping[str, str]) -> bool:
    """What `Off-Branch` says, of a deployment or of records."""
    return _OFF_BRANCH in found


def _off_branch(yes: bool) -> dict[str, str]:
    return {_OFF_BRANCH: "yes"} if yes else {}


def _written(returns: Returns) -> str:
    """`7` for the whole of deployment 7, else `orders=7 alerts=3`."""
    if returns.deployment:
        return str(returns.deployment)
    return " ".join(f"{workflow}={number}" for workflow, number in sorted(returns.workflows.items()))


def _returns(text: str) -> Returns:
    if re.fullmatch(r"[1-9][0-9]{0,9}", text):
        return Returns(deployment=int(text))
    found = re.findall(r"(?:^| )([a-z0-9-]{1,63})=([1-9][0-9]{0,9})(?= |$)", text)
    return Returns(workflows={workflow: int(number) for workflow, number in found})


def _object_id(found: Mapping[str, str], name: str) -> str:
    value = found.get(name, "")
    return value if _OBJECT_ID.fullmatch(value) else ""
