"""Unit settings that a blueprint may set, and what each of them may be; everything else of a unit is fixed.

`SETTINGS` are for every blueprint. `PRIVILEGES` give a job more than gitopsd's units give by themselves: they may be
written by everybody, and are rendered only where the operator's policy allows them (compiler/policy.py).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gitopsd.model.names import END, USER_PATTERN
from gitopsd.model.policy import DEFAULT_USER


class UnitValueError(ValueError):
    """A setting that isn't allowed or can't be written into a unit; the message says why, `hint` what would do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True, kw_only=True)
class _Kind:
    pattern: str
    example: str


_SIZE = _Kind(pattern=r"[0-9]{1,15}[KMGT]?|[0-9]{1,3}%|infinity", example="a size such as `128M`, or `infinity`")
_QUOTA = _Kind(pattern=r"[0-9]{1,6}%", example="a share of one processor such as `50%` or `200%`")
_WEIGHT = _Kind(pattern=r"[1-9][0-9]{0,3}|10000", example="a number from 1 to 10000")
_LIMIT = _Kind(
    pattern=r"([0-9]{1,15}|infinity)(:([0-9]{1,15}|infinity))?", example="a number such as `4096`, or `infinity`"
)
_TASKS = _Kind(pattern=r"[0-9]{1,15}|[0-9]{1,3}%|infinity", example="a number such as `64`, or `infinity`")
_NICE = _Kind(pattern=r"-?[0-9]|-?1[0-9]|-20", example="a number from -20 to 19")
_FLAG = _Kind(pattern=r"yes|no", example="`true` or `false`")
_HOME = _Kind(pattern=r"yes|no|read-only|tmpfs", example="`true`, `false`, `read-only` or `tmpfs`")
_TIME = _Kind(pattern=r"[0-9]{1,9}(ms|s|min|h)?|infinity", example="a time such as `30s`, or `infinity`")
_MODE = _Kind(pattern=r"[0-7]{3,4}", example='a mode in quotes such as `"0027"`')
_PATHS = _Kind(
    pattern=r"-?/[^\s\"'\\]*( -?/[^\s\"'\\]*)*", example="absolute paths with a space between them, without quotes"
)
_ACCOUNT = USER_PATTERN.removeprefix("^").removesuffix(END)
_CALLS = _Kind(  # what these two allow is little for a job without capabilities
    pattern=r"(@chown|@resources)( (@chown|@resources))?",
    example="`@chown`, `@resources` or both, without which some programs don't work",
)
_USER = _Kind(pattern=_ACCOUNT, example="the name of an account on the worker, such as `postgres`")
_GROUPS = _Kind(pattern=rf"{_ACCOUNT}( {_ACCOUNT}){{0,15}}", example="names of groups on the worker, such as `adm`")
_CAPABILITY = r"CAP_[A-Z]{2,20}(_[A-Z]{2,20}){0,3}"
_CAPABILITIES = _Kind(
    pattern=rf"{_CAPABILITY}( {_CAPABILITY}){{0,15}}",
    example="capabilities with a space between them, such as `CAP_NET_BIND_SERVICE`",
)

SETTINGS: Mapping[str, _Kind] = {
    "CPUQuota": _QUOTA,
    "CPUWeight": _WEIGHT,
    "IOWeight": _WEIGHT,
    "InaccessiblePaths": _PATHS,
    "LimitNOFILE": _LIMIT,
    "LimitNPROC": _LIMIT,
    "MemoryDenyWriteExecute": _FLAG,
    "MemoryHigh": _SIZE,
    "MemoryMax": _SIZE,
    "MemorySwapMax": _SIZE,
    "Nice": _NICE,
    "PrivateDevices": _FLAG,
    "PrivateNetwork": _FLAG,
    "PrivateTmp": _FLAG,
    "ProtectHome": _HOME,
    "ReadOnlyPaths": _PATHS,
    "RestartSec": _TIME,
    "SystemCallFilter": _CALLS,
    "TasksMax": _TASKS,
    "TimeoutStartSec": _TIME,
    "TimeoutStopSec": _TIME,
    "UMask": _MODE,
}

PRIVILEGES: Mapping[str, _Kind] = {
    "AmbientCapabilities": _CAPABILITIES,
    "CapabilityBoundingSet": _CAPABILITIES,
    "ReadWritePaths": _PATHS,
    "SupplementaryGroups": _GROUPS,
    "User": _USER,
}
"""Rendered only with the operator's leave: `policy.users` for User, `policy.unit_settings` for the others."""


def setting_text(name: str, value: Any) -> str:
    """The setting's value as the unit has it, one line by construction. Raises UnitValueError."""
    kind = SETTINGS.get(name) or PRIVILEGES.get(name)
    if kind is None:
        raise UnitValueError(f"the unit setting `{name[:60]}` is not among those that a blueprint may set")
    text = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
    if not isinstance(value, str | int) or (kind is _MODE and not isinstance(value, str)):
        text = ""
    if not re.fullmatch(kind.pattern, text) or not text.isprintable():
        raise UnitValueError(f"the unit setting `{name}` can't be `{str(value)[:60]}`", f"write {kind.example}")
    # only lists of paths know specifiers; everywhere else `%` is a percent sign
    return text.replace("%", "%%") if kind is _PATHS else text


def user_of(settings: Mapping[str, Any]) -> str:
    """The account that a job with these settings runs as, under systemd."""
    return str(settings.get("User", DEFAULT_USER))
