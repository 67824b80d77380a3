"""What a fleet file must be beyond its declaration: reachable workers, with names of their own."""

import base64
import binascii
from collections.abc import Sequence

from msgspec import UNSET

from gitopsd.compiler.checks.rollout import check_rollout
from gitopsd.compiler.parse import Declared
from gitopsd.compiler.paths import is_plain_absolute, not_absolute
from gitopsd.compiler.placement.features import is_feature
from gitopsd.compiler.yaml.places import Pointer
from gitopsd.model.amounts import seconds
from gitopsd.model.diagnostic import Diagnostic, Related
from gitopsd.model.fleet import Fleet, Worker

_SHORTEST_LOST_AFTER = 30.0
"""Seconds. A worker that reboots is away for about that long, and should find its jobs where they were."""

_KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")


def check_fleet(fleet: Declared[Fleet]) -> list[Diagnostic]:
    diagnostics: list[Diagnostic] = []
    first_way: dict[str, Pointer] = {}
    for group_name, group in fleet.value.groups.items():
        for mount in group.mounts:
            if not is_plain_absolute(mount):
                place = fleet.document.locate_key("groups", group_name, "mounts", mount)
                diagnostics.append(not_absolute("a mount", mount, place))
        diagnostics += _check_features(fleet, ("groups", group_name, "features"), group.features)
        diagnostics += check_rollout(fleet, ("groups", group_name, "rollout"), group.rollout_settings)
        if isinstance(group.lost_after, str) and seconds(group.lost_after) < _SHORTEST_LOST_AFTER:
            diagnostics.append(
                Diagnostic(
                    code="wrong-value",
                    message=f"a worker can't count as lost after {group.lost_after}: that is less than a reboot takes",
                    location=fleet.document.locate("groups", group_name, "lost_after"),
                    hint=f"write {_SHORTEST_LOST_AFTER:g}s or more, such as `10m`; leave it out to have nothing moved",
                )
            )
        for name, worker in group.workers.items():
            way = ("groups", group_name, "workers", name)
            if name in first_way:
                first_place = fleet.document.locate_key(*first_way[name])
                first = Related(message=f"`{name}` is declared here first", location=first_place)
                diagnostics.append(
                    Diagnostic(
                        code="name-clash",
                        message=f"the worker `{name}` is declared twice",
                        location=fleet.document.locate_key(*way),
                        related=(first,),
                        hint="a worker belongs to one group: rename or remove one of the two",
                    )
                )
            first_way.setdefault(name, way)
            diagnostics += _check_worker(fleet, way, worker)
    return diagnostics


def _check_features(fleet: Declared[Fleet], way: Pointer, features: Sequence[str]) -> list[Diagnostic]:
    return [
        Diagnostic(
            code="bad-feature",
            message=f"the feature `{feature[:60]}` can't be read",
            location=fleet.document.locate(*way, index),
            hint="write a name, or a name and its version, such as `python3==3.11`",
        )
        for index, feature in enumerate(features)
        if not is_feature(feature)
    ]


def _check_worker(fleet: Declared[Fleet], way: Pointer, worker: Worker) -> list[Diagnostic]:
    diagnostics = _check_features(fleet, (*way, "features"), worker.features)
    if worker.connection == "local":
        return diagnostics
    for key, example in (("address", "10.0.0.11"), ("host_key", '"ssh-ed25519 AAAA…"')):
        if getattr(worker, key) is UNSET:
            diagnostics.append(
                Diagnostic(
                    code="missing-key",
                    message=f"the worker `{way[-1]}` needs the key `{key}` to be reached over SSH",
                    location=fleet.document.locate_key(*way),
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
