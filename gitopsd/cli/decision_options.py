"""The options of commands that record a decision: why, and until when."""

import click

_LONGEST_REASON = 200

with_reason = click.option("--reason", required=True, metavar="TEXT", help="Why, for whoever comes across it.")
with_duration = click.option("--for", "duration", metavar="DURATION", help="It ends after this long: 8h, 2d, 1d12h.")
with_end = click.option("--until", metavar="TIME", help="It ends then, such as 2026-05-01T08:00Z; without a zone, UTC.")
with_json = click.option("--json", "as_json", is_flag=True, help="What was recorded as JSON.")


def checked_reason(text: str, option: str = "--reason") -> str:
    """One line that says something. Raises UsageError."""
    line = " ".join(text.split())
    if not line or not line.isprintable():
        raise click.UsageError(f"{option} takes a line of text that says why")
    if len(line) > _LONGEST_REASON:
        raise click.UsageError(f"{option} takes at most {_LONGEST_REASON} characters, not {len(line)}")
    return line
