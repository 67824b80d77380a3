"""A plan in a file: what `plan --out` writes and `apply FILE` takes."""

from pathlib import Path

import click
import msgspec

from gitopsd.model.plan import PLAN_FORMAT, Plan


class _Header(msgspec.Struct):
    format: int


def encode_plan(plan: Plan) -> bytes:
    """JSON for people and programs, ending in a newline."""
    return msgspec.json.format(msgspec.json.encode(plan), indent=2) + b"\n"


def read_plan(what: str | None) -> Plan | None:
    """The plan in a file of that name; None where `what` is a revision.

    Raises UsageError for a path without a file, a file that is no plan, one of another format, and the plan of a work
    tree with edits.
    """
    hint = "`gitopsd plan REV --out FILE` writes one"
    if what is None or not Path(what).is_file():
        if what is not None and what.startswith(("/", "./", "../")):  # no revision begins like that
            raise click.UsageError(f"there is no plan at {what}; {hint}")
        return None
    content = Path(what).read_bytes()
    try:
        found = msgspec.json.decode(content, type=_Header).format
        if found != PLAN_FORMAT:
            raise click.UsageError(
                f"{what} is a plan of format {found}, and this version of gitopsd takes format {PLAN_FORMAT}: "
                "plan again with this version"
            )
        plan = msgspec.json.decode(content, type=Plan)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise click.UsageError(f"{what} is not a plan: {error}; {hint}") from None
    if not plan.inputs.source_commit:
        raise click.UsageError(f"{what} is the plan of a work tree with uncommitted edits: commit them and plan again")
    return plan
