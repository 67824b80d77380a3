"""A bridge on this machine, and for each of the fleet's machines a network namespace with a cable to that bridge."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tests.fleet.commands import execute

# A corner of the private range that few use; the third octet is the slot, so that concurrent fleets never meet.
SUBNETS = "10.213"
# How many machines a subnet has addresses for.
MOST = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The names and addresses of one slot; interface names are limited to 15 characters, hence so short."""

    slot: int

    @property
    def bridge(self) -> str:
        return f"gof{self.slot}"

    @property
    def gateway(self) -> str:
        return f"{SUBNETS}.{self.slot}.1"

    @property
    def name_prefix(self) -> str:
        return f"gitopsd-fleet-{self.slot}-"

    def address(self, number: int) -> str:
        return f"{SUBNETS}.{self.slot}.{number + 10}"

    def namespace(self, number: int) -> str:
        return f"{self.name_prefix}{number}"

    def cable(self, number: int) -> str:
        return f"{self.bridge}n{number}"

    def is_free(self) -> bool:
        """Whether no other route of this machine already leads to these addresses."""
        routes = json.loads(execute(["ip", "-json", "route", "show", "root", f"{SUBNETS}.{self.slot}.0/24"]).stdout)
        return not routes

    def create_bridge(self) -> None:
        _batch(
            [
                f"link add {self.bridge} type bridge",
                f"addr add {self.gateway}/24 dev {self.bridge}",
                f"link set {self.bridge} up",
            ]
        )

    def plug_in(self, number: int) -> None:
        """The namespace of machine `number`, connected; it has no default route, so nothing leaves the bridge."""
        namespace, cable = self.namespace(number), self.cable(number)
        execute(["ip", "netns", "add", namespace])
        _batch(
            [
                f"link add {cable} type veth peer name eth0 netns {namespace}",
                f"link set {cable} master {self.bridge} up",
            ]
        )
        _batch([f"addr add {self.address(number)}/24 dev eth0", "link set lo up", "link set eth0 up"], namespace)

    def set_cable(self, number: int, *, up: bool) -> None:
        execute(["ip", "link", "set", self.cable(number), "up" if up else "down"])

    def remove(self) -> None:
        """All that carries this slot's names, also what an earlier owner left half made."""
        for namespace in self.namespaces():
            execute(["ip", "netns", "del", namespace])
        for interface in self.interfaces():
            execute(["ip", "link", "del", interface], check=False)  # cables went with their namespace, a moment later

    def namespaces(self) -> list[str]:
        listed = execute(["ip", "-json", "netns", "list"]).stdout or "[]"
        return [entry["name"] for entry in json.loads(listed) if entry["name"].startswith(self.name_prefix)]

    def interfaces(self) -> list[str]:
        names = [link["ifname"] for link in json.loads(execute(["ip", "-json", "link", "show"]).stdout)]
        return [name for name in names if name == self.bridge or name.startswith(f"{self.bridge}n")]


def _batch(commands: Sequence[str], namespace: str | None = None) -> None:
    inside = ["-n", namespace] if namespace else []
    execute(["ip", *inside, "-batch", "-"], input="\n".join(commands) + "\n")
