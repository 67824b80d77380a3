"""What a fleet file must be beyond its declaration: reachable workers, with names of their own."""

import base64
import binascii

from msgspec import UNSET

from gitopsd.compiler.parse import Declared
from gitopsd.model.diagnostic import Diagnostic, Location, Related
from gitopsd.model.fleet import Fleet, Worker

_KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")


def check_fleet(fleet: Declared[Fleet]) -> list[Diagnostic]:
    diagnostics: list[Diagnostic] = []
    first_place: dict[str, Location] = {}
    for group_name, group in fleet.value.groups.items():
        for mount in group.mounts:
            if not is_plain_absolute_path(mount):
                place = fleet.document.locate_key("groups", group_name, "mounts", mount)
                diagnostics.append(relative_path("a mount", mount, place))
        for name, worker in group.workers.items():
            way = ("groups", group_name, "workers", name)
            place = fleet.document.locate_key(*way)
            if name in first_place:
                first = Related(message=f"`{name}` is declared here first", location=first_place[name])
                diagnostics.append(
                    Diagnostic(
                        code="name-clash",
                        message=f"the worker `{name}` is declared twice",
                        location=place,
                        related=(first,),
                        hint="a worker belongs to one group: rename or remove one of the two",
                    )
                )
            first_place.setdefault(name, place)
            diagnostics += _check_worker(fleet, way, worker)
    return diagnostics


def _check_worker(fleet: Declared[Fleet], way: tuple[str, ...], worker: Worker) -> list[Diagnostic]:
    here = fleet.document.locate_key(*way)
    if worker.connection == "local":
        return []
    diagnostics: list[Diagnostic] = []
    for key, example in (("address", "10.0.0.11"), ("host_key", '"ssh-ed25519 AAAA…"')):
        if getattr(worker, key) is UNSET:
            diagnostics.append(
                Diagnostic(
                    code="missing-key",
                    message=f"the worker `{way[-1]}` needs the key `{key}` to be reached over SSH",
                    location=here,
                    hint=f"add `{key}: {example}`, or `connection: local` for this machine itself",
                )
            )
    if worker.service_manager == "supervisor":
        diagnostics.append(
            Diagnostic(
                code="supervisor-over-ssh",
                message=f"the worker `{way[-1]}` is reached over SSH, and supervisor is for local workers only",
                location=fleet.document.locate(*way, "service_manager"),
                hint="remove `service_manager`, or write `connection: local`",
            )
        )
    if isinstance(worker.address, str) and not _is_address(worker.address):
        diagnostics.append(
            Diagnostic(
                code="wrong-value",
                message=f"`{worker.address[:60]}` is not a host name or an IP address",
                location=fleet.document.locate(*way, "address"),
                hint="write the address alone; the user and port have keys of their own",
            )
        )
    if isinstance(worker.host_key, str) and not _is_host_key(worker.host_key):
        diagnostics.append(
            Diagnostic(
                code="bad-host-key",
                message="this is not the public part of an SSH host key",
                location=fleet.document.locate(*way, "host_key"),
                hint="copy type and key from /etc/ssh/ssh_host_ed25519_key.pub on the worker: `ssh-ed25519 AAAA…`",
            )
        )
    return diagnostics


def _is_address(address: str) -> bool:
    allowed = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-:_%")
    return bool(address) and set(address) <= allowed and not address.startswith("-") and len(address) <= 253


def _is_host_key(text: str) -> bool:
    parts = text.split()
    if len(parts) < 2 or parts[0] not in _KEY_TYPES:
        return False
    try:
        blob = base64.b64decode(parts[1], validate=True)
    except binascii.Error:
        return False
    return blob[4 : 4 + len(parts[0])] == parts[0].encode()


def is_plain_absolute_path(path: str) -> bool:
    """Absolute, without `.`, `..`, doubled slashes or characters that don't print."""
    parts = path.split("/")
    return (
        path.startswith("/")
        and len(path) > 1
        and path.isprintable()
        and not any(part in {"", ".", ".."} for part in parts[1:])
    )


def relative_path(what: str, path: str, location: Location) -> Diagnostic:
    return Diagnostic(
        code="not-absolute",
        message=f"{what} must be an absolute path without `.` or `..` parts, not `{path[:80]}`",
        location=location,
        hint="write the whole path, such as /srv/orders/in",
    )
