"""Whether the operator lets a worker be where the artifact branch says that it is."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gitopsd.fleet.target import SshSettings, Target

_CHANGE = "plan again, or have `policy` in the operator's configuration changed"


def why_not_allowed(target: Target, settings: SshSettings) -> str | None:
    """Planning refuses the same, but whoever can write to the artifact branch can go past it."""
    if target.connection == "local":
        return (
            None if settings.local_workers else f"the operator's policy doesn't let this machine be a worker: {_CHANGE}"
        )
    if settings.addresses is None:
        return None
    try:
        address = ip_address(target.address or "")
    except ValueError:
        return f"it is reached by a name, and the operator's policy allows addresses: {_CHANGE}"
    if any(address in ip_network(network) for network in settings.addresses):
        return None
    return f"the operator's policy doesn't allow its address {address}: {_CHANGE}"
