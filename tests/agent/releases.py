"""Small releases of the tests' own: a launcher that sleeps, so that nothing of the runner is needed."""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gitopsd.agent.githash import Entry, blob_id, tree_id

if TYPE_CHECKING:
    from collections.abc import Mapping

OWNER = {"root_commit": "a" * 40, "environment": "production"}

# Speaks sd_notify; a job's own files tell it how to behave.
LAUNCHER = r"""
import hashlib, json, os, pathlib, signal, socket, sys, threading, time
release = pathlib.Path(__file__).resolve().parent.parent
job = sys.argv[1]
os.chdir(release / "jobs" / job)
settings = json.loads(pathlib.Path("job.json").read_text())
state = pathlib.Path(os.environ["STATE_DIRECTORY"])
if sys.argv[2:] == ["check"]:
    secrets = pathlib.Path(os.environ.get("CREDENTIALS_DIRECTORY", "/nowhere"))
    print(settings["says"].format(
        user=os.getuid(), state=state, secret=(secrets / "token").read_text() if secrets.is_dir() else ""), flush=True)
    for path in settings.get("writes_to", ()):
        pathlib.Path(path).touch()
    time.sleep(settings.get("check_seconds", 0))
    sys.exit(settings["refuses"])
if "CREDENTIALS_DIRECTORY" in os.environ:
    given = sorted(pathlib.Path(os.environ["CREDENTIALS_DIRECTORY"]).iterdir())
    held = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in given}
    (state / "held").write_text(json.dumps(held))
with open(state / "starts", "a") as starts:
    starts.write(settings["version"] + "\n")
print("starting", job, settings["version"], flush=True)
if settings.get("exit") is not None:
    print("last words of", job, flush=True)
    sys.exit(settings["exit"])
if settings["kind"] in ("once", "schedule"):
    time.sleep(settings.get("seconds", 0))
    while settings.get("held") and not (state / "let-go").exists():
        time.sleep(0.05)
    if settings["kind"] == "schedule":
        sys.exit(0)
    (state / "completed").write_text(job)
    sys.exit(0)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
def reload(*_):
    with open(state / "reloads", "a") as reloads:
        reloads.write("1\n")
if settings.get("reloads"):
    signal.signal(signal.SIGHUP, reload)
def serve(listening):
    while True:
        connection, _ = listening.accept()
        with connection:
            if settings.get("answer"):
                connection.recv(4096)
                connection.sendall(("HTTP/1.1 " + settings["answer"] + "\r\nContent-Length: 0\r\n\r\n").encode())
if settings.get("socket"):
    pathlib.Path(settings["socket"]).unlink(missing_ok=True)
    channel = socket.socket(socket.AF_UNIX)
    channel.bind(settings["socket"])
    os.chmod(settings["socket"], 0o660)
    channel.listen()
for attempt in range(100):
    try:
        peers = [socket.socket(socket.AF_UNIX) for path in settings.get("connect", ())]
        for peer, path in zip(peers, settings.get("connect", ())):
            peer.connect(path)
        break
    except (FileNotFoundError, ConnectionRefusedError):
        time.sleep(0.1)
time.sleep(settings.get("ready_after", 0))
while settings.get("held") and not (state / "let-go").exists():
    time.sleep(0.05)
if os.environ.get("NOTIFY_SOCKET"):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.connect(os.environ["NOTIFY_SOCKET"].replace("@", "\0", 1))
        notify.send(b"READY=1")
if settings.get("listen"):
    threading.Thread(target=serve, args=(socket.create_server(("127.0.0.1", settings["listen"])),), daemon=True).start()
while True:
    signal.pause()
"""

_CREDENTIALS = "/var/lib/gitopsd/credentials/current"


@dataclass(frozen=True, kw_only=True)
class TestJob:
    """One job: `settings` go to its job.json, `version` changes its digest."""

    __test__ = False
    name: str
    version: str = "1"
    kind: str = "service"
    on_change: str = "restart"
    user: str = "gitopsd-job"
    directories: tuple[str, ...] = ()
    ready: dict[str, Any] = field(default_factory=lambda: {"kind": "notify"})
    settings: dict[str, Any] = field(default_factory=dict)
    unit_lines: tuple[str, ...] = ()
    secrets: tuple[str, ...] = ()
    schedule: str = ""
    validates: bool = False
    process: str = "as ever"

    @property
    def unit(self) -> str:
        return f"gitopsd-{self.name}.service"

    def unit_text(self) -> str:
        once, scheduled = self.kind == "once", self.kind == "schedule"
        lines = [
            "[Unit]",
            f"Description=gitopsd job {self.name}",
            *([f"ConditionPathExists=!/var/lib/gitopsd/state/{self.name}/completed"] if once else []),
            "[Service]",
            f"ExecStart=/usr/bin/python3 -IB /var/lib/gitopsd/current/runtime/launch.py {self.name}",
            f"Type={'oneshot' if scheduled else 'notify' if not once and self.ready['kind'] == 'notify' else 'exec'}",
            *(["ExecReload=/bin/kill -HUP $MAINPID"] if self.on_change == "reload" else []),
            "NotifyAccess=main",
            f"User={self.user}",
            f"StateDirectory=gitopsd/state/{self.name}",
            "RuntimeDirectory=gitopsd/s",
            "RuntimeDirectoryPreserve=yes",
            *(["RemainAfterExit=yes"] if once else [] if scheduled else ["Restart=always", "RestartSec=200ms"]),
            *(f"LoadCredential={name}:{_CREDENTIALS}/{self.name}/{name}" for name in self.secrets),
            *self.unit_lines,
            *([] if scheduled else ["[Install]", "WantedBy=multi-user.target"]),
            "",
        ]
        return "\n".join(lines)

    def timer_text(self) -> str:
        return (
            f"[Timer]\nOnCalendar={self.schedule}\nPersistent=yes\nAccuracySec=1s\n[Install]\nWantedBy=timers.target\n"
        )


@dataclass(frozen=True)
class TestRelease:
    """The files of a release: path -> (mode, bytes)."""

    __test__ = False
    files: dict[str, tuple[str, bytes]]

    @property
    def entries(self) -> list[Entry]:
        return [Entry(path, mode, blob_id(data)) for path, (mode, data) in sorted(self.files.items())]

    @property
    def id(self) -> str:
        return tree_id(self.entries)

    @property
    def manifest(self) -> list[list[str]]:
        return [[entry.path, entry.mode, entry.blob] for entry in self.entries]

    def payload(self, without: TestRelease | None = None) -> tuple[list[list[Any]], bytes]:
        """Index and bytes of all blobs that the other release does not have."""
        known = {entry.blob for entry in without.entries} if without else set()
        blobs = {blob_id(data): data for _, data in self.files.values()}
        sent = {blob: data for blob, data in sorted(blobs.items()) if blob not in known}
        return [[blob, len(data)] for blob, data in sent.items()], zlib.compress(b"".join(sent.values()))

    def with_file(self, path: str, data: bytes, mode: str = "100644") -> TestRelease:
        return TestRelease({**self.files, path: (mode, data)})


def release_of(*jobs: TestJob, extra: dict[str, bytes] | None = None) -> TestRelease:
    files: dict[str, tuple[str, bytes]] = {
        "runtime/launch.py": ("100644", LAUNCHER.encode()),
        "libraries/nats/nats/__init__.py": ("100644", b"# a library\n"),
    }
    described: dict[str, Any] = {}
    for job in jobs:
        settings = {"format": 1, "job": job.name, "kind": job.kind, "version": job.version, **job.settings}
        files[f"jobs/{job.name}/job.json"] = ("100644", _json(settings))
        files[f"units/{job.unit}"] = ("100644", job.unit_text().encode())
        if job.schedule:
            files[f"units/gitopsd-{job.name}.timer"] = ("100644", job.timer_text().encode())
        described[job.name] = {
            "kind": job.kind,
            "digest": hashlib.sha1(
                _json(settings) + (job.unit_text() + job.schedule).encode(), usedforsecurity=False
            ).hexdigest(),
            "unit": job.unit,
            "on_change": job.on_change,
            "ready": job.ready,
            "user": job.user,
            "directories": list(job.directories),
            "secrets": list(job.secrets),
            **({"validates": True} if job.validates else {}),
            **({"process": job.process} if job.on_change == "reload" else {}),
        }
    head = {"format": 1, "worker": "edge-1", "environment": "production", "runtime": None, "jobs": described}
    files["release.json"] = ("100644", _json(head))
    files.update({path: ("100644", data) for path, data in (extra or {}).items()})
    return TestRelease(files)


def activation(release: TestRelease, before: TestRelease | None = None, **changes: Any) -> tuple[dict[str, Any], bytes]:
    """The request of `activate` (without protocol and layout) and its payload."""
    index, payload = release.payload(before)
    request = {
        "owner": OWNER,
        "release": release.id,
        "manifest": release.manifest,
        "payload": index,
        "deadline": 60,
    }
    return {**request, **changes}, payload


def encoded(values: Mapping[str, bytes]) -> dict[str, str]:
    """Secrets as a request has them."""
    return {name: base64.b64encode(value).decode() for name, value in values.items()}


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
