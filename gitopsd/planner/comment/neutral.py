"""Text from a repository as Markdown that shows it, and does nothing else on any forge.

What means something to Markdown or HTML is written as a number. That isn't enough: forges look for `@names`, `#1`,
addresses and commits in what Markdown came to, where a number is the character again. So those are parted by a
character without width.
"""

import re
from functools import lru_cache

from gitopsd.model.excerpt import printable

PART = "&#8203;"
"""A space without width: nobody sees it, and no forge finds a name, a number or an address across it."""

_ACTIVE = re.compile(
    r"""
    (?P<listed> ^[0-9]{1,9}[.)](?=\s|$) )
    | (?P<code> (?<!`)`(?=[A-Za-z0-9-]) (?:[A-Za-z0-9\ ._/=,()+"'-]|:(?![/\w]))* (?<!\ )`(?!`) )
    | (?P<parted> [@#!$%~&^\[*:](?=\S) )  # mentions, references, wiki links, schemes of addresses
    | (?P<hex> (?<![0-9A-Za-z]) [0-9a-f]{7,} (?![0-9A-Za-z]) )  # commits
    | (?P<joined> (?<=[Ww]{3})\. | (?<=[Gg][HhLl])- )  # www. and GH-1
    | (?P<plain> [\\`*_{}\[\]()<>#+!|@&~$^] | ^[-/] )
    """,
    re.VERBOSE,
)
_PLAIN_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]*[A-Za-z0-9])?")
_ADDRESS = re.compile(r"https?://[A-Za-z0-9._~:/?#@!$&*+,;=%-]+")
_PIECE = 6
_LONGEST_LINE = 400


@lru_cache(maxsize=4096)  # replicas have the same reasons
def neutral(text: str, most: int = 600) -> str:
    """At most so many characters of the text, as one line of Markdown or of HTML that shows it as it is."""
    return _ACTIVE.sub(_written, printable(shortened(text.strip(), most)))


def code(name: str, most: int = 100) -> str:
    """A name as Markdown shows code, where it looks like one of ours; else as any other text."""
    return f"`{name}`" if len(name) <= most and _PLAIN_NAME.fullmatch(name) else neutral(name, most)


def html_code(name: str) -> str:
    """The same inside of HTML."""
    return f"<code>{neutral(name, 100)}</code>"


def link(text: str, address: str) -> str:
    """A link, where the address is a plain one; else the text alone. `text` is Markdown."""
    return f"[{text}](<{address}>)" if len(address) <= 500 and _ADDRESS.fullmatch(address) else text


def fence_around(text: str) -> str:
    """Back ticks enough that no line of the text ends the block."""
    longest = max((len(run) for run in re.findall(r"`{3,}", text)), default=2)
    return "`" * (longest + 1)


def fenced_line(line: str) -> str:
    """One line of a block of code. None begins with what a forge, or a program that reads comments, takes for an order.

    A line of a unified diff stays what it is.
    """
    shown = printable(shortened(line, _LONGEST_LINE))
    return f" {shown}" if shown.startswith(("/", "@", "!", "`", "~")) and not shown.startswith("@@ -") else shown


def shortened(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _written(found: re.Match[str]) -> str:
    text = found[0]
    match found.lastgroup:
        case "code":
            return text
        case "parted":
            return f"&#{ord(text)};{PART}"
        case "joined":
            return f"{PART}&#{ord(text)};{PART}"
        case "listed":
            return f"{text[:-1]}&#{ord(text[-1])};"
        case "hex":
            return PART.join(text[at : at + _PIECE] for at in range(0, len(text), _PIECE))
        case _:
            return f"&#{ord(text)};"
