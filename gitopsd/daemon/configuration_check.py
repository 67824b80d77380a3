"""What the operator's configuration must be beyond its declaration."""

from __future__ import annotations

import re
from ipaddress import ip_interface, ip_network
from typing import TYPE_CHECKING

from msgspec import UnsetType

from gitopsd.compiler.render.unit_settings import PRIVILEGES, SETTINGS
from gitopsd.compiler.words import short
from gitopsd.model.amounts import seconds
from gitopsd.model.diagnostic import Diagnostic, Related, in_order
from gitopsd.model.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gitopsd.compiler.yaml.reader import Document
    from gitopsd.daemon.configuration import (
        Configuration,
        PolicyConfiguration,
        SecretConfiguration,
        WindowConfiguration,
    )

_SOURCES = ("env", "file", "sops")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SHORTEST_WINDOW = 60
_PERCENTAGE = re.compile(r"([0-9]{1,2}|100)%")


def check_configuration(configuration: Configuration, document: Document) -> list[Diagnostic]:
    """Every mistake, with its place in the file."""
    found: list[Diagnostic] = []
    if not isinstance(configuration.secrets, UnsetType):
        for name, secret in configuration.secrets.items():
            found += _check_secret(name, secret, document)
    if not isinstance(configuration.policy, UnsetType):
        found += _check_policy(configuration.policy, document)
    return list(in_order(found))


def percentage(text: str) -> int | None:
    """The number of `20%`; None when it can't be read."""
    match = _PERCENTAGE.fullmatch(text)
    return int(match[1]) if match else None


def _check_secret(name: str, secret: SecretConfiguration, document: Document) -> Iterator[Diagnostic]:
    way = ("secrets", name)
    given = [source for source in _SOURCES if not isinstance(getattr(secret, source), UnsetType)]
    if not given:
        yield Diagnostic(
            code="missing-key",
            message=f"the secret `{name}` doesn't say where its value is",
            location=document.locate_key(*way),
            hint=f"add one of `env: VARIABLE`, `file: /etc/gitopsd/secrets/{name}` and `sops: FILE` with `key: {name}`",
        )
    for second in given[1:]:
        yield Diagnostic(
            code="conflicting-keys",
            message=f"the secret `{name}` has both `{given[0]}` and `{second}`",
            location=document.locate_key(*way, second),
            related=(Related(message="the other one is here", location=document.locate_key(*way, given[0])),),
            hint="keep one of the two",
        )
    if "sops" in given and isinstance(secret.key, UnsetType):
        yield Diagnostic(
            code="missing-key",
            message=f"the secret `{name}` doesn't say which value of the file it is",
            location=document.locate_key(*way, "sops"),
            hint=f"add `key: {name}`",
        )
    if "sops" not in given and not isinstance(secret.key, UnsetType):
        yield Diagnostic(
            code="conflicting-keys",
            message=f"`key` is for `sops`, and the secret `{name}` has none",
            location=document.locate_key(*way, "key"),
            hint="remove `key`, or name the file with `sops:`",
        )
    yield from _check_sources(name, secret, document)


def _check_sources(name: str, secret: SecretConfiguration, document: Document) -> Iterator[Diagnostic]:
    way = ("secrets", name)
    if isinstance(secret.env, str) and not _VARIABLE.fullmatch(secret.env):
        yield _wrong(
            f"the secret `{name}` doesn't name an environment variable", document, (*way, "env"),
            "write the variable's name, not its value",
        )  # fmt: skip
    if isinstance(secret.file, str) and not (secret.file.startswith("/") and secret.file.isprintable()):
        yield _wrong(
            f"`{short(secret.file)}` is not an absolute path", document, (*way, "file"), "write it from `/` on"
        )
    for key in ("sops", "key"):
        value = getattr(secret, key)
        if isinstance(value, str) and not (value and value.isprintable() and ".." not in value.split("/")):
            hint = "name a file of the source branch, such as `secrets/production.yaml`, or an absolute path"
            message = f"`{short(value)}` can't be the `{key}` of a secret"
            yield _wrong(message, document, (*way, key), hint if key == "sops" else "")


def _check_policy(policy: PolicyConfiguration, document: Document) -> Iterator[Diagnostic]:
    if percentage(policy.max_delete) is None:
        yield _wrong(
            f"`max_delete` can't be `{short(policy.max_delete)}`", document, ("policy", "max_delete"),
            "write a percentage from 0% to 100%, such as `20%`",
        )  # fmt: skip
    if not isinstance(policy.addresses, UnsetType):
        for index, address in enumerate(policy.addresses):
            hint = _network_problem(address)
            if hint:
                message = f"`{short(address)}` is not a network"
                yield _wrong(message, document, ("policy", "addresses", index), hint)
    if policy.windows:
        yield from _check_windows(policy.windows, document)
    if not isinstance(policy.unit_settings, UnsetType):
        known = {**SETTINGS, **PRIVILEGES}
        for index, setting in enumerate(policy.unit_settings):
            way = ("policy", "unit_settings", index)
            if setting == "User":
                message = "the setting `User` is allowed by the names of users"
                yield _wrong(message, document, way, "list the users under `policy.users`, and remove it here")
            elif setting not in known:
                message = f"`{short(setting)}` is not among the unit settings that can be allowed"
                yield _wrong(message, document, way, did_you_mean(setting, known))


def _check_windows(windows: Sequence[WindowConfiguration], document: Document) -> Iterator[Diagnostic]:
    from gitopsd.daemon.schedules import is_time_zone, schedule_problem  # noqa: PLC0415 - 7 ms, for most of no use

    for index, window in enumerate(windows):
        way = ("policy", "windows", index)
        problem = schedule_problem(window.schedule)
        if problem:
            yield _wrong(
                f"`{short(window.schedule)}` is no schedule: {problem}", document, (*way, "schedule"),
                "write minute, hour, day of the month, month and day of the week, such as `0 8 * * 1-5`",
            )  # fmt: skip
        if seconds(window.duration) < _SHORTEST_WINDOW:
            message = f"a window of `{window.duration}` is shorter than a minute"
            yield _wrong(message, document, (*way, "duration"), "write a duration such as `30m` or `10h`")
        if not is_time_zone(window.time_zone):
            message = f"there is no time zone `{short(window.time_zone)}`"
            yield _wrong(message, document, (*way, "time_zone"), "write one of the IANA's, such as `Europe/Berlin`")


def _network_problem(text: str) -> str:
    """What would make it a network; empty where it is one."""
    try:
        ip_network(text)
    except ValueError:
        pass
    else:
        return ""
    try:
        return f"write `{ip_interface(text).network}` for the network around it"
    except ValueError:
        return 'write it as `10.0.0.0/8` or, in quotes, `"fd00::/8"`'


def _wrong(message: str, document: Document, way: tuple[str | int, ...], hint: str) -> Diagnostic:
    return Diagnostic(code="wrong-value", message=message, location=document.locate(*way), hint=hint)
