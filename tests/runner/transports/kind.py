from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.runner.station import Endpoint, Station


class Transports(ABC):
    """Makes both ends of channels of one kind."""

    kind: str
    durable = True
    """Whether events lie somewhere while no consumer is there: a producer may end before it comes."""
    most_repeated = 110_000
    """Events of 200 bytes that may come twice when a process is killed: what may be under way, and a little."""

    def __init__(self, station: Station) -> None:
        self.station = station

    @abstractmethod
    def output(
        self, steps: dict[str, int], *, producer: str = "o.collect.0", replica: int = 0, channel: str = "c"
    ) -> Endpoint:
        """One producer's end, towards each consuming step and its number of replicas."""

    @abstractmethod
    def input(self, step: str, replica: int = 0, replicas: int = 1, channel: str = "c") -> Endpoint:
        """One replica's end."""

    def kill_server(self) -> bool:
        """Kill what holds the events, and start it again; False where that is nobody."""
        return False

    def close(self) -> None:  # noqa: B027 -- most have nothing to stop
        """Stop whatever was started for the channels."""
