"""One open SSH connection to a worker, with the agent that stays there and what it said last."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gitopsd.fleet.jumps import close
from gitopsd.fleet.served import ServedAgent

if TYPE_CHECKING:
    from collections.abc import Mapping

    from paramiko import Transport

    from gitopsd.fleet.shell import Rights


_ANEW = frozenset({"credentials", "traffic"})
"""What is said each time: fingerprints are made with another key, and events go on passing."""


class Session:
    """Belongs to one thread at a time; `close` may come from any."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._agent: ServedAgent | None = None
        self._observed: tuple[object, str, dict[str, Any]] | None = None

    @property
    def is_open(self) -> bool:
        return bool(self._connection.is_connected)

    @property
    def transport(self) -> Transport:
        transport: Transport = self._connection.transport
        return transport

    @property
    def user(self) -> str:
        return str(self._connection.user)

    @property
    def where(self) -> str:
        return f"{self._connection.host}:{self._connection.port}"

    @property
    def rights(self) -> Rights:
        return "root" if self.user == "root" else "sudo"

    def agent(self, command: str, deadline: float) -> ServedAgent:
        """The agent that stays, started if there is none. Raises NotStarted."""
        if self._agent is not None and not self._agent.is_there(deadline):
            self.end_agent()
        if self._agent is None:
            self._agent = ServedAgent(self.transport, command, deadline)
        return self._agent

    def end_agent(self) -> None:
        if self._agent is not None:
            self._agent.close()
            self._agent = None

    def known(self, request: Mapping[str, Any]) -> str:
        """The name of the last observation that was asked for like this; empty without one."""
        if self._observed is None or self._observed[0] != _asked(request):
            return ""
        return self._observed[1]

    def observed(self, request: Mapping[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        """The observation that an answer to `observe` stands for: the last one, where nothing has changed since."""
        if answer.get("same") is True and self._observed is not None:
            return {**self._observed[2], **answer}
        name = answer.get("etag")
        lasting = {key: value for key, value in answer.items() if key not in _ANEW}
        self._observed = (_asked(request), name, lasting) if isinstance(name, str) else None
        return answer

    def close(self) -> None:
        close(self._connection)


def _asked(request: Mapping[str, Any]) -> object:
    return request.get("owner")
