"""What the operator's configuration must be beyond its declaration."""

from __future__ import annotations

import re
from ipaddress import ip_interface, ip_network
from typing import TYPE_CHECKING

from msgspec import UnsetType

from gitopsd.compiler.expressions.diagnostics import expression_diagnostic
from gitopsd.compiler.render.unit_settings import PRIVILEGES, SETTINGS
from gitopsd.compiler.words import short
from gitopsd.forge.address import api_address, is_repository
from gitopsd.model.amounts import seconds
from gitopsd.model.diagnostic import Diagnostic, Related, in_order
from gitopsd.model.names import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gitopsd.compiler.yaml.reader import Document
    from gitopsd.daemon.configuration.configuration import (
        Configuration,
        ForgeConfiguration,
        NotifyConfiguration,
        OnThisMachine,
        PolicyConfiguration,
        SecretConfiguration,
        WindowConfiguration,
    )

_SOURCES = ("env", "file", "credential", "sops")
_WRITTEN = {
    "env": "`env: VARIABLE`",
    "file": "`file: /etc/gitopsd/secrets/NAME`",
    "credential": "`credential: NAME`",
    "sops": "`sops: FILE` with `key: NAME`",
}
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ADDRESS = re.compile(r"([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\]):(?P<port>[0-9]{1,5})")
_SHORTEST_WINDOW = 60
_PERCENTAGE = re.compile(r"([0-9]{1,2}|100)%")


def check_configuration(configuration: Configuration, document: Document) -> list[Diagnostic]:
    """Every mistake, with its place in the file."""
    found: list[Diagnostic] = []
    if not isinstance(configuration.secrets, UnsetType):
        for name, secret in configuration.secrets.items():
            found += _check_secret(name, secret, document)
    for index, one in enumerate(configuration.notify):
        found += _check_notify(one, index, document)
    for key, port in (("metrics", 9464), ("webhook", 9465)):
        address = getattr(configuration.listen, key)
        if not is_address(address):
            hint = f'write host and port, such as `127.0.0.1:{port}` or, in quotes, `"[::1]:{port}"`'
            found.append(_wrong(f"`{short(address)}` can't be listened on", document, ("listen", key), hint))
    found += _check_forge(configuration, document)
    if not isinstance(configuration.policy, UnsetType):
        found += _check_policy(configuration.policy, document)
        found += _check_needs_forge(configuration, document)
    if not isinstance(configuration.signing, UnsetType) and isinstance(configuration.signing.key, str):
        found += _check_path(configuration.signing.key, document, ("signing", "key"))
    return list(in_order(found))


def percentage(text: str) -> int | None:
    """The number of `20%`; None when it can't be read."""
    match = _PERCENTAGE.fullmatch(text)
    return int(match[1]) if match else None


def is_address(text: str) -> bool:
    """Whether it is HOST:PORT, or empty."""
    return not text or ((match := _ADDRESS.fullmatch(text)) is not None and 0 < int(match["port"]) < 65536)


def parse_address(text: str) -> tuple[str, int]:
    """Host and port of what `is_address`."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def _check_secret(name: str, secret: SecretConfiguration, document: Document) -> Iterator[Diagnostic]:
    way = ("secrets", name)
    yield from _check_source(secret, _SOURCES, way, f"the secret `{name}`", document)
    given = [source for source in _SOURCES if not isinstance(getattr(secret, source), UnsetType)]
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
    for key in ("sops", "key"):
        value = getattr(secret, key)
        if isinstance(value, str) and not (value and value.isprintable() and ".." not in value.split("/")):
            hint = "name a file of the source branch, such as `secrets/production.yaml`, or an absolute path"
            message = f"`{short(value)}` can't be the `{key}` of a secret"
            yield _wrong(message, document, (*way, key), hint if key == "sops" else "")


def _check_source(
    source: OnThisMachine,
    ways: tuple[str, ...],
    way: tuple[str | int, ...],
    what: str,
    document: Document,
) -> Iterator[Diagnostic]:
    """`ways` are the keys that can say where the value is: one of them has to."""
    given = [key for key in ways if not isinstance(getattr(source, key), UnsetType)]
    if not given:
        *most, last = [_WRITTEN[key] for key in ways]
        yield Diagnostic(
            code="missing-key",
            message=f"{what} doesn't say where its value is",
            location=document.locate_key(*way),
            hint=f"add one of {', '.join(most)} and {last}",
        )
    for second in given[1:]:
        yield Diagnostic(
            code="conflicting-keys",
            message=f"{what} has both `{given[0]}` and `{second}`",
            location=document.locate_key(*way, second),
            related=(Related(message="the other one is here", location=document.locate_key(*way, given[0])),),
            hint="keep one of the two",
        )
    if isinstance(source.env, str) and not _VARIABLE.fullmatch(source.env):
        yield _wrong(
            f"{what} doesn't name an environment variable", document, (*way, "env"),
            "write the variable's name, not its value",
        )  # fmt: skip
    if isinstance(source.file, str) and not (source.file.startswith("/") and source.file.isprintable()):
        yield _wrong(f"{what} doesn't name an absolute path", document, (*way, "file"), "write the path from `/` on")


def _check_notify(notify: NotifyConfiguration, index: int, document: Document) -> Iterator[Diagnostic]:
    from gitopsd.daemon.configuration.notify_template import template_mistakes  # noqa: PLC0415 - for few alone

    yield from _check_source(notify.url, _SOURCES[:3], ("notify", index, "url"), "the webhook", document)
    for error in template_mistakes(notify.template):
        yield expression_diagnostic(error, document, ("notify", index, "template"), "`template`: ")


def _check_forge(configuration: Configuration, document: Document) -> Iterator[Diagnostic]:
    forge = configuration.forge
    if isinstance(forge, UnsetType) or isinstance(forge.webhook_secret, UnsetType):
        if configuration.listen.webhook:
            yield Diagnostic(
                code="missing-key",
                message="webhooks can't be told from anybody's: there is no `forge.webhook_secret`",
                location=document.locate_key("listen", "webhook"),
                hint="add `webhook_secret: {credential: webhook_secret}` to `forge`, or remove `webhook`",
            )
    else:
        way = ("forge", "webhook_secret")
        yield from _check_source(forge.webhook_secret, _SOURCES[:3], way, "the webhook's secret", document)
    if not isinstance(forge, UnsetType):
        yield from _check_source(forge.token, _SOURCES[:3], ("forge", "token"), "the forge's token", document)
        yield from _check_place(forge, document)


def _check_place(forge: ForgeConfiguration, document: Document) -> Iterator[Diagnostic]:
    if not is_repository(forge.kind, forge.repository):
        hint = "write it as in its address: the owner or the groups, a slash, the name"
        yield _wrong(f"`{short(forge.repository)}` is not a repository", document, ("forge", "repository"), hint)
    try:
        api_address(forge.kind, forge.url)
    except ValueError as error:
        yield Diagnostic(
            code="wrong-value",
            message=str(error),
            location=document.locate("forge", "url") if forge.url else document.locate_key("forge"),
            hint="write that of its front page, such as `url: https://git.example.com`",
        )


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
    for key in ("signers", "controllers"):
        listed = getattr(policy, key)
        for index, path in enumerate(() if isinstance(listed, UnsetType) else listed):
            yield from _check_path(path, document, ("policy", key, index))
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


def _check_needs_forge(configuration: Configuration, document: Document) -> Iterator[Diagnostic]:
    if isinstance(configuration.policy, UnsetType) or not isinstance(configuration.forge, UnsetType):
        return
    policy = configuration.policy
    about = {
        "require_reviewed_plan": bool(policy.require_reviewed_plan),
        "require_approval": bool(policy.require_approval),
        "rollback": policy.rollback == "pull-request",
    }
    for key, wanted in about.items():
        if wanted:
            yield Diagnostic(
                code="missing-key",
                message=f"`{key}` is about pull requests, and there is no `forge` that has them",
                location=document.locate_key("policy", key),
                hint="add `forge`, or remove it",
            )


def _check_windows(windows: Sequence[WindowConfiguration], document: Document) -> Iterator[Diagnostic]:
    from gitopsd.daemon.configuration.schedules import is_time_zone, schedule_problem  # noqa: PLC0415 - 7 ms, for most of no use

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


def _check_path(path: str, document: Document, way: tuple[str | int, ...]) -> Iterator[Diagnostic]:
    if not (path.startswith("/") and path.isprintable()):
        yield _wrong(f"`{short(path)}` is not an absolute path", document, way, "write it from `/` on")


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
