"""A call of an API as its handlers get it, and what they give back."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

if TYPE_CHECKING:
    from tests.forge.standin.forge import Standin

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Call:
    """`place` holds the variable parts of the path."""

    forge: "Standin"
    place: Mapping[str, str]
    query: Mapping[str, str]
    body: Json

    @property
    def number(self) -> int:
        return int(self.place["number"])


@dataclass(frozen=True, kw_only=True)
class Reply:
    """`body` as JSON; a list is cut into pages, unless it's `whole`."""

    body: Json | list[Json]
    status: int = 200
    whole: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


class NoSuchThingError(Exception):
    """404."""


class RefusedError(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


Handler = Callable[[Call], Reply]


@dataclass(frozen=True, kw_only=True)
class Api:
    """`routes`: method, path and handler. `size`: the query's word for the length of a page."""

    root: str
    routes: Sequence[tuple[str, str, Handler]]
    size: str
    has_etags: bool

    def find(self, method: str, raw_path: str) -> tuple[Handler, Mapping[str, str]]:
        for known, path, handler in self.routes:
            pattern = re.escape(self.root + path).replace(r"\{", "{").replace(r"\}", "}")
            match = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", pattern), raw_path)
            if match and known == method:
                return handler, {key: unquote(value) for key, value in match.groupdict().items()}
        raise NoSuchThingError
