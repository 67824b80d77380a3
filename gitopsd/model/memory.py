"""What was worked out before, found again by everything that it was worked out from."""

from collections.abc import Sequence
from hashlib import sha256
from typing import Protocol, TypeVar

import msgspec

T = TypeVar("T")


class Memory(Protocol):
    """Remembers results of pure functions. Forgetting one is never wrong: it is worked out anew.

    Values are msgspec structs. A key must name the kind of value and every input that the value follows from, except
    the code itself, for which the memory answers.
    """

    def recall(self, key: str, kind: type[T]) -> T | None: ...

    def keep(self, key: str, value: object) -> None: ...


class Forgetful:
    """A memory that keeps nothing: everything is worked out."""

    def recall(self, key: str, kind: type[T]) -> T | None:
        del key, kind
        return None

    def keep(self, key: str, value: object) -> None:
        del key, value


def memory_key(kind: str, *parts: str | Sequence[str]) -> str:
    """`<kind>:<40 hex digits>` over the parts; where one ends and the next begins counts."""
    return f"{kind}:{sha256(msgspec.msgpack.encode(parts)).hexdigest()[:40]}"
