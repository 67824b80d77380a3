"""Preparing a machine that is no worker yet: one fixed command, which runs a fixed script with JSON as its input."""

from __future__ import annotations

import json
import time
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from gitopsd.fleet.connector import Connector
from gitopsd.fleet.errors import HostKeyMismatch, WorkerRefused, WorkerUnreachable
from gitopsd.fleet.exchange import CutOff, Exchanged, NotStarted, exchange
from gitopsd.fleet.layout import SYSTEM_ROOT
from gitopsd.fleet.shell import PYTHON, Rights
from gitopsd.fleet.wire import excerpt
from gitopsd.model.not_json import NOT_JSON

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from gitopsd.fleet.target import SshSettings, Target

_NO_PYTHON = 92
_OLD_PYTHON = 93
_COMMAND_NOT_FOUND = 127
_CONNECT_SECONDS = 30.0
_SCRIPT_SECONDS = 120.0
# no quote of either kind in it, and nothing that a shell would expand
_READ_AND_RUN = (
    f"import sys; sys.version_info >= (3, 9) or sys.exit({_OLD_PYTHON}); import json, shutil, uuid; "
    "s = sys.stdin.buffer; exec(s.read(int(s.readline())))"
)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """Something that preparing the machine comes to, and whether that is so already."""

    what: str
    done: bool


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What was found on the machine and, after `prepare`, what was changed there.

    problems keep it from being prepared, each with the way out; owner: the environment that it belongs to already.
    """

    changed: tuple[str, ...]
    python: str = ""
    hostname: str = ""
    problems: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    owner: str = ""
    error: str = ""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """The account to make, and the public key that is to log in as it."""

    user: str
    key: str


class NewMachine:
    """A machine reached as an account that exists there: root, or one that may run `sudo -n`."""

    def __init__(self, settings: SshSettings) -> None:
        self._connector = Connector(settings)

    def offered_key(self, target: Target) -> str:
        """The host key that the machine shows, `TYPE KEY`; nothing but the key exchange is sent."""
        try:
            connection = self._connector.open(msgspec.structs.replace(target, host_key=None), _deadline())
        except HostKeyMismatch as refused:
            return refused.offered_key
        connection.client.close()
        raise AssertionError("a connection without a pinned host key was let through")

    def run(self, target: Target, action: Literal["inspect", "prepare"], wish: Wish) -> Prepared:
        """Look at the machine, or also do what is missing. `target.host_key` is the accepted one.

        Raises WorkerUnreachable, HostKeyMismatch, WorkerRefused.
        """
        name = target.name
        connection = self._connector.open(target, _deadline())
        try:
            rights: Rights = "root" if connection.user == "root" else "sudo"
            where = f"{connection.host}:{connection.port}"
            stdin = _stdin({"action": action, "user": wish.user, "key": wish.key, "root": SYSTEM_ROOT})
            done = exchange(connection.transport, script_command(rights), stdin, time.monotonic() + _SCRIPT_SECONDS)
            return _answer(name, str(connection.user), where, done)
        except (NotStarted, CutOff) as error:
            raise WorkerUnreachable(
                name,
                "exec",
                f"{name}: the connection ended before the machine answered: {error}. Running it again is safe",
            ) from error
        finally:
            connection.client.close()

    def close(self) -> None:
        self._connector.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def script_command(rights: Rights) -> str:
    """Run what arrives on stdin: its length on a line, the script, and then the script's own input."""
    run = f'{PYTHON} -IB -c "{_READ_AND_RUN}"'
    if rights == "sudo":
        run = f"sudo -n -- {run}"
    return f"exec /bin/sh -c 'test -x {PYTHON} || exit {_NO_PYTHON}; exec {run}'"


def _stdin(request: dict[str, Any]) -> bytes:
    script = files("gitopsd.agent").joinpath("prepare.py").read_bytes()
    return f"{len(script)}\n".encode() + script + json.dumps(request).encode() + b"\n"


def _answer(name: str, user: str, where: str, done: Exchanged) -> Prepared:
    said = excerpt(done.stderr).rstrip(". ")
    if done.status in (_NO_PYTHON, _OLD_PYTHON) or b"ModuleNotFoundError" in done.stderr:
        raise WorkerRefused(
            name,
            "no-python",
            f"{name}: {where} has no Python 3.9 or newer, whole, as {PYTHON}: install it there (Debian's `python3`; "
            "`python3-minimal` is not enough), then run this again",
        )
    if done.stderr.startswith(b"sudo:") or (done.status == _COMMAND_NOT_FOUND and user != "root"):
        raise WorkerRefused(
            name,
            "no-sudo",
            f"{name}: {user} may not become root at {where} without a password: {said}. Log in as root "
            f"(root@{name}), or as an account that `sudo -n` works for",
        )
    lines = done.stdout.splitlines()  # login scripts may print before it
    try:
        return msgspec.json.decode(lines[-1] if lines else b"", type=Prepared)
    except NOT_JSON:
        raise WorkerRefused(
            name,
            "protocol",
            f"{name}: what came back from {where} makes no sense, exit code {done.status}: "
            f"{said or excerpt(done.stdout) or 'nothing'}. Running it again is safe",
        ) from None


def _deadline() -> float:
    return time.monotonic() + _CONNECT_SECONDS
