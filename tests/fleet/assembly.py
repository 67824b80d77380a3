"""Putting a machine together, up to the moment when it can be switched on."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fleet import keys
from tests.fleet.container import Container
from tests.fleet.machine import Machine
from tests.fleet.mounts import mount_bind, mount_overlay, mount_tmpfs
from tests.fleet.slot import Slot

DATA_FOLDER = "/var/lib/gitopsd"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """What the machines of one fleet have in common, and the image of each."""

    slot: Slot
    images: Mapping[str, Path]
    names: Sequence[str]
    client_key: Path
    shared: Mapping[str, Path]
    data_size: str | None

    def assemble(self, number: int) -> Machine:
        """Machine `number` of the fleet, counted from 0."""
        name = self.names[number]
        parts = self.slot.folder / name
        root = parts / "root"
        mount_overlay(root, lower=self.images[name], upper=parts / "upper", work=parts / "work")
        if self.data_size is not None:
            mount_tmpfs(_inside(root, DATA_FOLDER), size=self.data_size)
        for path, folder in self.shared.items():
            mount_bind(_inside(root, path), source=folder)
        network = self.slot.network
        network.plug_in(number)
        return Machine(
            name=name,
            address=network.address(number),
            host_key=self._identify(root, number),
            client_key=self.client_key,
            root=root,
            number=number,
            network=network,
            container=Container(
                group=f"{self.slot.name_prefix}{number}",
                hostname=name,
                root=root,
                network_namespace=network.namespace(number),
                console=parts / "console.log",
            ),
        )

    def _identify(self, root: Path, number: int) -> str:
        """Write who the machine is and whom it lets in; its host key."""
        name = self.names[number]
        (root / "etc/machine-id").write_text(f"{uuid.uuid4().hex}\n")
        (root / "etc/hostname").write_text(f"{name}\n")
        hosts = ["127.0.0.1 localhost"]
        hosts += [f"{self.slot.network.address(other)} {name}" for other, name in enumerate(self.names)]
        (root / "etc/hosts").write_text("\n".join(hosts) + "\n")
        authorized = root / "root/.ssh/authorized_keys"
        authorized.parent.mkdir(mode=0o700, exist_ok=True)
        authorized.write_text(f"{keys.public_half(self.client_key)} fleet\n")
        authorized.chmod(0o600)
        return keys.generate(root / "etc/ssh/ssh_host_ed25519_key", comment=name)


def _inside(root: Path, path: str) -> Path:
    return root / path.lstrip("/")
