from __future__ import annotations

from typing import TYPE_CHECKING, cast

from gitopsd.runner.errors import JobError

if TYPE_CHECKING:
    from collections.abc import Mapping


class Settings:
    """One JSON object of job.json, read key by key with its types checked; `where` names it in messages."""

    def __init__(self, values: object, where: str) -> None:
        if not isinstance(values, dict):
            raise JobError(f"{where} must be an object; the release is damaged, apply it again")
        self._values: Mapping[str, object] = values
        self.where = where

    def text(self, key: str, default: str | None = None) -> str:
        return cast("str", self._get(key, (str,), "a text", default))

    def is_text(self, key: str) -> bool:
        return isinstance(self._values.get(key), str)

    def is_list(self, key: str) -> bool:
        return isinstance(self._values.get(key), list)

    def is_number(self, key: str) -> bool:
        value = self._values.get(key)
        return isinstance(value, (int, float)) and not isinstance(value, bool)

    def only(self, *known: str) -> None:
        """Raises JobError for a key that isn't one of `known`."""
        unknown = [name for name in self.names() if name not in known]
        if unknown:
            raise JobError(f"{self.where} has no {unknown[0]}, only {', '.join(known)}; correct it in the workflow")

    def choice(self, key: str, choices: tuple[str, ...]) -> str:
        """One of `choices`, the first by default. Raises JobError, as all of these do."""
        value = self.text(key, choices[0])
        if value not in choices:
            raise self.wrong(key, " or ".join(choices))
        return value

    def integer(self, key: str, default: int | None = None) -> int:
        return cast("int", self._get(key, (int,), "an integer", default))

    def number(self, key: str, default: float | None = None) -> float:
        return float(cast("float", self._get(key, (int, float), "a number", default)))

    def items(self, key: str) -> list[object]:
        return cast("list[object]", self._get(key, (list,), "a list", None))

    def texts(self, key: str) -> list[str]:
        values = self.items(key)
        if not values or not all(isinstance(value, str) for value in values):
            raise self.wrong(key, "a list of texts")
        return cast("list[str]", values)

    def section(self, key: str) -> Settings:
        return Settings(self._get(key, (dict,), "an object", {}), f"{self.where}.{key}")

    def sections(self, key: str) -> list[Settings]:
        return [Settings(value, f"{self.where}.{key}[{index}]") for index, value in enumerate(self.items(key))]

    def has_list(self, key: str) -> bool:
        return isinstance(self._values.get(key), list)

    def names(self) -> list[str]:
        return sorted(self._values)

    def wrong(self, key: str, expected: str) -> JobError:
        return JobError(f"{self.where}.{key} must be {expected}; correct it in the workflow")

    def _get(self, key: str, kinds: tuple[type, ...], expected: str, default: object) -> object:
        value = self._values.get(key, default)
        if not isinstance(value, kinds) or isinstance(value, bool):
            raise self.wrong(key, expected)
        return value
