"""One job: its `job.json`, its files, its unit, and what the release says of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from msgspec import UnsetType

from gitopsd.compiler.checks.blueprint import KINDS
from gitopsd.compiler.checks.policy import refused_settings
from gitopsd.compiler.expressions.texts import ExpressionError, evaluate, names_used
from gitopsd.compiler.expressions.values import MAX_EVALUATED, Spending, TooMuchEvaluated, size_of
from gitopsd.compiler.parameters import ParameterError, checked
from gitopsd.compiler.parse import Library
from gitopsd.compiler.paths import is_plain_absolute, is_system_path, not_absolute, system_path
from gitopsd.compiler.render.actions import check_actions
from gitopsd.compiler.render.job_error import JobError
from gitopsd.compiler.render.messages import (
    MESSAGE,
    is_of_messages,
    kind_with_messages,
    message_parts,
    without_messages,
)
from gitopsd.compiler.render.named_ports import check_named_ports
from gitopsd.compiler.render.schedule import check_scheduled, schedule_of
from gitopsd.compiler.render.unit import timer_name, timer_text, unit_name, unit_text
from gitopsd.compiler.render.unit_settings import UnitValueError, setting_text
from gitopsd.compiler.route import RoutedJob
from gitopsd.compiler.transports import TRANSPORTS
from gitopsd.compiler.words import short, word_for
from gitopsd.model.blueprint import Blueprint, Job, ReadyCheck, ShippedFile
from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.policy import DEFAULT_USER, PolicyRecord
from gitopsd.model.system import BoundStep, Deferred, Scope
from gitopsd.model.trees import TreeFile

RUNNER_ARGV = ["python3", "-IB", "../../runtime/runner"]

MAX_LATE = 4 * MAX_EVALUATED
"""What the expressions of all jobs of one workflow may come to: those that wait for the worker, and the blueprints'."""

_DIFFERS_BY_REPLICA = frozenset({"worker", "job"})
_ADAPTER = Job()


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContent:
    """What a job comes to: `units` are the texts of its unit files by name.

    `entry` is its part of `release.json`, still without the digest. `libraries` ship in its release for it.
    """

    document: Mapping[str, Any]
    files: Mapping[str, TreeFile]
    units: Mapping[str, str]
    entry: dict[str, Any]
    uses_runner: bool
    libraries: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Evaluated:
    """The part `job:` of a blueprint with its expressions evaluated. `role` is the runner's, empty without a runner."""

    kind: str
    role: str
    schedule: str = ""
    argv: list[str] | None = None
    validate: list[str] | None = None
    with_: Mapping[str, Any] = field(default_factory=dict)
    files: Mapping[str, TreeFile] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    writes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Names:
    """What the expressions of one job see, and what they may still come to."""

    names: Mapping[str, Any]
    spending: Spending


class JobRenderer:
    """Renders the jobs of one workflow; what the replicas of a step have in common is worked out once."""

    def __init__(self, environment: str, libraries: Mapping[str, Library], policy: PolicyRecord | None) -> None:
        self._environment = environment
        self._libraries = libraries
        self._policy = policy
        self._common: dict[str, _Evaluated] = {}
        self._spending = Spending(MAX_LATE)

    def content(self, routed: RoutedJob) -> JobContent:
        """Raises JobError."""
        if routed.step is None:
            return _content(routed, _ADAPTER, (), _Evaluated(kind="service", role="relay"))
        blueprint = routed.step.blueprint
        evaluated = self._evaluated(routed, routed.step)
        evaluated = replace(evaluated, kind=kind_with_messages(routed, evaluated.kind))
        if evaluated.kind == "schedule":
            check_scheduled(routed)
        return _content(routed, blueprint.job, blueprint.secrets, evaluated)

    def _evaluated(self, routed: RoutedJob, step: BoundStep) -> _Evaluated:
        if step.name in self._common:
            return self._common[step.name]
        try:
            evaluated = self._evaluate(step, _scope(routed, step, self._environment, self._spending))
        except TooMuchEvaluated as error:
            message = f"with this job the expressions of the workflow `{routed.workflow}` come to too much"
            hint = "ask for fewer replicas, or smaller values: each job evaluates what differs between workers"
            raise JobError("too-much-evaluated", message, hint=hint) from error
        if not step.deferred and not _names(step.blueprint.job) & _DIFFERS_BY_REPLICA:
            self._common[step.name] = evaluated
        return evaluated

    def _evaluate(self, step: BoundStep, scope: _Names) -> _Evaluated:
        job = step.blueprint.job
        check_named_ports(step, scope.names["params"])
        kind = _text(job.kind, scope, "kind")
        if kind not in KINDS:
            hint = "write `service`, `once` or `schedule`"
            raise JobError("wrong-value", f"a job's kind can't be `{kind[:40]}`", ("kind",), hint)
        given = "" if isinstance(job.schedule, UnsetType) else _text(job.schedule, scope, "schedule")
        argv = _argv(job.exec, scope, "exec")
        role = str(job.runner) if argv is None else "exec" if _is_filter(step.blueprint) else ""
        with_ = _evaluated(job.with_, scope, "with") if argv is None else {"command": argv}
        if role == "exec" and job.input == "socket":
            with_["input"] = "socket"
        if role == "transform":
            check_actions(with_.get("actions"), with_.get("route"))
        if role == "read-files":
            _check_glob(with_.get("glob"))
        return _Evaluated(
            kind=kind,
            role=role,
            schedule=schedule_of(kind, given),
            argv=argv,
            validate=_argv(job.validate, scope, "validate"),
            with_=with_,
            files=self._files(step, scope),
            settings=self._settings(job, scope),
            writes=tuple(_writes(job, scope)),
        )

    def _files(self, step: BoundStep, scope: _Names) -> dict[str, TreeFile]:
        shipped = self._libraries[step.library].shipped
        return {
            name: TreeFile(shipped[content.from_].data, content.mode == "0755")
            if isinstance(content, ShippedFile)
            else TreeFile(_text(content, scope, "files", name).encode())
            for name, content in sorted(step.blueprint.job.files.items())
        }

    def _settings(self, job: Job, scope: _Names) -> dict[str, Any]:
        settings: dict[str, Any] = {}
        for name, raw in job.unit.items():
            settings[name] = _evaluated(raw, scope, "unit", name)
            try:
                setting_text(name, settings[name])
            except UnitValueError as error:
                raise JobError("bad-unit-setting", str(error), ("unit", name), error.hint) from error
        refused = refused_settings(self._policy, settings)
        if refused:
            name, message, hint = refused
            raise JobError("setting-not-allowed", message, ("unit", name), hint)
        return settings


def _content(routed: RoutedJob, job: Job, secrets: Sequence[str], evaluated: _Evaluated) -> JobContent:
    uses_runner = evaluated.role != ""
    document: dict[str, Any] = {"format": 1, "job": routed.name, "kind": evaluated.kind, **message_parts(routed)}
    inputs, outputs = without_messages(routed.inputs), without_messages(routed.outputs)
    waits = evaluated.kind == MESSAGE
    if uses_runner:
        document["exec"] = RUNNER_ARGV
        document["runner"] = {
            "role": evaluated.role,
            "with": evaluated.with_,
            "inputs": inputs,
            "outputs": outputs,
        }
    else:
        document["exec"] = evaluated.argv
        document["channels"] = {"inputs": inputs, "outputs": outputs}
    directories = sorted({*routed.directories, *evaluated.writes})
    _check_home_of_root(routed, directories)
    libraries = _libraries(routed, with_ports=uses_runner)
    ready = _ready(job, by_runner=uses_runner)
    if evaluated.schedule or waits:
        ready = {"kind": "notify" if waits else "none"}
    on_change = "restart" if waits else job.on_change  # what is kept running is the runner
    if job.directory == "state":
        document["directory"] = "state"
    if on_change == "reload":
        document["reloads"] = True
    if evaluated.validate:
        document["validate"] = evaluated.validate
    needed = sorted({*secrets, *routed.secrets})
    units = {}
    units[unit_name(routed.name)] = unit_text(
        routed.name,
        kind=evaluated.kind,
        notifies=ready["kind"] == "notify",
        directories=directories,
        settings=evaluated.settings,
        on_change=on_change,
        secrets=needed,
    )
    if evaluated.schedule:
        units[timer_name(routed.name)] = timer_text(routed.name, evaluated.schedule)
    entry = {
        "kind": evaluated.kind,
        "unit": unit_name(routed.name),
        "on_change": on_change,
        "ready": ready,
        "user": evaluated.settings.get("User", DEFAULT_USER),
        "directories": directories,
        "secrets": needed,
        **({"schedule": evaluated.schedule} if evaluated.schedule else {}),
        **({"exclusive": True} if routed.step and routed.step.place.exclusive else {}),
        **({"libraries": libraries} if libraries else {}),
        **({"validates": True} if evaluated.validate else {}),
    }
    return JobContent(
        document=document,
        files=evaluated.files,
        units=units,
        entry=entry,
        uses_runner=uses_runner or waits,
        libraries=libraries,
    )


def _libraries(routed: RoutedJob, *, with_ports: bool) -> tuple[str, ...]:
    """Those that the runner needs for the job: for its messages, and `with_ports` for its channels as well."""
    ports = [*routed.inputs.items(), *routed.outputs.items()]
    ends = [end for port, joined in ports if with_ports or is_of_messages(port) for end in joined]
    return tuple(sorted({name for end in ends for name in TRANSPORTS[end["transport"]].libraries}))


def _is_filter(blueprint: Blueprint) -> bool:
    """Whether the program speaks through stdin or stdout, which the runner joins to channels."""
    return any("stdio" in port.speaks for port in (*blueprint.in_.values(), *blueprint.out.values()))


def _names(job: Job) -> frozenset[str]:
    templates = [content for content in job.files.values() if isinstance(content, str)]
    return names_used([job.kind, job.schedule, job.exec, job.validate, job.with_, job.unit, job.writes, templates])


def _scope(routed: RoutedJob, step: BoundStep, environment: str, spending: Spending) -> _Names:
    worker = routed.worker
    names: dict[str, Any] = {
        "environment": {"name": environment},
        "worker": {"name": worker.name, "group": worker.group, "labels": worker.labels},
        "step": {"name": step.name, "workflow": routed.workflow},
        "job": {"name": routed.name, "replica": routed.replica, "files": "files"},
    }
    late = _Late(_Names(names, spending))
    own = Scope(params=step.params, deferred=step.deferred)
    return _Names({**names, "params": late.params(own)}, spending)


class _Late:
    """The values of one job that had to wait for its worker."""

    def __init__(self, scope: _Names) -> None:
        self._scope = scope
        self._around: dict[int, Mapping[str, Any]] = {}
        """By the id of a module's scope: all that waits inside the module asks for it."""

    def params(self, scope: Scope) -> Mapping[str, Any]:
        if not scope.deferred:
            return scope.params
        return {**scope.params, **{key: self._value(deferred) for key, deferred in scope.deferred.items()}}

    def _value(self, deferred: Deferred) -> Any:
        """Those of the modules around it come first."""
        around = id(deferred.scope.deferred)
        if around not in self._around:
            self._around[around] = self.params(deferred.scope)
        return _late(deferred, self._scope, self._around[around])


def _late(deferred: Deferred, scope: _Names, params: Mapping[str, Any]) -> Any:
    key = deferred.origin.pointer[-1]
    step = {**scope.names["step"], "name": deferred.name}
    scope.spending.spend(size_of(deferred.raw))
    try:
        value = evaluate(deferred.raw, {**scope.names, "step": step, "params": params}, scope.spending)
        return checked(deferred.parameter, value)
    except ExpressionError as error:
        within = (error.start, error.end)
        message = f"`{key}`: {error.message}"
        raise JobError(
            "bad-expression", message, error.at, error.hint, origin=deferred.origin, within=within
        ) from error
    except ParameterError as error:
        message = f"the parameter `{key}` of `{deferred.use}` {error}"
        raise JobError("wrong-type", message, origin=deferred.origin) from error


def _evaluated(value: Any, scope: _Names, *at: str | int) -> Any:
    try:
        return evaluate(value, scope.names, scope.spending)
    except ExpressionError as error:
        within = (error.start, error.end)
        raise JobError("bad-expression", error.message, (*at, *error.at), error.hint, within=within) from error


def _text(value: Any, scope: _Names, *at: str | int) -> str:
    result = _evaluated(value, scope, *at)
    name = short(".".join(map(str, at)))
    if not isinstance(result, str):
        raise JobError("wrong-type", f"`{name}` must come to text, not {word_for(result)}", at)
    if "\0" in result:
        raise JobError("wrong-value", f"`{name}` holds a NUL character", at, "remove it")
    return result


def _argv(command: list[str] | str | UnsetType, scope: _Names, key: str) -> list[str] | None:
    if isinstance(command, UnsetType):
        return None
    argv = _evaluated(command, scope, key)
    if not isinstance(argv, list):
        hint = "write `[PROGRAM, ARGUMENT]`; no shell reads it"
        raise JobError("wrong-type", f"the command must be a list, not {word_for(argv)}", (key,), hint)
    words = [str(word) if isinstance(word, int | float) and not isinstance(word, bool) else word for word in argv]
    for word in words:
        if not isinstance(word, str) or "\0" in word:
            message = f"the command must be a list of texts without NUL characters, and {word_for(word)} isn't one"
            raise JobError("wrong-type", message, (key,), "put quotes around it")
    if not words or not words[0]:
        raise JobError("wrong-value", "the command names no program", (key,), "start it with the program")
    return words


def _check_glob(glob: Any) -> None:
    if isinstance(glob, str) and not glob.startswith("/"):
        hint = "write it from the root: `/srv/in/*.jsonl`" + ("; an expression is `${{ … }}`" if "{" in glob else "")
        raise JobError("not-absolute", f"the glob `{short(glob)}` is not an absolute path", ("with", "glob"), hint)


def _check_home_of_root(routed: RoutedJob, directories: Sequence[str]) -> None:
    """Under systemd root makes directories for another user; the built-in worker's jobs run as whoever started it."""
    for path in directories:
        if routed.worker.service_manager == "systemd" and f"{path}/".startswith("/root/"):
            mistake = system_path(path, Location(path=""))
            raise JobError(mistake.code, mistake.message, hint=mistake.hint)


def _writes(job: Job, scope: _Names) -> list[str]:
    paths = []
    for position, raw in enumerate(job.writes):
        path = _text(raw, scope, "writes", position)
        mistake: Diagnostic | None = None
        if not is_plain_absolute(path):
            mistake = not_absolute("a directory that a job writes to", path, Location(path=""))
        elif is_system_path(path):
            mistake = system_path(path, Location(path=""))
        if mistake:
            raise JobError(mistake.code, mistake.message, ("writes", position), mistake.hint)
        paths.append(path)
    return paths


def _ready(job: Job, *, by_runner: bool) -> dict[str, Any]:
    match job.ready:
        case "notify" | "none":
            return {"kind": job.ready}
        case ReadyCheck(tcp=int(port)):
            return {"kind": "tcp", "port": port}
        case ReadyCheck(http=str(url)):
            return {"kind": "http", "url": url}
        case _:
            return {"kind": "notify" if by_runner else "none"}
