"""The pin of an environment: where it is written, and what can be wrong with it."""

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec import UnsetType

from gitopsd.compiler.declarations.decode import decode
from gitopsd.compiler.load import ENVIRONMENTS_FILE
from gitopsd.compiler.yaml.reader import read_yaml
from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.environments import Environments
from gitopsd.model.names import did_you_mean


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenPin:
    """A pin as gitopsd.yaml has it."""

    name: str
    location: Location


def find_pin(content: bytes, wanted: str | None) -> WrittenPin | None:
    """The pin of the chosen environment, by gitopsd.yaml alone.

    None also where that file doesn't say which environment is meant: compiling says so with its place.
    """
    document, mistakes = read_yaml(ENVIRONMENTS_FILE, content)
    value, _ = (None, []) if mistakes else decode(document, Environments)
    if value is None:
        return None
    known = value.environments
    name = next(iter(known)) if wanted is None and len(known) == 1 else wanted
    if name is None or name not in known:
        return None
    pin = known[name].pin
    if isinstance(pin, UnsetType):
        return None
    return WrittenPin(name=pin, location=document.locate("environments", name, "pin"))


def unknown_pin(pin: WrittenPin, tags: Iterable[str], why: str = "") -> Diagnostic:
    """`why` in place of that it names nothing."""
    return Diagnostic(
        code="unknown-pin",
        message=why or f"the pin `{pin.name}` is neither a tag nor a commit of this repository",
        location=pin.location,
        hint=f"`git fetch --tags` brings tags that are new; {did_you_mean(pin.name, tags) or 'there are none here'}",
    )


def pin_is_a_branch(pin: WrittenPin, commit: str) -> Diagnostic:
    """`commit` is where the branch is now."""
    return Diagnostic(
        code="pin-is-a-branch",
        message=f"the pin `{pin.name}` is a branch: a push to it would deploy here without a change of the pin",
        location=pin.location,
        hint=f"write the commit that it is at, `pin: {commit[:12]}`, or tag that and pin the tag",
    )
