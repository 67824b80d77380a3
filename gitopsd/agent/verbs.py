"""The verbs of the protocol: a request in, a result out. Nothing here knows how either travels."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from .deadline import Deadline
from .errors import AgentError
from .layout import PROTOCOL, Layout, parse_layout
from .manifest import is_object_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from .copies import CopyService
    from .kept import Kept
    from .services import ServiceManager

_DEFAULT_SECONDS = 60.0
_MOST_SECONDS = 3600.0
_MOST_WAIT_SECONDS = 86400.0
_LEAST_CONFIRM_SECONDS = 1.0
_LONGEST_REASON = 2000
_MOST_LINES = 10_000
_MOST_SHOWN = 200
# teardown may have to wait for units that take their time to stop
_TEARDOWN_SECONDS = 150.0


def handle(verb: str, request: Any, payload: bytes, kept: Kept | None = None) -> dict[str, Any]:
    """Do what one request asks for; raises AgentError with the code that the controller is told.

    kept: what this process remembers from one request to the next, if it lives for more than one.
    """
    _require_protocol(request)
    if verb == "observe":
        return _observe(parse_layout(request.get("layout")), request, kept)
    if verb == "activate":
        return _activate(parse_layout(request.get("layout")), request, payload, kept)
    known = _VERBS.get(verb)
    if known is None:
        raise AgentError(
            "unsupported",
            f"this agent has no verb {verb!r}: it knows {', '.join(sorted((*_VERBS, 'observe', 'activate')))}",
        )
    return known(parse_layout(request.get("layout")), request, payload)


def log_command(request: Any) -> list[str]:
    """What a request of the verb `follow` comes to: the command that prints a job's log as it grows."""
    _require_protocol(request)
    layout = parse_layout(request.get("layout"))
    return _service_manager(layout).follow_command(*_log_of(request))


def _require_protocol(request: Any) -> None:
    if not isinstance(request, dict):
        raise AgentError("protocol", "the request is not a JSON object")
    if request.get("protocol") != PROTOCOL:
        raise AgentError(
            "protocol", f"the request is of protocol {request.get('protocol')!r}, this agent speaks {PROTOCOL}"
        )


# Each verb loads only the modules that it needs: a script from a zip file is compiled anew at each start.


def _probe(layout: Layout, request: dict[str, Any], payload: bytes) -> dict[str, Any]:  # noqa: ARG001 -- as all verbs
    from .probe import probe  # noqa: PLC0415

    return probe(layout, _service_manager(layout))


def _observe(layout: Layout, request: dict[str, Any], kept: Kept | None) -> dict[str, Any]:
    from .credentials import parse_key  # noqa: PLC0415
    from .observe import observe  # noqa: PLC0415
    from .records import require_owner  # noqa: PLC0415

    require_owner(layout, _optional_id(request, "owner"))
    key = parse_key(request.get("fingerprint_key"))
    with _asked_together(layout):
        units = _service_manager(layout, kept).units()
    found = observe(layout, units, key, None if kept is None else kept.hashes)
    passing = {"traffic": _traffic(layout, units)} if request.get("traffic") is True else {}
    if kept is None:
        return {**found, **passing}
    from .kept import etag  # noqa: PLC0415

    name = etag(found)
    if request.get("known") != name:
        return {**found, **passing, "etag": name}
    return {"same": True, **passing, **({"credentials": found["credentials"]} if key is not None else {})}


def _traffic(layout: Layout, units: Iterable[str]) -> dict[str, Any]:
    from .traffic import read_traffic  # noqa: PLC0415

    return read_traffic(layout, units)


def _activate(layout: Layout, request: dict[str, Any], payload: bytes, kept: Kept | None) -> dict[str, Any]:
    from .activate import Request, activate  # noqa: PLC0415
    from .credentials import parse_key, parse_values  # noqa: PLC0415
    from .manifest import parse_manifest  # noqa: PLC0415
    from .payload import unpack  # noqa: PLC0415
    from .records import parse_owner  # noqa: PLC0415

    deadline = _deadline(request)
    owner = parse_owner(request.get("owner"))
    manifest = parse_manifest(request.get("release"), request.get("manifest"))
    sent = unpack(request.get("payload", []), payload)
    values, key = parse_values(request.get("credentials", {})), parse_key(request.get("fingerprint_key"))
    wanted = Request(owner, manifest, sent, values, key, _confirm_timeout(request), _deployment(request))
    with _asked_together(layout):
        return activate(layout, _service_manager(layout, kept), wanted, deadline)


def _confirm(layout: Layout, request: dict[str, Any], payload: bytes) -> dict[str, Any]:  # noqa: ARG001
    from .confirm import confirm  # noqa: PLC0415

    token = request.get("token")
    if not isinstance(token, str) or not token:
        raise AgentError("protocol", "token is not the token of an activation")
    return confirm(layout, _optional_id(request, "owner"), token, _release(request))


def _rollback(layout: Layout, request: dict[str, Any], payload: bytes) -> dict[str, Any]:  # noqa: ARG001
    from .records import require_owner  # noqa: PLC0415
    from .rollback import roll_back  # noqa: PLC0415
    from .scope import leave_session  # noqa: PLC0415

    reason, token = request.get("reason"), request.get("token")
    if not isinstance(reason, str) or not 0 < len(reason) <= _LONGEST_REASON:
        raise AgentError("protocol", f"reason is not a text of up to {_LONGEST_REASON} characters")
    if token is not None and not isinstance(token, str):
        raise AgentError("protocol", "token is neither null nor the token of an activation")
    require_owner(layout, _optional_id(request, "owner"))
    manager = _service_manager(layout)
    manager.require()
    with _asked_together(layout):
        leave_session(layout)
        return roll_back(layout, manager, reason, _deadline(request), token, release=_optional_id(request, "release"))


def _switch(layout: Layout, request: dict[str, Any], payload: bytes) -> dict[str, Any]:  # noqa: ARG001
    """For the worker's own unit: no controller asks for it."""
    from .watch import watch  # noqa: PLC0415

    manager = _service_manager(layout)
    manager.require()
    return watch(layout, manager)


def _health(layout: Layout, request: dict[str, Any], payload: bytes) -> dict[str, Any]:  # noqa: ARG001
    from .credentials import parse_key  # noqa: PLC0415
    from .health import health  # noqa: PLC0415
    from .observe import observe  # noqa: PLC0415
    from .records import require_owner  # noqa: PLC0415

    require_owner(layout, _optional_id(request, "owner"))
    key = parse_key(request.get("fingerprint_key"))
    seconds, wait = _seconds(request, "min_healthy_time"), _seconds(request, "wait")
    found, units = health(layout, _service_manager(layout), _release(request), min_healthy_time=seconds, wait=wait)
    return found if found["pending"] else {**found, "observation": observe(layout, units, key)}


def _prune(layout: Layout, request: dict[str, Any], payload: bytes) -> dict[str, Any]:  # noqa: ARG001
    from .prune import prune  # noqa: PLC0415

    keep = request.get("keep")
    if not isinstance(keep, list) or not all(is_object_id(release) for release in keep):
        raise AgentError("protocol", "keep is not a list of release ids")
    _service_manager(layout).require()
    return prune(layout, keep, _deadline(request))


def _teardown(layout: Layout, request: dict[str, Any], payload: bytes) -> dict[str, Any]:  # noqa: ARG001
    from .teardown import teardown  # noqa: PLC0415

    manager = _service_manager(layout)
    manager.require()
    owner, deadline = _optional_id(request, "owner"), _deadline(request, _TEARDOWN_SECONDS)
    return teardown(layout, manager, owner, deadline, copies=_copies_to_remove(layout, request))


def _copies_to_remove(layout: Layout, request: dict[str, Any]) -> CopyService | None:
    if "with_copies" not in request:
        return None
    from .by_hand import copy_service, flag  # noqa: PLC0415

    return copy_service(layout) if flag(request, "with_copies") else None


def _logs(layout: Layout, request: dict[str, Any], payload: bytes) -> dict[str, Any]:  # noqa: ARG001
    return {"lines": _service_manager(layout).log(*_log_of(request))}


def _log_of(request: dict[str, Any]) -> tuple[str, int]:
    from .release import job_of_unit  # noqa: PLC0415

    unit, lines = f"gitopsd-{request.get('job')}.service", request.get("lines")
    if job_of_unit(unit) is None:
        raise AgentError("protocol", "job is not a job's name")
    if not isinstance(lines, int) or not 0 < lines <= _MOST_LINES:
        raise AgentError("protocol", f"lines is not a number from 1 to {_MOST_LINES}")
    return unit, lines


def _show(layout: Layout, request: dict[str, Any], payload: bytes) -> dict[str, Any]:  # noqa: ARG001
    from .records import require_owner  # noqa: PLC0415
    from .show import show  # noqa: PLC0415

    files, units = request.get("files"), request.get("units")
    if not isinstance(files, list) or not isinstance(units, list) or len(files) + len(units) > _MOST_SHOWN:
        raise AgentError("protocol", f"files and units are not lists of at most {_MOST_SHOWN} in all")
    require_owner(layout, _optional_id(request, "owner"))
    return {"shown": show(layout, files, units)}


def _adopt(layout: Layout, request: dict[str, Any], payload: bytes) -> dict[str, Any]:  # noqa: ARG001
    from .by_hand import adopt  # noqa: PLC0415

    return adopt(layout, _service_manager(layout), request, _deadline(request))


def _copies(layout: Layout, request: dict[str, Any], payload: bytes) -> dict[str, Any]:  # noqa: ARG001
    from .by_hand import copies  # noqa: PLC0415

    return copies(layout, request)


def _clone(layout: Layout, request: dict[str, Any], payload: bytes) -> dict[str, Any]:  # noqa: ARG001
    from .by_hand import clone  # noqa: PLC0415

    return clone(layout, request, _deadline(request))


def _remove_copy(layout: Layout, request: dict[str, Any], payload: bytes) -> dict[str, Any]:  # noqa: ARG001
    from .by_hand import remove_copy  # noqa: PLC0415

    return remove_copy(layout, request, _deadline(request))


def _feed(layout: Layout, request: dict[str, Any], payload: bytes) -> dict[str, Any]:
    from .by_hand import feed  # noqa: PLC0415

    return feed(layout, request, payload, _deadline(request))


_VERBS: dict[str, Callable[[Layout, dict[str, Any], bytes], dict[str, Any]]] = {
    "probe": _probe,
    "confirm": _confirm,
    "rollback": _rollback,
    "switch": _switch,
    "health": _health,
    "prune": _prune,
    "teardown": _teardown,
    "logs": _logs,
    "show": _show,
    "adopt": _adopt,
    "copies": _copies,
    "clone": _clone,
    "remove-copy": _remove_copy,
    "feed": _feed,
}


def _service_manager(layout: Layout, kept: Kept | None = None) -> ServiceManager:
    if layout.service_manager == "supervisor":
        from .supervisor import SupervisorManager  # noqa: PLC0415

        return SupervisorManager(layout)
    from .systemd import SystemdManager  # noqa: PLC0415

    return SystemdManager(None if kept is None else kept.shown)


def _asked_together(layout: Layout) -> AbstractContextManager[None]:
    """For all that is asked of the service manager inside: one connection to systemd will do."""
    if layout.service_manager == "supervisor":
        return nullcontext()
    from .manager_bus import kept_open  # noqa: PLC0415

    return kept_open()


def _deadline(request: dict[str, Any], default: float = _DEFAULT_SECONDS) -> Deadline:
    seconds = request.get("deadline", default)
    if isinstance(seconds, bool) or not isinstance(seconds, (int, float)) or not 0 < seconds <= _MOST_SECONDS:
        raise AgentError("protocol", f"deadline is not a number of seconds up to {_MOST_SECONDS:.0f}")
    return Deadline.after(float(seconds))


def _optional_id(request: dict[str, Any], key: str) -> str | None:
    value = request.get(key)
    if value is None or is_object_id(value):
        return value
    raise AgentError("protocol", f"{key} is neither null nor a commit id")


def _release(request: dict[str, Any]) -> str:
    release = request.get("release")
    if not is_object_id(release):
        raise AgentError("protocol", "release is not the id of a release")
    return str(release)


def _seconds(request: dict[str, Any], key: str) -> float:
    value = request.get(key, 0.0)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value <= _MOST_WAIT_SECONDS:
        raise AgentError("protocol", f"{key} is not a number of seconds up to {_MOST_WAIT_SECONDS:.0f}")
    return float(value)


def _confirm_timeout(request: dict[str, Any]) -> float | None:
    if request.get("confirm_timeout") is None:
        return None
    seconds = _seconds(request, "confirm_timeout")
    if not _LEAST_CONFIRM_SECONDS <= seconds <= _MOST_SECONDS:
        raise AgentError("protocol", f"confirm_timeout is not a number of seconds from 1 to {_MOST_SECONDS:.0f}")
    return seconds


def _deployment(request: dict[str, Any]) -> int:
    number = request.get("deployment", 0)
    if isinstance(number, bool) or not isinstance(number, int) or number < 0:
        raise AgentError("protocol", "deployment is not the number of a deployment")
    return number
