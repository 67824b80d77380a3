"""JSON for other programs that may all the same end up on a terminal."""

import json


def json_text(value: object) -> str:
    """Indented, ending in a newline; no character of it acts on a terminal."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    # line ends apart, what isn't printable is in strings alone
    return "".join(f"{line if line.isprintable() else _harmless(line)}\n" for line in text.split("\n"))


def _harmless(line: str) -> str:
    return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
