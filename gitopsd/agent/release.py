from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

from .errors import AgentError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = 1
KINDS = ("service", "once", "schedule", "message")
CHANGES = ("restart", "reload", "none")

_LONGEST_UNIT_NAME = 255  # UNIT_NAME_MAX of systemd
_JOB = re.compile(r"[a-z0-9][a-z0-9_-]*(\.[a-z0-9][a-z0-9_-]*)*\.[0-9]+")
_UNIT = re.compile(rf"gitopsd-({_JOB.pattern})\.(service|timer|path)")
_SECRET = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
_USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
# only this machine is asked
_URL = re.compile(r"http://(?P<host>(?:127\.0\.0\.1|localhost)(?::(?P<port>[0-9]{1,5}))?)(?P<path>/[!-~]*)?")


class Ready(NamedTuple):
    """How a job shows that it is ready: `notify`, `none`, or an answer on a port of 127.0.0.1, `tcp` or `http`."""

    kind: str
    port: int = 0
    url: str = ""
    host: str = ""  # as the URL has it, for the request's head
    path: str = "/"

    @property
    def is_asked(self) -> bool:
        """Whether nobody but the agent can tell."""
        return self.kind in ("tcp", "http")


class Job(NamedTuple):
    """`unit` is what is started, and judged: a scheduled job's timer, else the job's service."""

    name: str
    kind: str
    digest: str
    unit: str
    on_change: str
    user: str
    directories: tuple[str, ...]
    ready: Ready = Ready("none")
    secrets: tuple[str, ...] = ()
    validates: bool = False  # its job.json has a command that checks its files
    process: str = ""  # of one that reloads: changes with what it was started with, not with the files it reads anew

    @property
    def service(self) -> str:
        """The unit that runs the job's program, and that its log is of."""
        return f"gitopsd-{self.name}.service"

    @property
    def is_kept(self) -> bool:
        """Whether its unit has to be active for as long as the job is there."""
        return self.kind != "once"


class Release(NamedTuple):
    """What release.json says, with the text of the units beside it: unit name -> bytes."""

    id: str
    jobs: Mapping[str, Job]
    units: Mapping[str, bytes]


def job_of_unit(unit: str) -> str | None:
    """The job whose unit this is; None for a unit that is not a job's, whatever else it is."""
    found = _UNIT.fullmatch(unit)
    return found.group(1) if found else None


def load_release(directory: Path) -> Release:
    """Read a verified release; AgentError `unsupported` when this agent can't run what it asks for."""
    try:
        content = json.loads((directory / "release.json").read_bytes())
    except FileNotFoundError:
        raise AgentError("bad-payload", "the release has no release.json") from None
    except ValueError:
        raise AgentError("bad-payload", "release.json is not JSON") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise AgentError("unsupported", f"release.json is not of format {FORMAT}: update gitopsd on the controller")
    jobs = content.get("jobs")
    if not isinstance(jobs, dict):
        raise AgentError("bad-payload", "release.json has no jobs")
    parsed = {name: _parse_job(name, value) for name, value in sorted(jobs.items())}
    return Release(directory.name, parsed, _read_units(directory / "units", parsed))


def _parse_job(name: str, value: Any) -> Job:
    if not _JOB.fullmatch(name):
        raise AgentError("bad-payload", f"{name!r} in release.json is not a job's name")
    if not isinstance(value, dict):
        raise AgentError("bad-payload", f"job {name} in release.json is not an object")
    job = Job(
        name=name,
        kind=_text(name, value, "kind"),
        digest=_text(name, value, "digest"),
        unit=_text(name, value, "unit"),
        on_change=value.get("on_change", "restart"),
        user=value.get("user", "gitopsd-job"),
        directories=_directories(name, value),
        ready=_ready(name, value.get("ready", {"kind": "none"})),
        secrets=_secrets(name, value),
        validates=value.get("validates") is True,
        process=str(value.get("process", "")),
    )
    if job.kind not in KINDS:
        raise AgentError("unsupported", f"job {name}: kind {job.kind!r} is none of {', '.join(KINDS)}")
    if job.on_change not in CHANGES:
        raise AgentError("unsupported", f"job {name}: on_change {job.on_change!r} is none of {', '.join(CHANGES)}")
    if job.unit != job.service or len(job.unit) > _LONGEST_UNIT_NAME:
        raise AgentError("bad-payload", f"job {name}: its unit must be gitopsd-{name}.service, of at most 255 bytes")
    if not isinstance(job.user, str) or not _USER.fullmatch(job.user):
        raise AgentError("bad-payload", f"job {name}: {job.user!r} is not a user's name")
    return job._replace(unit=f"gitopsd-{name}.timer") if job.kind == "schedule" else job


def _ready(job: str, value: Any) -> Ready:
    kind = value.get("kind") if isinstance(value, dict) else None
    if kind in ("notify", "none"):
        return Ready(kind)
    if kind == "tcp":
        return Ready(kind, port=_port(job, value.get("port")))
    if kind == "http":
        url = value.get("url")
        found = _URL.fullmatch(url) if isinstance(url, str) else None
        if found is None:
            raise AgentError("bad-payload", f"job {job}: {url!r} is no address of this machine: ready asks no other")
        port = _port(job, int(found["port"] or 80))
        return Ready(kind, port, str(url), found["host"], (found["path"] or "/").partition("#")[0])
    raise AgentError("unsupported", f"job {job}: ready {kind!r} is none of notify, none, tcp, http")


def _port(job: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < 65536:
        raise AgentError("bad-payload", f"job {job}: {value!r} is not a port to be ready on")
    return value


def _directories(job: str, value: dict[str, Any]) -> tuple[str, ...]:
    found = value.get("directories", [])
    if not isinstance(found, list) or not all(isinstance(path, str) for path in found):
        raise AgentError("bad-payload", f"job {job}: directories is not a list of paths")
    return tuple(found)


def _secrets(job: str, value: dict[str, Any]) -> tuple[str, ...]:
    found = value.get("secrets", [])
    if not isinstance(found, list) or not all(isinstance(name, str) and _SECRET.fullmatch(name) for name in found):
        raise AgentError("bad-payload", f"job {job}: secrets is not a list of names")
    return tuple(found)


def _text(job: str, value: dict[str, Any], key: str) -> str:
    found = value.get(key)
    if not isinstance(found, str) or not found:
        raise AgentError("bad-payload", f"job {job} in release.json has no {key}")
    return found


def _read_units(directory: Path, jobs: Mapping[str, Job]) -> dict[str, bytes]:
    if not directory.is_dir():
        return {}
    units: dict[str, bytes] = {}
    for path in sorted(directory.iterdir()):
        if job_of_unit(path.name) not in jobs:
            raise AgentError("bad-payload", f"units/{path.name} belongs to no job of the release")
        units[path.name] = path.read_bytes()
    return units
