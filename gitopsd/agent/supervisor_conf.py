"""supervisord's configuration, made from release.json: the counterpart of the rendered units."""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

from .release import job_of_unit

if TYPE_CHECKING:
    from pathlib import Path

    from .layout import Layout
    from .release import Job, Release

# the kernel's limit on a Unix socket's path, its closing NUL included
_SOCKET_PATH = 108
_PID_DIGITS = 8  # supervisord binds `<socket>.<pid>`, then links it
_CHANNEL = "s/" + "0" * 12
# What no quoting gets past supervisord: a comment begins wherever `;` or `#` follows a blank, values lose the blanks
# at their end, `environment` knows no escape for the quote around its values, and the file is UTF-8 of printable text.
_UNSAFE = re.compile(r"\s[;#]|\s$|[\"\x00-\x1f\x7f\u0085\u2028\u2029\ud800-\udfff]")
# counts the starts that supervisord doesn't: a byte is added to the file $0 by each
_COUNTED = 'printf . >>"$0"; exec "$@"'
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
    def starts(self) -> Path:
        """A file for each job, of one byte for each time that it was started since the agent did so."""
        return self.directory / "starts"

    @property
    def socket(self) -> Path:
        return self.layout.run / "supervisor.sock"


def path_problem(layout: Layout) -> str | None:
    """Why supervisord, or a socket, can't take the layout's root, run or Python; None when they can."""
    for name, path in (("root", layout.root), ("run", layout.run), ("python", layout.supervisor_python)):
        if _UNSAFE.search(str(path)):
            return f"the {name} path {str(path)!r} has a character that supervisord can't take"
    longest = max(len(os.fsencode(f"{Files(layout).socket}.")) + _PID_DIGITS, len(os.fsencode(layout.run / _CHANNEL)))
    if longest >= _SOCKET_PATH:
        return f"the path {layout.run} is too long for Unix sockets in it: choose a shorter one"
    return None


def render(release: Release, layout: Layout) -> str:
    """The whole configuration; a job's section stays the same when only its files change."""
    sections = [_daemon(layout)]
    sections += [program(job, layout) for job in release.jobs.values()]
    return "\n".join(sections)


def program(job: Job, layout: Layout) -> str:
    files = Files(layout)
    launcher = layout.current / "runtime/launch.py"
    command = ["/bin/sh", "-c", _COUNTED, str(files.starts / job.name)]
    command += [str(layout.supervisor_python), "-IB", str(launcher), job.name]
    # Programs never start by themselves: activation starts them, so that each start is a recorded one.
    # once: it may end at once and well; a service is tried again, a second later each time.
    lines = [
        f"[program:{job.name}]",
        f"command={_value(shlex.join(command))}",
        f"directory={_value(layout.root)}",
        f"environment={_environment(job, layout)}",
        "autostart=false",
        "autorestart=false" if job.kind == "once" else "autorestart=true",
        "startsecs=0" if job.kind == "once" else "startsecs=1",
        "startretries=40",
        "stopasgroup=true",
        "killasgroup=true",
        "stopwaitsecs=20",
        "redirect_stderr=true",
        f"stdout_logfile={_value(_value(files.logs / job.name))}.log",  # expanded twice
        "stdout_logfile_maxbytes=1MB",
        "stdout_logfile_backups=1",
        "",
    ]
    return "\n".join(lines)


def _environment(job: Job, layout: Layout) -> str:
    variables = {"GITOPSD_RUN": layout.run, "STATE_DIRECTORY": layout.state / job.name}
    if job.secrets:
        variables["CREDENTIALS_DIRECTORY"] = layout.credentials / "current" / job.name  # as systemd has it
    return ",".join(f'{name}="{_value(path)}"' for name, path in variables.items())


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


def _value(text: object) -> str:
    """For supervisord to find the text itself, where it looks for `%(name)s`."""
    return str(text).replace("%", "%%")


def _daemon(layout: Layout) -> str:
    files = Files(layout)
    lines = [
        "[unix_http_server]",
        f"file={_value(files.socket)}",
        "chmod=0700",
        "",
        "[supervisord]",
        f"pidfile={_value(files.pid)}",
        f"logfile={_value(files.directory)}/supervisord.log",
        "logfile_maxbytes=1MB",
        "logfile_backups=1",
        f"childlogdir={_value(files.logs)}",
        f"directory={_value(layout.root)}",
        "umask=022",
        "",
        "[rpcinterface:supervisor]",
        "supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface",
        "",
    ]
    return "\n".join(lines)
