"""Somebody who pushes to a repository on a server, and a controller there that tells what it is given to tell."""

import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from gitopsd.daemon.controller.control_socket.protocol import Answer, Leader, Request, Who
from gitopsd.repo.location import path_identity
from tests.operator import DEADLINE, Operator, eventually

SERVER = "server.yaml"
SOCKET = "control.sock"
IDENTITY = {
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """`remote` is what the server said, without Git's `remote: ` and the white space that it adds."""

    code: int
    remote: str
    output: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Pusher:
    """Works in the clone of `operator` and pushes to `url`, which is the repository at `bare`."""

    operator: Operator
    bare: Path
    url: str
    variables: Mapping[str, str] = field(default_factory=dict)

    def push(self, *arguments: str, expect: int | None = 0) -> Pushed:
        pushing = self.pushing(*arguments)
        _, output = pushing.communicate(timeout=DEADLINE)
        pushed = Pushed(code=pushing.returncode, remote=said(output), output=output)
        assert expect is None or pushed.code == expect, output
        assert "Traceback" not in output, output
        return pushed

    def pushing(self, *arguments: str) -> subprocess.Popen[str]:
        """A push that goes on, in a process group of its own; what Git prints is in its stderr."""
        return subprocess.Popen(
            ["git", "push", self.url, *arguments],
            cwd=self.operator.folder,
            env={**self.operator.environment(), **IDENTITY, **self.variables},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def commit(self, change: Mapping[str, str] | None = None) -> str:
        """The id of a commit that changes these files, or nothing that matters."""
        readme = self.operator.folder / "README.md"
        self.operator.write(
            change or {"README.md": readme.read_text() + "and more\n" if readme.exists() else "words\n"}
        )
        return self.operator.commit("Change")

    def edit(self, path: str, old: str, new: str) -> str:
        text = (self.operator.folder / path).read_text()
        assert old in text, text
        return self.commit({path: text.replace(old, new)})

    def server(self, *arguments: str) -> str:
        """What Git says on the server."""
        done = subprocess.run(
            ["git", f"--git-dir={self.bare}", *arguments],
            env={**self.operator.environment(), **IDENTITY},
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        return done.stdout.strip()

    def head(self, ref: str = "refs/heads/main") -> str:
        """Where a ref of the server is; empty without it."""
        return self.server("for-each-ref", "--format=%(objectname)", ref)


def pusher(operator: Operator, *options: str) -> Pusher:
    """Somebody whose server has an empty repository with hooks, which ask a controller in the operator's home."""
    bare = operator.home / "fleet.git"
    subprocess.run(["git", "init", "--quiet", "--bare", "--initial-branch=main", str(bare)], check=True)
    (operator.home / SERVER).write_text(f"listen: {{control: {operator.home}/{SOCKET}}}\n")
    operator.run("--config", str(operator.home / SERVER), "hook", "install", str(bare), *options)
    return Pusher(operator=operator, bare=bare, url=f"file://{bare}")


def said(output: str) -> str:
    lines = [line.removeprefix("remote:") for line in output.split("\n") if line.startswith("remote:")]
    return "\n".join(line.removeprefix(" ").rstrip() for line in lines)


def folded(text: str) -> str:
    """Without the line breaks that make it fit."""
    return re.sub(r"\s+", " ", text)


class Following:
    """A push whose lines are read as they come."""

    def __init__(self, pusher: Pusher, *arguments: str) -> None:
        self.process = pusher.pushing(*arguments)
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    @property
    def remote(self) -> str:
        return said("".join(self._lines))

    def until_said(self, text: str) -> None:
        eventually(f"{text!r} is said", lambda: text in folded(self.remote) or self.process.poll() is not None)
        assert text in folded(self.remote), self.remote

    def end(self) -> int:
        code = self.process.wait(timeout=DEADLINE)
        self._reader.join(10)
        return code

    def leave(self) -> None:
        """As Ctrl-C does: whoever pushed, and all that runs for the push here, is gone."""
        os.killpg(self.process.pid, signal.SIGINT)
        self.process.wait(timeout=DEADLINE)

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self._lines.append(line)


Telling = Callable[[Callable[[Answer], None]], None]


class ToldController:
    """Says that it leads the repository at `bare`, notes what it is asked, and answers it by `telling`."""

    def __init__(self, bare: Path, telling: Telling) -> None:
        self._path = bare.parent / SOCKET
        self._repository = path_identity(bare)
        self.requests: list[Request] = []
        self.left = threading.Event()
        """Whoever asked last is gone."""
        self._telling = telling
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(self._path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(10)

    def _leader(self) -> Leader:
        return Leader(
            repository=self._repository, environments=("local",), pid=1, version="", since="", socket=str(self._path)
        )

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                request: Request = msgspec.json.decode(connection.makefile("rb").readline(), type=Request)
                write = _writer(connection)
                if isinstance(request, Who):
                    write(self._leader())
                    continue
                self.requests.append(request)
                self._telling(write)
                connection.shutdown(socket.SHUT_WR)
                connection.settimeout(DEADLINE)
                connection.recv(1)
                self.left.set()


def _writer(connection: socket.socket) -> Callable[[Answer], None]:
    return lambda answer: connection.sendall(msgspec.json.encode(answer) + b"\n")


@contextmanager
def told_controller(bare: Path, telling: Telling) -> Iterator[ToldController]:
    controller = ToldController(bare, telling)
    try:
        yield controller
    finally:
        controller.close()
