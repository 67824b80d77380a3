"""JSON as text, read and written as strictly and as fast as the standard library can."""

from __future__ import annotations

import json
from json import encoder
from typing import Any, Callable, NoReturn, cast


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


_DECODER: Any = json.JSONDecoder(parse_constant=_refuse_constant)

scan: Callable[[str, int], tuple[object, int]] = _DECODER.scan_once
"""The value that begins at an index of a text, and where it ends. Raises StopIteration, ValueError, RecursionError."""


def decode(text: str) -> object:
    """The value that a text is, blanks around it allowed. Raises ValueError, RecursionError."""
    return cast("object", _DECODER.decode(text))


def _encoder() -> Callable[[object], str]:
    plain = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False, check_circular=False)
    # `encode` makes one of these for every value that it writes, at half of what a small event costs.
    make = getattr(encoder, "c_make_encoder", None)
    if make is None:
        return plain.encode
    parts = make(None, plain.default, encode_text, None, ":", ",", False, False, False)
    return lambda value: "".join(parts(value, 0))


encode_text: Callable[[str], str] = encoder.encode_basestring

encode = _encoder()
"""The shortest JSON of a value without cycles, in which only what must be is escaped. Raises ValueError."""
