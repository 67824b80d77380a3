"""Opening SSH connections with Fabric: what many of them share, and a deadline and a name for each stage."""

from __future__ import annotations

import logging
import re
import socket
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fabric
import paramiko

from gitopsd.fleet.errors import HostKeyMismatch, WorkerUnreachable
from gitopsd.fleet.host_key import (
    HostKey,
    HostKeyRefused,
    PinnedKeyPolicy,
    parse_host_key,
    prefer,
    prefer_fast,
    refusal_message,
)
from gitopsd.fleet.identity import Identities
from gitopsd.fleet.jumps import JumpRefused, Jumps

if TYPE_CHECKING:
    from collections.abc import Callable

    from gitopsd.fleet.errors import Stage
    from gitopsd.fleet.target import SshSettings, Target

_KEEPALIVE_SECONDS = 30
# Paramiko looks ten times a second whether a connection was closed; `Session.close` wakes it instead
_LOOK_SECONDS = 5.0
# a peer that takes nothing any more, so that whoever sends to it doesn't wait without end
_UNSENT_MILLISECONDS = 30_000
_REKEY_SECONDS = 10.0
_ADDRESS = re.compile(r"[A-Za-z0-9.:_%][A-Za-z0-9.:_%-]{0,252}")
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}")

logging.getLogger("paramiko").addHandler(logging.NullHandler())  # its warnings are for `--debug`, not for stderr


class _Connection(fabric.Connection):  # type: ignore[misc]  # Fabric has no types
    """One that leaves the configuration alone which all of them share.

    Each change has it put together anew: meanwhile it is empty for whoever opens a connection on another thread.
    """

    inline_ssh_env: bool | None = None  # Fabric sets it without declaring it, and what isn't declared is configuration

    def __init__(self, host: str, *, config: fabric.Config, user: str | None = None, port: int | None = None) -> None:
        # without a place for the identities that ~/.ssh/config names Fabric adds them to everybody's
        super().__init__(host, user=user, port=port, config=config, connect_kwargs={"key_filename": []})


class Connector:
    """Opens connections from any thread: ~/.ssh/config is read once, jump hosts are shared by all who need them."""

    def __init__(self, settings: SshSettings) -> None:
        self._settings = settings
        self._config = _load_config(settings)
        self._identities = Identities()
        self._jumps = Jumps()

    def open(self, target: Target, deadline: float) -> Any:
        """An authenticated fabric.Connection to the worker, its host key verified against the fleet file's.

        deadline: on the clock of time.monotonic(); each stage ends there, or earlier at its own.
        Raises WorkerUnreachable with the stage that failed, HostKeyMismatch before anything was sent.
        """
        if not target.address:
            raise WorkerUnreachable(target.name, "connect", f"{target.name}: the fleet file has no address for it")
        _require_plain(target)
        pinned = _pinned(target)
        connection = _Connection(target.address, user=target.user, port=target.port, config=self._config)
        where = f"{connection.host}:{connection.port}"
        policy = PinnedKeyPolicy(pinned)
        sock = self._socket(target, connection, where, deadline)
        connection.gateway = None
        connection.client.set_missing_host_key_policy(policy)
        # of the negotiation: the socket is connected
        connection.connect_timeout = _until(deadline, self._settings.banner_seconds)
        connection.connect_kwargs = self._connect_kwargs(connection, sock, pinned)
        try:
            connection.open()
        except HostKeyRefused as refused:
            _abandon(connection, sock)
            raise HostKeyMismatch(
                target.name,
                refusal_message(target, where, pinned, refused.offered),
                expected=None if pinned is None else pinned.fingerprint,
                offered=refused.offered.fingerprint,
                offered_key=refused.offered.line,
            ) from None
        except (paramiko.SSHException, EOFError, OSError, ValueError) as error:
            _abandon(connection, sock)
            if policy.accepted:
                raise _not_authenticated(target, connection.user, where, error) from error
            raise WorkerUnreachable(
                target.name,
                "banner",
                f"{target.name}: connected to {where}, but no SSH session came about: {_reason(error)}. Does sshd "
                "answer there, and has the machine memory and processes to spare?",
            ) from error
        except BaseException:
            _abandon(connection, sock)
            raise
        _keep_alive(connection.transport)
        return connection

    def close(self) -> None:
        """Close the jump hosts; connections that go through them end with them."""
        self._jumps.close()

    def _socket(self, target: Target, connection: Any, where: str, deadline: float) -> Any:
        seconds = _until(deadline, self._settings.connect_seconds)
        gateway = self._settings.jump or connection.gateway
        try:
            if isinstance(gateway, str) and gateway != self._settings.jump:
                return connection.open_gateway()  # a ProxyCommand
            if gateway:
                jump = self._jump(target, gateway, deadline)
                seconds = _until(deadline, self._settings.connect_seconds)
                destination = (connection.host, int(connection.port))
                return jump.transport.open_channel("direct-tcpip", destination, ("", 0), timeout=seconds)
            return _connect(connection.host, int(connection.port), seconds)
        except (paramiko.SSHException, EOFError, OSError) as error:
            through = f" through {_name(gateway)}" if gateway else ""
            # an error number means that somebody said no; ours is the only time limit that comes without one
            in_time = f" within {seconds:.0f} s" if isinstance(error, TimeoutError) and error.errno is None else ""
            why = "" if in_time else f": {_reason(error)}"
            raise WorkerUnreachable(
                target.name,
                _stage_of(error),
                f"{target.name}: no connection to {where}{through}{in_time}{why}. "
                "Is the machine up, is the address right, does a firewall let us in?",
            ) from error

    def _jump(self, target: Target, gateway: Any, deadline: float) -> Any:
        name = _name(gateway)

        def open_jump() -> Any:
            jump = _Connection(gateway, config=self._config) if isinstance(gateway, str) else gateway
            self._open_jump(jump, name)
            return jump

        return self._jumps.get(target.name, name, open_jump, deadline)

    def _open_jump(self, jump: Any, name: str) -> None:
        # it is no worker, so the fleet file doesn't pin it: its key is checked as OpenSSH checks it
        jump.client.load_system_host_keys()
        jump.client.set_missing_host_key_policy(paramiko.RejectPolicy())
        jump.connect_timeout = self._settings.connect_seconds
        jump.connect_kwargs = self._connect_kwargs(jump, None, None)
        try:
            jump.open()
        except (paramiko.SSHException, EOFError, OSError) as error:
            jump.client.close()
            raise JumpRefused(
                f"the jump host {name} lets nobody through: {_reason(error)}. Try `ssh {name}` as the "
                "same user: its host key must be in ~/.ssh/known_hosts and your key must be accepted"
            ) from error
        _keep_alive(jump.transport)

    def _connect_kwargs(self, connection: Any, sock: Any, pinned: HostKey | None) -> dict[str, Any]:
        settings = self._settings
        identities = [str(Path(path).expanduser()) for path in settings.identity]
        configured = connection.connect_kwargs.get("key_filename") or []
        files = [str(path) for path in identities or ([configured] if isinstance(configured, str) else configured)]
        first = self._identities.load(files[0]) if files else None
        options: dict[str, Any] = {
            "pkey": first,
            "key_filename": files if first is None else files[1:],
            "allow_agent": not identities,
            "look_for_keys": not identities,
            "banner_timeout": settings.banner_seconds,
            "auth_timeout": settings.auth_seconds,
            "channel_timeout": settings.connect_seconds,
            "transport_factory": _transport_factory(pinned),
        }
        return options if sock is None else {**options, "sock": sock}


def _until(deadline: float, seconds: float) -> float:
    return max(0.1, min(seconds, deadline - time.monotonic()))


def _load_config(settings: SshSettings) -> Any:
    # lazy: nothing of ~/.fabric.yaml, only what OpenSSH reads as well
    config = fabric.Config(lazy=True, runtime_ssh_path=settings.config)
    config.load_ssh_config()
    return config


def _transport_factory(pinned: HostKey | None) -> Callable[..., paramiko.Transport]:
    def make(sock: Any, disabled_algorithms: Any = None, **_: Any) -> paramiko.Transport:
        if isinstance(sock, socket.socket):
            # Paramiko leaves Nagle's algorithm on, which costs 40 ms a request
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNSENT_MILLISECONDS)
        transport = paramiko.Transport(sock, disabled_algorithms=disabled_algorithms)
        transport.daemon = True
        transport.clear_to_send_timeout = _REKEY_SECONDS
        prefer_fast(transport)
        prefer(transport, pinned)
        return transport

    return make


def _stage_of(error: Exception) -> Stage:
    """A machine that refuses is there, and a name that can't be resolved says nothing about any machine."""
    if isinstance(error, socket.gaierror):
        return "resolve"
    return "refused" if isinstance(error, ConnectionRefusedError) else "connect"


def _require_plain(target: Target) -> None:
    """`Match exec` and ProxyCommand of ~/.ssh/config put both into commands, and `fleet.json` may be anybody's."""
    for what, text, pattern in (("address", target.address or "", _ADDRESS), ("user", target.user or "x", _USER)):
        if not pattern.fullmatch(text):
            raise WorkerUnreachable(
                target.name,
                "connect",
                f"{target.name}: {text[:60]!r} can't be its {what}, so nothing was tried: correct the fleet file, or "
                "look who changed fleet.json on the artifact branch",
            )


def _pinned(target: Target) -> HostKey | None:
    if target.host_key is None:
        return None
    pinned = parse_host_key(target.host_key)
    if pinned is None:
        raise HostKeyMismatch(
            target.name,
            f"{target.name}: the host_key in the fleet file is not a public key: write it as in "
            "/etc/ssh/ssh_host_ed25519_key.pub on the machine, `ssh-ed25519 AAAA…`",
            expected=None,
            offered=None,
        )
    return pinned


def _connect(host: str, port: int, seconds: float) -> socket.socket:
    """A connection to the first of the host's addresses that answers, within one time limit for all of them."""
    deadline = time.monotonic() + seconds
    failure: OSError = TimeoutError()
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        sock = socket.socket(family, kind, protocol)
        try:
            sock.settimeout(_until(deadline, seconds))
            sock.connect(address)
        except OSError as error:
            sock.close()
            failure = error
            if time.monotonic() >= deadline:
                break
        else:
            return sock
    raise failure


def _keep_alive(transport: paramiko.Transport) -> None:
    transport.set_keepalive(_KEEPALIVE_SECONDS)
    if isinstance(transport.sock, socket.socket):
        transport.sock.settimeout(_LOOK_SECONDS)


def _not_authenticated(target: Target, user: str, where: str, error: Exception) -> WorkerUnreachable:
    return WorkerUnreachable(
        target.name,
        "auth",
        f"{target.name}: not let in as {user} by {where}: {_reason(error)}. Is our public key in that user's "
        "~/.ssh/authorized_keys there, and the private one in ssh-agent or named by `ssh: {identity: …}`?",
    )


def _abandon(connection: Any, sock: Any) -> None:
    connection.client.close()
    with suppress(OSError):
        sock.close()


def _name(gateway: Any) -> str:
    if isinstance(gateway, str):
        return gateway
    return f"{gateway.user}@{gateway.host}:{gateway.port}"


def _reason(error: BaseException) -> str:
    text = str(getattr(error, "strerror", None) or error).rstrip(". ")
    return text or type(error).__name__
