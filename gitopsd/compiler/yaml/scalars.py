"""Which characters of a YAML file the characters of a scalar's value come from. Asked for only by diagnostics.

The scalar is read a second time here, noting offsets. Where that doesn't give the value that the parser gave, nothing
is said, and a diagnostic falls back to the whole value.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

LINE_BREAK = re.compile("\r\n|\r|\n")
_ORDINARY = re.compile(r"[^ \t\r\n'\\]+")
_FOLD = re.compile("[ \t]*(?:\r\n|\r|\n)[ \t\r\n]*")
_ESCAPED_BREAK = re.compile("\\\\(?:\r\n|\r|\n)[ \t\r\n]*")
_FIRST_INDENT = re.compile("(?: *(?:\r\n|\r|\n))*( *)")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|U([0-9A-Fa-f]{8})|(.))", re.DOTALL)
_ESCAPED = {
    "0": "\0", "a": "\a", "b": "\b", "t": "\t", "\t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r", "e": "\x1b",
    " ": " ", '"': '"', "/": "/", "\\": "\\", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip


class Scalar(NamedTuple):
    """A scalar as the parser gave it: how it is written, its value, and the range of offsets that it takes."""

    style: str
    value: str
    start: int
    end: int


class _Piece(NamedTuple):
    """A part of a value, and the range of the file that it comes from."""

    value: str
    start: int
    end: int


def range_in_file(text: str, scalar: Scalar, start: int, end: int) -> tuple[int, int] | None:
    """The offsets in the file of the characters from `start` to `end` of the scalar's value."""
    pieces = [piece for piece in _pieces(text, scalar) if piece.value]
    value = "".join(piece.value for piece in pieces)
    if not 0 <= start < end <= len(scalar.value) or not value.startswith(scalar.value):
        return None
    first = _offset(pieces, start)
    last = _offset(pieces, end - 1)
    return (first[0], last[1]) if first and last else None


def _offset(pieces: list[_Piece], position: int) -> tuple[int, int] | None:
    """The range in the file of one character of the value."""
    for piece in pieces:
        if position < len(piece.value):
            if piece.end - piece.start == len(piece.value):  # written as it is
                return piece.start + position, piece.start + position + 1
            return piece.start, piece.end
        position -= len(piece.value)
    return None


def _pieces(text: str, scalar: Scalar) -> Iterator[_Piece]:
    match scalar.style:
        case "|" | ">":
            return _block(text, scalar)
        case "'":
            return _flow(text, scalar.start + 1, scalar.end - 1, "'")
        case '"':
            return _flow(text, scalar.start + 1, scalar.end - 1, '"')
        case _:
            return _flow(text, scalar.start, scalar.end, "")


def _flow(text: str, position: int, end: int, quote: str) -> Iterator[_Piece]:
    while position < end:
        value, after = _flow_piece(text, position, end, quote)
        yield _Piece(value, position, after)
        position = after


def _flow_piece(text: str, position: int, end: int, quote: str) -> tuple[str, int]:
    """The next part of the value, and where in the file it ends."""
    if match := _ORDINARY.match(text, position, end):
        return match.group(), match.end()
    if match := _FOLD.match(text, position, end):
        breaks = _breaks_in(match.group())
        return " " if breaks == 1 else "\n" * (breaks - 1), match.end()
    if quote == "'" and text.startswith("''", position, end):
        return "'", position + 2
    if quote == '"' and (match := _ESCAPED_BREAK.match(text, position, end)):
        return "\n" * (_breaks_in(match.group()) - 1), match.end()
    if quote == '"' and (match := _ESCAPE.match(text, position, end)):
        return _unescaped(match), match.end()
    return text[position], position + 1


def _breaks_in(between: str) -> int:
    return sum(1 for _ in LINE_BREAK.finditer(between))


def _unescaped(match: re.Match[str]) -> str:
    code = match[1] or match[2] or match[3]
    return chr(int(code, 16)) if code else _ESCAPED.get(match[4], "")


class _Line(NamedTuple):
    content: str
    start: int
    end: int
    """Where its line break ends."""

    @property
    def is_indented(self) -> bool:
        return self.content[:1] in {" ", "\t"}


def _block(text: str, scalar: Scalar) -> Iterator[_Piece]:
    lines = list(_block_lines(text, scalar))
    following: _Line | None = None  # the next one that isn't empty
    breaks: list[str] = []
    for index, line in reversed(list(enumerate(lines))):
        next_is_empty = index + 1 < len(lines) and not lines[index + 1].content
        breaks.append(_line_break(scalar.style, line, following, next_is_empty=next_is_empty))
        following = line if line.content else following
    for line, line_break in zip(lines, reversed(breaks), strict=True):
        yield _Piece(line.content, line.start, line.start + len(line.content))
        yield _Piece(line_break, line.end - 1, line.end)


def _line_break(style: str, line: _Line, following: _Line | None, *, next_is_empty: bool) -> str:
    """What the end of a line becomes: folding takes one break from between two lines that aren't indented further."""
    if style == "|" or not line.content or not following or line.is_indented or following.is_indented:
        return "\n"
    return "" if next_is_empty else " "


def _block_lines(text: str, scalar: Scalar) -> Iterator[_Line]:
    """Lines without their indentation, which is told from the first line that isn't empty."""
    header = LINE_BREAK.search(text, scalar.start)
    if not header:
        return
    position = header.end()
    in_file, in_value = _FIRST_INDENT.match(text, position), _FIRST_INDENT.match(scalar.value)
    indentation = len(in_file[1]) - len(in_value[1]) if in_file and in_value else 0
    while position < len(text):
        found = LINE_BREAK.search(text, position)
        stop, after = (found.start(), found.end()) if found else (len(text), len(text) + 1)
        line = text[position:stop]
        if line.strip(" ") and len(line) - len(line.lstrip(" ")) < indentation:
            return
        yield _Line(line[indentation:], min(position + indentation, stop), after)
        position = after
