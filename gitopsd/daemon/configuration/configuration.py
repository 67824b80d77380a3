"""The operator's configuration. It is not in the repository that it governs, and everything has a default."""

import os
import pwd
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct, UnsetType, field

from gitopsd.compiler.declarations.decode import decode
from gitopsd.compiler.yaml.reader import Document, read_yaml
from gitopsd.daemon.configuration.check import check_configuration
from gitopsd.daemon.errors import DiagnosticsError
from gitopsd.forge.forge import ForgeKind
from gitopsd.model.amounts import Duration
from gitopsd.model.diagnostic import Diagnostic
from gitopsd.model.names import Name, SecretName, UserName

IDENTITY_VARIABLE = "SOPS_AGE_KEY"
"""Holds a private key of age, as `sops` has it."""

_SECRET_SECTIONS = frozenset({"secrets", "notify", "forge"})
"""Where somebody may have written a secret itself: a mistake there is shown without the text around it."""

_HARMLESS = re.compile(r"\s+(kind|repository|url|forks):[^,{@]*")
"""Lines of such a section that hold none, and are shown."""

SYSTEM_PATH = Path("/etc/gitopsd/config.yaml")


class Credential(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A credential that systemd hands to the service."""

    credential: SecretName


class SshConfiguration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How workers are reached; what is missing is taken from ~/.ssh as OpenSSH would."""

    identity: str | Credential = ""
    jump: str = ""


class SecretConfiguration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a secret's value is, in one of four ways, and who may use it; none named means every one.

    `sops` is a file, below the source branch where its path is relative, and `key` the value's place in it.
    """

    env: str | UnsetType = UNSET
    file: str | UnsetType = UNSET
    credential: SecretName | UnsetType = UNSET
    sops: str | UnsetType = UNSET
    key: str | UnsetType = UNSET
    workflows: tuple[Name, ...] = ()
    groups: tuple[Name, ...] = ()


class WindowConfiguration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Times at which new versions may be deployed, or may not: from each time of the schedule on, for the duration.

    `schedule` has the five fields of cron. Without `environments` or `groups` it is about all of them.
    """

    kind: Literal["allow", "deny"]
    schedule: str
    duration: Duration
    time_zone: str = "UTC"
    environments: tuple[Name, ...] = ()
    groups: tuple[Name, ...] = ()


class SigningConfiguration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The SSH key that signs what gitopsd commits."""

    key: str | Credential


def _is_among(environment: str, wanted: bool | tuple[str, ...]) -> bool:
    return wanted if isinstance(wanted, bool) else environment in wanted


class PolicyConfiguration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the repository may ask for. A key narrows what the edition allows, and never widens it."""

    edition: Literal["full", "community"] = "full"
    entitlements: tuple[Name, ...] | UnsetType = UNSET
    max_jobs: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    max_delete: str = "20%"
    groups: tuple[Name, ...] | UnsetType = UNSET
    addresses: tuple[str, ...] | UnsetType = UNSET
    local_workers: bool | UnsetType = UNSET
    users: tuple[UserName, ...] = ()
    unit_settings: tuple[str, ...] | UnsetType = UNSET
    upgrades: Literal["auto", "hold"] = "auto"
    windows: tuple[WindowConfiguration, ...] = ()
    signers: tuple[str, ...] | UnsetType = UNSET
    controllers: tuple[str, ...] | UnsetType = UNSET
    require_reviewed_plan: bool | tuple[Name, ...] = False
    require_approval: bool | tuple[Name, ...] = False
    rollback: Literal["push", "pull-request"] = "push"

    def requires_review(self, environment: str) -> bool:
        """Whether only what a merged pull request showed is deployed there by itself."""
        return _is_among(environment, self.require_reviewed_plan) or self.requires_approval(environment)

    def requires_approval(self, environment: str) -> bool:
        """Whether only what somebody approved there is."""
        return _is_among(environment, self.require_approval)


class IntervalsConfiguration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How often a controller looks by itself: for new versions, at all workers, and for pull requests."""

    poll: Duration = "30s"
    reconcile: Duration = "60s"
    pulls: Duration = "60s"


class ListenConfiguration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a controller listens. `control` is the path of the socket for other commands of gitopsd.

    `metrics` is HOST:PORT for Prometheus and health checks, `webhook` for the forge's deliveries; empty means nowhere.
    """

    control: str = ""
    metrics: str = ""
    webhook: str = ""


class NotifyUrl(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the address of a webhook is: whoever has it may post there, so it is a secret."""

    env: str | UnsetType = UNSET
    file: str | UnsetType = UNSET
    credential: SecretName | UnsetType = UNSET


Occasion = Literal["deployed", "failed", "reverted", "held", "unreachable", "recovered"]


class NotifyConfiguration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A webhook that is told of changes; of all of them where none is listed."""

    url: NotifyUrl
    on: tuple[Occasion, ...] = ()
    environments: tuple[Name, ...] = ()
    template: str | dict[str, Any] | UnsetType = UNSET


class ForgeSecret(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where a secret that gitopsd shares with a forge is."""

    env: str | UnsetType = UNSET
    file: str | UnsetType = UNSET
    credential: SecretName | UnsetType = UNSET


class ForgeConfiguration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the pull requests are. `url` is the forge's front page; github.com's and gitlab.com's may be left out."""

    kind: ForgeKind
    repository: str
    url: str = ""
    token: ForgeSecret
    webhook_secret: ForgeSecret | UnsetType = UNSET
    forks: Literal["refuse", "plan"] = "refuse"


OnThisMachine = SecretConfiguration | NotifyUrl | ForgeSecret
"""What says that a value is in a variable, a file or a credential."""


class Configuration(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What governs repositories and is in none of them; everything has a default."""

    repository: str = ""
    source_branch: str = ""
    intervals: IntervalsConfiguration = field(default_factory=IntervalsConfiguration)
    listen: ListenConfiguration = field(default_factory=ListenConfiguration)
    ssh: SshConfiguration = field(default_factory=SshConfiguration)
    signing: SigningConfiguration | UnsetType = UNSET
    secrets: dict[SecretName, SecretConfiguration] | UnsetType = UNSET
    policy: PolicyConfiguration | UnsetType = UNSET
    notify: tuple[NotifyConfiguration, ...] = ()
    forge: ForgeConfiguration | UnsetType = UNSET


def policy_of(configuration: Configuration) -> PolicyConfiguration:
    """The operator's own policy; the defaults where there is none."""
    return PolicyConfiguration() if isinstance(configuration.policy, UnsetType) else configuration.policy


def configuration_path(path: Path | None) -> Path:
    """The file that is read: the one at `path`, else the system's, else the user's; where there is none, the one that
    would be. Whoever is not root may not be able to write the system's.
    """
    found = path or next((known for known in (SYSTEM_PATH, _user_path()) if _is_there(known)), None)
    return found or (SYSTEM_PATH if os.geteuid() == 0 else _user_path())


def _own_name() -> str:
    try:
        return f"`{pwd.getpwuid(os.geteuid()).pw_name}`"
    except KeyError:
        return f"the user {os.geteuid()}"


def _is_there(path: Path) -> bool:
    """One in a folder that we may not look into is taken to be there: what it says must not be passed over."""
    try:
        return path.exists()
    except PermissionError:
        return True


def read_configuration(path: Path | None) -> Configuration:
    """The file at `path`, else the system's, else the user's, else the defaults. Raises DiagnosticsError."""
    chosen = configuration_path(path)
    if path is None and not _is_there(chosen):
        return Configuration()
    try:
        content = chosen.read_bytes()
    except OSError as error:
        hint = "check --config"
        if isinstance(error, PermissionError):
            hint = f"let {_own_name()}, or a group of that account's, read it; or name another one with --config"
        raise DiagnosticsError.at_file(
            str(chosen), "unreadable-file", f"the configuration can't be read: {error.strerror}", hint
        ) from None
    document, mistakes = read_yaml(str(chosen), content)
    if document.value is None and not mistakes:
        return Configuration()
    configuration, more = (None, []) if mistakes else decode(document, Configuration)
    if configuration is not None:
        more = check_configuration(configuration, document)
    if mistakes:
        raise DiagnosticsError(mistakes, {})  # without an excerpt: who knows where in it a secret stands
    if configuration is None or more:
        if not isinstance(document.value, dict):
            raise DiagnosticsError(more, {})
        told, quoted = _without_values(document, more)
        raise DiagnosticsError(told, {str(chosen): quoted.encode()})
    return configuration


def _without_values(document: Document, mistakes: Sequence[Diagnostic]) -> tuple[list[Diagnostic], str]:
    """The mistakes and the text to quote from: somebody may have written a secret where its source belongs."""
    lines = re.split("\r\n|\r|\n", document.text)
    inside: set[int] = set()
    for section in _SECRET_SECTIONS & document.value.keys():
        first = document.locate_key(section).line
        after = (number for number, line in enumerate(lines[first:], first + 1) if re.match(r"[^\s#-]", line))
        section_lines = range(first, next(after, len(lines) + 1))
        inside.update(number for number in section_lines if not _HARMLESS.fullmatch(lines[number - 1]))
    shown = [
        re.sub(r"^(\s*[\w-]*:?).*", r"\1 …", line) if number in inside else line for number, line in enumerate(lines, 1)
    ]
    hint = "a secret's value stays out of this file: `{env: NAME}`, `{file: PATH}`, `{credential: NAME}`…"
    told = [
        replace(one, message=_without_value(one), hint=hint) if one.location.line in inside else one for one in mistakes
    ]
    return told, "\n".join(shown)


def _without_value(mistake: Diagnostic) -> str:
    if mistake.code == "bad-name":
        return "that is not a valid name here"
    return mistake.message.partition(", not ")[0]


def secret_sources(configuration: Configuration) -> tuple[OnThisMachine, ...]:
    """Where all secrets are that the configuration names, whatever they are for."""
    secrets = {} if isinstance(configuration.secrets, UnsetType) else configuration.secrets
    forge = configuration.forge
    shared = () if isinstance(forge, UnsetType) else (forge.token, forge.webhook_secret)
    return (
        *secrets.values(),
        *(one.url for one in configuration.notify),
        *(one for one in shared if not isinstance(one, UnsetType)),
    )


def secret_variables(configuration: Configuration) -> frozenset[str]:
    """The environment variables that hold secrets, the key to those in files of SOPS among them."""
    sources = secret_sources(configuration)
    named = {source.env for source in sources if isinstance(source.env, str)}
    has_sops = any(isinstance(source, SecretConfiguration) and isinstance(source.sops, str) for source in sources)
    return frozenset(named | {IDENTITY_VARIABLE} if has_sops else named)


def _user_path() -> Path:
    base = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base.startswith("/") else Path.home() / ".config") / "gitopsd" / "config.yaml"
