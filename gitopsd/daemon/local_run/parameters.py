"""Values of parameters as they are given on a command line."""

from collections.abc import Mapping, Sequence
from typing import Any

from gitopsd.compiler.yaml.reader import read_yaml
from gitopsd.daemon.errors import ControllerError


def parameters(texts: Sequence[str]) -> Mapping[str, Any]:
    """`NAME=VALUE`, the value read as YAML would read it: `3` is a number, `[a, b]` a list. Raises ControllerError."""
    values: dict[str, Any] = {}
    for text in texts:
        name, equals, written = text.partition("=")
        if not equals or not name:
            raise ControllerError(f"`{text[:80]}` gives no parameter a value", "write --param NAME=VALUE")
        document, mistakes = read_yaml("--param", written.encode(errors="replace"))
        if mistakes:
            hint = mistakes[0].hint or "put the value in quotes"
            raise ControllerError(f"the value of `{name}` can't be read: {mistakes[0].message}", hint)
        values[name] = document.value
    return values
