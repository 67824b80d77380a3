"""The value of a secret, which shows itself to nobody but who asks for it by `reveal`."""

import hmac
from hashlib import sha256
from typing import NoReturn


class SecretValue:
    """Prints as `<secret>`, and can be neither serialised nor compared but in constant time."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The value itself: for the one place that hands it over."""
        return self._value

    def fingerprint(self, key: bytes, job: str, name: str) -> str:
        """HMAC-SHA256 of the value as `job` is given it under `name`, in hex; as the agent makes them."""
        return hmac.new(key, b"\0".join((job.encode(), name.encode(), self._value)), sha256).hexdigest()

    def __repr__(self) -> str:
        return "<secret>"

    __str__ = __repr__

    def __format__(self, specification: str) -> str:
        return "<secret>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SecretValue) and hmac.compare_digest(self._value, other._value)

    def __hash__(self) -> int:
        raise TypeError("a secret has no hash")

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not serialised")
