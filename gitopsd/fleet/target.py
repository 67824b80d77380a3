from __future__ import annotations

from typing import Literal

import msgspec

from gitopsd.model.facts import Owner  # noqa: TC001 -- msgspec reads the annotations at run time


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One worker as the fleet file describes it: all that is needed to reach it and nothing that it holds.

    address, port, user and host_key are those of SSH and unused for local workers; what is None comes from
    ~/.ssh/config, then from SSH's own defaults, but for the host key, which comes from the fleet file alone.
    owner is None only where no artifact branch exists yet: a probe.
    """

    name: str
    connection: Literal["ssh", "local"] = "ssh"
    service_manager: Literal["systemd", "supervisor"] = "systemd"
    address: str | None = None
    port: int | None = None
    user: str | None = None
    host_key: str | None = None
    owner: Owner | None = None


class SshSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The operator's `ssh:` settings and the deadline, in seconds, of each stage of a connection.

    identity: private key files; none means ssh-agent and the default keys of ~/.ssh, as OpenSSH would.
    jump: a host, as for OpenSSH's ProxyJump, to go through. config: another file than ~/.ssh/config (for tests).
    addresses: the networks that workers may be in, None for anywhere; local_workers: whether this machine may be one.
    What is deployed says where workers are, and only the operator where they may be.
    """

    identity: tuple[str, ...] = ()
    jump: str | None = None
    config: str | None = None
    addresses: tuple[str, ...] | None = None
    local_workers: bool = True
    connect_seconds: float = 10.0
    banner_seconds: float = 10.0
    auth_seconds: float = 15.0
