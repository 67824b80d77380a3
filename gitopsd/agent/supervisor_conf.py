"""supervisord's configuration, made from release.json: the counterpart of the rendered units."""

from __future__ import annotations

import os
import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

from .release import job_of_unit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

    from .copies import CopyRecord
    from .copy_place import CopyPlace
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
_BETWEEN_SECTIONS = re.compile(r"\n(?=\[)")


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


def read(layout: Layout) -> str:
    """The configuration as it is; empty before the first activation."""
    try:
        return Files(layout).conf.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""


def render(release: Release, layout: Layout) -> str:
    """The whole configuration; a job's section stays the same when only its files change."""
    sections = [_daemon(layout)]
    sections += [program(job, layout) for job in release.jobs.values()]
    return "\n".join([*sections, *_copies(layout, ())])


def with_copies(conf: str, layout: Layout, without: Collection[str]) -> str:
    """A configuration with the copies that are there now, but for some, and everything else as it was."""
    sections = _BETWEEN_SECTIONS.split(conf or _daemon(layout))
    kept = [section for section in sections if not _is_copy(section.partition("\n")[0])]
    return "\n".join([*kept, *_copies(layout, without)])


def program(job: Job, layout: Layout) -> str:
    variables = {"GITOPSD_RUN": layout.run, "STATE_DIRECTORY": layout.state / job.name}
    if job.secrets:
        variables["CREDENTIALS_DIRECTORY"] = layout.credentials / "current" / job.name  # as systemd has it
    launch = [str(layout.current / "runtime/launch.py"), job.name]
    # Jobs never start by themselves: activation starts them, so that each start is a recorded one.
    return _program(layout, job.name, launch, variables, once=job.kind == "once", by_itself=False)


def _copies(layout: Layout, without: Collection[str]) -> list[str]:
    if not layout.copies.is_dir():
        return []
    from .copies import read_record  # noqa: PLC0415 -- hardly any worker has one
    from .copy_place import places  # noqa: PLC0415

    known = [(place, read_record(place)) for place in places(layout) if place.name not in without]
    return [_copy(place, record) for place, record in known if record is not None]


def _copy(place: CopyPlace, record: CopyRecord) -> str:
    variables = {"GITOPSD_RUN": place.run, "STATE_DIRECTORY": place.state}
    if record.secrets:
        variables["CREDENTIALS_DIRECTORY"] = place.credentials
    launch = [str(place.directory / "runtime/launch.py"), place.name]
    service = record.kind != "once"
    return _program(
        place.layout, place.service, launch, variables, once=not service, by_itself=service and record.started
    )


def _program(
    layout: Layout, name: str, launch: list[str], variables: Mapping[str, Path], *, once: bool, by_itself: bool
) -> str:
    files = Files(layout)
    command = ["/bin/sh", "-c", _COUNTED, str(files.starts / name)]
    command += [str(layout.supervisor_python), "-IB", *launch]
    # once: it may end at once and well; a service is tried again, a second later each time.
    lines = [
        f"[program:{name}]",
        f"command={_value(shlex.join(command))}",
        f"directory={_value(layout.root)}",
        f"environment={_environment(variables)}",
        "autostart=true" if by_itself else "autostart=false",
        "autorestart=false" if once else "autorestart=true",
        "startsecs=0" if once else "startsecs=1",
        "startretries=40",
        "stopasgroup=true",
        "killasgroup=true",
        "stopwaitsecs=20",
        "redirect_stderr=true",
        f"stdout_logfile={_value(_value(files.logs / name))}.log",  # expanded twice
        "stdout_logfile_maxbytes=1MB",
        "stdout_logfile_backups=1",
        "",
    ]
    return "\n".join(lines)


def _environment(variables: Mapping[str, Path]) -> str:
    return ",".join(f'{name}="{_value(path)}"' for name, path in variables.items())


def _is_copy(head: str) -> bool:
    found = _PROGRAM.fullmatch(head)
    return found is not None and job_of_unit(f"gitopsd-{found.group(1)}.service") is None


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
