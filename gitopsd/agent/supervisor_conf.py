"""supervisord's configuration, made from release.json: the counterpart of the rendered units."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from .errors import AgentError
from .release import job_of_unit

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout
    from .release import Job, Release

# the kernel's limit on a Unix socket's path, its closing NUL included
_SOCKET_PATH = 108
_PID_DIGITS = 8  # supervisord binds `<socket>.<pid>`, then links it
_CHANNEL_SOCKET = "s/" + "0" * 12
# supervisord reads these as comments, quotes or expansions, wherever they stand
_UNSAFE = re.compile(r"[;#%\"'\\\s]")
_PROGRAM = re.compile(r"^\[program:(.+)\]$", re.MULTILINE)


class Files(NamedTuple):
    """Where supervisord's own things lie."""

    layout: Layout

    @property
    def directory(self) -> Path:
        return self.layout.root / "supervisor"

    @property
    def conf(self) -> Path:
        return self.directory / "supervisord.conf"

    @property
    def pid(self) -> Path:
        return self.directory / "supervisord.pid"

    @property
    def start_log(self) -> Path:
        return self.directory / "start.log"

    @property
    def logs(self) -> Path:
        return self.directory / "logs"

    @property
    def socket(self) -> Path:
        return self.layout.run / "supervisor.sock"


def require_usable_paths(layout: Layout) -> None:
    """AgentError `unsupported` for a root or run that supervisord or a socket can't take."""
    for name, path in (("root", layout.root), ("run", layout.run), ("python", layout.supervisor_python)):
        if _UNSAFE.search(str(path)):
            raise AgentError(
                "unsupported", f"the {name} path {str(path)!r} has a character that supervisord can't take"
            )
    longest = max(len(f"{Files(layout).socket}.") + _PID_DIGITS, len(str(layout.run / _CHANNEL_SOCKET)))
    if longest >= _SOCKET_PATH:
        raise AgentError(
            "unsupported", f"the path {layout.run} is too long for Unix sockets in it: choose a shorter one"
        )


def render(release: Release, layout: Layout) -> str:
    """The whole configuration; a job's section stays the same when only its files change."""
    sections = [_daemon(layout)]
    sections += [program(job, layout) for job in release.jobs.values()]
    return "\n".join(sections)


def program(job: Job, layout: Layout) -> str:
    files = Files(layout)
    launcher = layout.current / "runtime/launch.py"
    # Programs never start by themselves: activation starts them, so that each start is a recorded one.
    # once: it may end at once and well; a service is tried again, a second later each time.
    lines = [
        f"[program:{job.name}]",
        f"command={layout.supervisor_python} -IB {launcher} {job.name}",
        f"directory={layout.root}",
        f'environment=GITOPSD_RUN="{layout.run}",STATE_DIRECTORY="{layout.state / job.name}"',
        "autostart=false",
        "autorestart=false" if job.kind == "once" else "autorestart=true",
        "startsecs=0" if job.kind == "once" else "startsecs=1",
        "startretries=40",
        "stopasgroup=true",
        "killasgroup=true",
        "stopwaitsecs=20",
        "redirect_stderr=true",
        f"stdout_logfile={files.logs / job.name}.log",
        "stdout_logfile_maxbytes=1MB",
        "stdout_logfile_backups=1",
        "",
    ]
    return "\n".join(lines)


def programs(conf: str) -> list[str]:
    """The jobs that a configuration has a section for."""
    return [name for name in _PROGRAM.findall(conf) if job_of_unit(f"gitopsd-{name}.service")]


def section(conf: str, job: str) -> str | None:
    """One job's section as `program` writes it."""
    head = f"[program:{job}]\n"
    start = conf.find(head)
    if start < 0:
        return None
    end = conf.find("\n[", start)
    return conf[start:] if end < 0 else conf[start:end]


def _daemon(layout: Layout) -> str:
    files = Files(layout)
    lines = [
        "[unix_http_server]",
        f"file={files.socket}",
        "chmod=0700",
        "",
        "[supervisord]",
        f"pidfile={files.pid}",
        f"logfile={files.directory}/supervisord.log",
        "logfile_maxbytes=1MB",
        "logfile_backups=1",
        f"childlogdir={files.logs}",
        f"directory={layout.root}",
        "umask=022",
        "",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        "",
    ]
    return "\n".join(lines)
