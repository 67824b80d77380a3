"""The service manager of the built-in worker: supervisord, without root and without systemd."""

from __future__ import annotations

import subprocess
import time
import xmlrpc.client
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from . import supervisor_conf, supervisor_daemon
from .deadline import Deadline
from .durable import make_directory, remove, replace_file_synced
from .errors import AgentError
from .release import job_of_unit
from .said_ready import is_ready
from .services import NOT_THERE, Difference, Unit
from .supervisor_rpc import ALREADY_ADDED, ALREADY_STARTED, BAD_NAME, NOT_RUNNING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence

    from .layout import Layout
    from .release import Release

_POLL_SECONDS = 0.05
_STOP_SECONDS = 25.0
"""Longer than supervisord lets a program take until it kills it."""
_IMPORT_SECONDS = 20
# supervisor's process states (supervisor.states.ProcessStates) in systemd's words: active, sub, result
_STATES = {
    "STOPPED": ("inactive", "dead", "success"),
    "STARTING": ("activating", "start", "success"),
    "RUNNING": ("active", "running", "success"),
    "BACKOFF": ("activating", "auto-restart", "exit-code"),
    "STOPPING": ("deactivating", "stop-sigterm", "success"),
    "FATAL": ("failed", "failed", "start-limit-hit"),
    "UNKNOWN": ("failed", "failed", "resources"),
}
_SETTLED = ("RUNNING", "BACKOFF", "FATAL", "EXITED", "STOPPED", "UNKNOWN")
_STOPPED = ("STOPPED", "EXITED", "FATAL", "UNKNOWN")
_TRYING = ("STARTING", "RUNNING", "BACKOFF")


class SupervisorManager:
    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._files = supervisor_conf.Files(layout)

    def require(self) -> None:
        problem = supervisor_conf.path_problem(self._layout)
        if problem:
            raise AgentError("unsupported", problem)
        if supervisor_daemon.api(self._layout) is None:
            self._require_supervisor()

    def units(self) -> dict[str, Unit]:
        units = {_unit_name(job): NOT_THERE for job in supervisor_conf.programs(self._conf())}
        api = supervisor_daemon.api(self._layout)
        if api is not None:
            for info in api.getAllProcessInfo():
                if job_of_unit(_unit_name(info["name"])) is not None:  # a copy is no job
                    units[_unit_name(info["name"])] = self._unit(info)
        return units

    def difference(self, release: Release, units: Mapping[str, Unit]) -> Difference:  # noqa: ARG002 -- for systemd
        scheduled = sorted(job.name for job in release.jobs.values() if job.kind == "schedule")
        if scheduled:
            raise AgentError("unsupported", f"job {scheduled[0]} is of kind schedule, which only systemd runs")
        conf = self._conf()
        content = {
            job.unit
            for job in release.jobs.values()
            if supervisor_conf.section(conf, job.name) != supervisor_conf.program(job, self._layout)
        }
        unread = bool(release.jobs) and supervisor_daemon.api(self._layout) is None
        return Difference(content=frozenset(content), enablement=False, unread=unread)

    def stop(self, units: Sequence[str], deadline: Deadline) -> None:
        api = supervisor_daemon.api(self._layout)
        if api is not None:
            self._stop(api, [_job_name(unit) for unit in units], deadline)

    def install(self, release: Release, gone: Sequence[str], deadline: Deadline) -> None:
        wanted = supervisor_conf.render(release, self._layout)
        changed = wanted != self._conf()
        supervisor_daemon.make_directories(self._layout)
        make_directory(self._layout.state, 0o755)
        for job in release.jobs:
            make_directory(self._layout.state / job, 0o755)
        for unit in gone:
            remove(self._files.starts / _job_name(unit))
        if changed:
            replace_file_synced(self._files.conf, wanted.encode())
        api = supervisor_daemon.api(self._layout)
        if api is None:
            supervisor_daemon.start(self._layout, deadline)
        else:
            self._reread(api, deadline)

    def reset_start_limit(self, units: Sequence[str]) -> None:
        """Nothing to do: supervisor counts anew with each start."""

    def start(self, services: Sequence[str], once: Sequence[str], deadline: Deadline) -> None:
        api = supervisor_daemon.api(self._layout)
        if api is None:
            api = supervisor_daemon.start(self._layout, deadline)
        jobs = [_job_name(unit) for unit in (*services, *once)]
        # what hasn't ended can't be started: `deadline` is for coming up
        self._stop(api, jobs, Deadline.after(_STOP_SECONDS))
        for job in jobs:
            self._forget_starts(job)
            # a program that can't even be started shows as such when it is read back
            with suppress(xmlrpc.client.Fault):
                api.startProcess(job, False)
        waited_for = {_job_name(unit) for unit in services}
        _wait(lambda: all(map(self._is_settled, _those(api, waited_for))), deadline)

    def reload(self, unit: str, deadline: Deadline) -> str | None:  # noqa: ARG002 -- the same for both managers
        api = supervisor_daemon.api(self._layout)
        if api is None:
            return "supervisord does not run"
        try:
            api.signalProcess(_job_name(unit), "HUP")
        except xmlrpc.client.Fault as fault:
            return str(fault.faultString)
        return None

    def log(self, unit: str, lines: int) -> list[str]:
        return process_log(self._files, _job_name(unit), lines)

    def follow_command(self, unit: str, lines: int) -> list[str]:
        # by name: supervisord starts a new file when one has grown
        return ["tail", "-n", str(lines), "-F", str(self._files.logs / f"{_job_name(unit)}.log")]

    def remove_all(self, deadline: Deadline) -> list[str]:
        units = sorted(self.units())
        supervisor_daemon.end(self._layout, deadline)
        return units

    def install_copies(self, deadline: Deadline, without: Sequence[str] = ()) -> None:
        """Have supervisord know the copies that are there, but for some; jobs are not touched."""
        before = self._conf()
        wanted = supervisor_conf.with_copies(before, self._layout, without)
        supervisor_daemon.make_directories(self._layout)
        if wanted != before:
            replace_file_synced(self._files.conf, wanted.encode())
        api = supervisor_daemon.api(self._layout)
        if api is not None:
            self._reread(api, deadline)

    def stop_copies(self, programs: Sequence[str], deadline: Deadline) -> None:
        api = supervisor_daemon.api(self._layout)
        if api is not None:
            self._stop(api, programs, deadline)

    def start_copy(self, program: str, deadline: Deadline) -> None:
        """Start it unless it started by itself, and wait until it runs, or doesn't."""
        api = supervisor_daemon.api(self._layout)
        if api is not None:
            _unless(ALREADY_STARTED, api.startProcess, program, False)
            _wait(lambda: _states(api).get(program, "STOPPED") in _SETTLED, deadline)

    def _conf(self) -> str:
        return supervisor_conf.read(self._layout)

    def _reread(self, api: Any, deadline: Deadline) -> None:
        try:
            ((added, changed, removed),) = api.reloadConfig()
        except xmlrpc.client.Fault as fault:
            raise AgentError("io", f"supervisord refused its configuration: {fault.faultString}") from None
        running = [name for name, state in _states(api).items() if name in changed and state in _TRYING]
        self._stop(api, [*changed, *removed], deadline)
        for name in (*changed, *removed):
            _unless(BAD_NAME, api.removeProcessGroup, name)
        for name in (*changed, *added):
            _unless(ALREADY_ADDED, api.addProcessGroup, name)
        for name in running:
            self._forget_starts(name)
            _unless(ALREADY_STARTED, api.startProcess, name, False)

    def _stop(self, api: Any, jobs: Sequence[str], deadline: Deadline) -> None:
        known = _states(api)
        stopping = [job for job in jobs if known.get(job, "STOPPED") not in _STOPPED]
        for job in stopping:
            _unless(NOT_RUNNING, api.stopProcess, job, False)
        if stopping:
            _wait(lambda: all(_states(api).get(job, "STOPPED") in _STOPPED for job in stopping), deadline)

    def _unit(self, info: dict[str, Any]) -> Unit:
        unit = parse_process(info, self._restarts(info["name"]))
        if info["statename"] == "RUNNING" and not is_ready(self._layout, info["name"], unit.main_pid):
            unit = unit._replace(active="activating", sub="start")
        if unit.sub == "start" and unit.restarts:
            unit = unit._replace(result="exit-code")  # of the process of before
        return unit

    def _is_settled(self, info: dict[str, Any]) -> bool:
        """Whether it is up, or not; one that ended once isn't waited for until it has ended again."""
        if info["statename"] != "RUNNING":
            return info["statename"] in _SETTLED
        return self._restarts(info["name"]) > 0 or is_ready(self._layout, info["name"], int(info["pid"]))

    def _forget_starts(self, job: str) -> None:
        (self._files.starts / job).write_bytes(b"")

    def _restarts(self, job: str) -> int:
        """How often supervisor has started the job anew by itself; it keeps no count of its own."""
        try:
            return max(0, (self._files.starts / job).stat().st_size - 1)
        except FileNotFoundError:
            return 0

    def _require_supervisor(self) -> None:
        command = [str(self._layout.supervisor_python), "-c", "import supervisor.supervisord"]
        try:
            subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=_IMPORT_SECONDS, check=True)
        except (OSError, subprocess.SubprocessError):
            raise AgentError(
                "unsupported",
                f"{self._layout.supervisor_python} can't import supervisor: `pip install supervisor` there",
            ) from None


def process_log(files: supervisor_conf.Files, program: str, lines: int) -> list[str]:
    """The last lines that a program printed, as far as they are in its newest 64 KiB."""
    try:
        with (files.logs / f"{program}.log").open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 64 * 1024))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return []
    return text.splitlines()[-lines:]


def parse_process(info: dict[str, Any], restarts: int) -> Unit:
    state, status = str(info["statename"]), int(info["exitstatus"])
    if state == "EXITED":
        words = ("inactive", "dead", "success") if status == 0 else ("failed", "failed", "exit-code")
    else:
        words = _STATES.get(state, _STATES["UNKNOWN"])
    return Unit(
        active=words[0],
        sub=words[1],
        result=words[2],
        main_pid=int(info["pid"]),
        restarts=restarts,
        since=float(info["start"]) if info["start"] else None,
        enabled=True,
        blob=None,
        invocation=f"{info['pid']}@{info['start']}",
        exit_status=status,
    )


def _states(api: Any) -> dict[str, str]:
    return {str(info["name"]): str(info["statename"]) for info in api.getAllProcessInfo()}


def _those(api: Any, programs: Collection[str]) -> list[dict[str, Any]]:
    return [info for info in api.getAllProcessInfo() if info["name"] in programs]


def _unless(code: int, call: Callable[..., Any], *arguments: Any) -> None:
    """Call, and take the fault `code` for done already."""
    try:
        call(*arguments)
    except xmlrpc.client.Fault as fault:
        if fault.faultCode != code:
            raise AgentError("io", f"supervisord refused {arguments[0]}: {fault.faultString}") from None


def _wait(done: Callable[[], bool], deadline: Deadline) -> None:
    while not done() and not deadline.passed:
        time.sleep(_POLL_SECONDS)


def _unit_name(job: str) -> str:
    return f"gitopsd-{job}.service"


def _job_name(unit: str) -> str:
    job = job_of_unit(unit)
    if job is None:
        raise AgentError("protocol", f"{unit} is not a job's unit")
    return job
