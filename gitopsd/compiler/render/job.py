"""One job: its `job.json`, its files, its unit, and what the release says of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from msgspec import UnsetType

from gitopsd.compiler.expressions import ExpressionError, evaluate
from gitopsd.compiler.fleet_check import is_plain_absolute_path
from gitopsd.compiler.parameters import ParameterError, checked
from gitopsd.compiler.render.unit import JOB_USER, UnitValueError, unit_name, unit_text
from gitopsd.compiler.route import RoutedJob
from gitopsd.model.blueprint import Job, ReadyCheck, ShippedFile
from gitopsd.model.system import BoundStep
from gitopsd.model.trees import TreeFile

RUNNER_ARGV = ["python3", "-IB", "../../runtime/runner"]

_SYSTEM_PATHS = (
    "/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/root", "/run", "/sbin", "/sys", "/usr",
    "/var/lib/gitopsd", "/var/run",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class JobContent:
    """What a job comes to. `entry` is its part of `release.json`, still without the digest."""

    document: Mapping[str, Any]
    files: Mapping[str, TreeFile]
    unit: str
    entry: dict[str, Any]
    uses_runner: bool


class JobError(ValueError):
    """A blueprint that can't become this job. `at` is the way to the cause below `job:` in the blueprint, or empty for
    the step itself."""

    def __init__(self, code: str, message: str, at: tuple[str | int, ...] = (), hint: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.at = at
        self.hint = hint


def job_content(routed: RoutedJob, environment: str, shipped: Mapping[str, bytes]) -> JobContent:
    """Raises JobError."""
    if routed.step is None:
        relay = {"role": "relay", "with": {}, "inputs": routed.inputs, "outputs": routed.outputs}
        return _assemble(routed, kind="service", runner=relay, directories=routed.directories)
    job = routed.step.blueprint.job
    scope = _scope(routed, routed.step, environment)
    kind = _text(job.kind, scope, "kind")
    if kind not in {"service", "once"}:
        raise JobError("wrong-value", f"a job's kind can't be `{kind[:40]}`", ("kind",), "write `service` or `once`")
    argv = _argv(job, scope)
    filters = any("stdio" in port.speaks for port in (*routed.step.blueprint.in_.values(), *routed.step.blueprint.out.values()))
    runner: dict[str, Any] | None = None
    if argv is None or filters:
        runner = {
            "role": "exec" if argv is not None else job.runner,
            "with": {"command": argv} if argv is not None else _evaluated(job.with_, scope, "with"),
            "inputs": routed.inputs,
            "outputs": routed.outputs,
        }
    return _assemble(
        routed,
        kind=kind,
        runner=runner,
        argv=argv,
        job=job,
        files=_files(job, scope, shipped),
        settings=_evaluated(job.unit, scope, "unit"),
        directories=tuple(sorted({*routed.directories, *_writes(job, scope)})),
    )


def _assemble(
    routed: RoutedJob,
    *,
    kind: str,
    runner: Mapping[str, Any] | None,
    directories: tuple[str, ...],
    argv: list[str] | None = None,
    job: Job | None = None,
    files: Mapping[str, TreeFile] | None = None,
    settings: Mapping[str, Any] | None = None,
) -> JobContent:
    for path in directories:
        _check_directory(path)
    ready = _ready(job, runner is not None)
    document: dict[str, Any] = {"format": 1, "job": routed.name, "kind": kind}
    if runner is not None:
        document |= {"exec": RUNNER_ARGV, "runner": runner}
    else:
        document |= {"exec": argv, "channels": {"inputs": routed.inputs, "outputs": routed.outputs}}
    try:
        unit = unit_text(
            routed.name,
            kind=kind,
            notifies=ready["kind"] == "notify",
            directories=directories,
            settings=settings or {},
        )
    except UnitValueError as error:
        raise JobError("bad-unit-setting", str(error), ("unit",)) from error
    entry = {
        "kind": kind,
        "unit": unit_name(routed.name),
        "on_change": job.on_change if job else "restart",
        "ready": ready,
        "user": JOB_USER,
        "directories": list(directories),
        "secrets": [],
    }
    return JobContent(document=document, files=files or {}, unit=unit, entry=entry, uses_runner=runner is not None)


def _scope(routed: RoutedJob, step: BoundStep, environment: str) -> dict[str, Any]:
    worker = routed.worker
    scope: dict[str, Any] = {
        "environment": {"name": environment},
        "worker": {"name": worker.name, "group": worker.group, "labels": worker.labels},
        "step": {"name": step.name, "workflow": routed.workflow},
        "job": {"name": routed.name, "replica": routed.replica, "files": "files"},
    }
    params = dict(step.params)
    for key, raw in step.deferred.items():
        try:
            params[key] = checked(step.blueprint.params[key], evaluate(raw, {**scope, "params": step.workflow_params}))
        except ExpressionError as error:
            raise JobError("bad-expression", f"`{key}`: {error}") from error
        except ParameterError as error:
            raise JobError("wrong-type", f"the parameter `{key}` of `{step.use}` {error}") from error
    return {**scope, "params": params}


def _evaluated(value: Any, scope: Mapping[str, Any], *at: str | int) -> Any:
    try:
        return evaluate(value, scope)
    except ExpressionError as error:
        raise JobError("bad-expression", str(error), at) from error


def _text(value: Any, scope: Mapping[str, Any], *at: str | int) -> str:
    result = _evaluated(value, scope, *at)
    if not isinstance(result, str) or "\0" in result:
        raise JobError("wrong-type", f"`{'.'.join(map(str, at))}` must come to text", at)
    return result


def _argv(job: Job, scope: Mapping[str, Any]) -> list[str] | None:
    if isinstance(job.exec, UnsetType):
        if isinstance(job.runner, UnsetType):
            raise JobError("missing-key", "the job says neither `exec` nor `runner`", (), "add `exec: [PROGRAM, ARGUMENT]`")
        return None
    if not isinstance(job.runner, UnsetType):
        raise JobError("conflicting-keys", "the job says both `exec` and `runner`", ("runner",), "keep one of the two")
    argv = _evaluated(job.exec, scope, "exec")
    if isinstance(argv, str):
        raise JobError("wrong-type", "`exec` must be a list", ("exec",), "write `[PROGRAM, ARGUMENT]`; no shell reads it")
    words = [str(word) if isinstance(word, int | float) and not isinstance(word, bool) else word for word in argv]
    if not words or not all(isinstance(word, str) and "\0" not in word for word in words) or not words[0]:
        raise JobError("wrong-type", "the command must be a list of texts that starts with a program", ("exec",))
    return words


def _files(job: Job, scope: Mapping[str, Any], shipped: Mapping[str, bytes]) -> dict[str, TreeFile]:
    files: dict[str, TreeFile] = {}
    for name, content in sorted(job.files.items()):
        if isinstance(content, ShippedFile):
            files[name] = TreeFile(shipped[content.from_], content.mode == "0755")
        else:
            files[name] = TreeFile(_text(content, scope, "files", name).encode())
    return files


def _writes(job: Job, scope: Mapping[str, Any]) -> list[str]:
    paths = []
    for position, raw in enumerate(job.writes):
        path = _text(raw, scope, "writes", position)
        if not is_plain_absolute_path(path):
            message = f"a directory that a job writes to must be an absolute path without `.` or `..`, not `{path[:80]}`"
            raise JobError("not-absolute", message, (), "write the whole path, such as /srv/orders/out")
        paths.append(path)
    return paths


def _check_directory(path: str) -> None:
    if any((path + "/").startswith(system + "/") for system in _SYSTEM_PATHS):
        raise JobError("system-path", f"jobs may not write below `{path}`", (), "use a place such as /srv or /var/lib/NAME")


def _ready(job: Job | None, by_runner: bool) -> dict[str, Any]:
    match job.ready if job else None:
        case "notify":
            return {"kind": "notify"}
        case "none":
            return {"kind": "none"}
        case ReadyCheck(tcp=int(port), http=UnsetType()):
            return {"kind": "tcp", "port": port}
        case ReadyCheck(tcp=UnsetType(), http=str(url)):
            return {"kind": "http", "url": url}
        case ReadyCheck():
            raise JobError("conflicting-keys", "`ready` takes one of `tcp` and `http`", ("ready",))
        case _:
            return {"kind": "notify" if by_runner else "none"}
