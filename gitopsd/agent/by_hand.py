"""Verbs of what people do besides deploying: taking a worker over, and copies of jobs that are theirs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .copy_place import CopyPlace, parse_place
from .errors import AgentError
from .manifest import is_object_id
from .records import parse_owner, require_owner
from .release import job_of_unit

if TYPE_CHECKING:
    from .copies import CopyService
    from .deadline import Deadline
    from .layout import Layout
    from .services import ServiceManager


def adopt(layout: Layout, manager: ServiceManager, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    from . import adopt as adoption  # noqa: PLC0415

    manager.require()
    if flag(request, "dry_run"):
        return adoption.look(layout)
    owner = parse_owner(request.get("owner"))
    return adoption.adopt(layout, owner, adoption.parse_held(request.get("previous")), deadline)


def copies(layout: Layout, request: dict[str, Any]) -> dict[str, Any]:
    from .copies import list_copies  # noqa: PLC0415

    require_owner(layout, _owner(request))
    return list_copies(layout, copy_service(layout))


def clone(layout: Layout, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    from .copies import clone as make  # noqa: PLC0415

    job = request.get("job")
    if not isinstance(job, str) or job_of_unit(f"gitopsd-{job}.service") is None:
        raise AgentError("protocol", "job is not a job's name")
    owner, start = _owner(request), flag(request, "start")
    service, place = copy_service(layout), _place(layout, request)
    return make(layout, service, place, job, root_commit=owner, start=start, deadline=deadline)


def remove_copy(layout: Layout, request: dict[str, Any], deadline: Deadline) -> dict[str, Any]:
    from .copies import remove_copy as remove  # noqa: PLC0415

    place, owner = _place(layout, request), _owner(request)
    return remove(layout, copy_service(layout), place, root_commit=owner, deadline=deadline)


def feed(layout: Layout, request: dict[str, Any], payload: bytes, deadline: Deadline) -> dict[str, Any]:
    from .feed import feed as hand_over  # noqa: PLC0415

    port = request.get("port")
    if port is not None and not isinstance(port, str):
        raise AgentError("protocol", "port is neither null nor a port's name")
    place = _place(layout, request)
    require_owner(layout, _owner(request))
    return hand_over(place, port, payload, deadline)


def copy_service(layout: Layout) -> CopyService:
    if layout.service_manager == "supervisor":
        from .copies_supervisor import SupervisorCopies  # noqa: PLC0415

        return SupervisorCopies(layout)
    from .copies_systemd import SystemdCopies  # noqa: PLC0415

    return SystemdCopies()


def flag(request: dict[str, Any], key: str) -> bool:
    value = request.get(key, False)
    if not isinstance(value, bool):
        raise AgentError("protocol", f"{key} is neither true nor false")
    return value


def _place(layout: Layout, request: dict[str, Any]) -> CopyPlace:
    return parse_place(layout, request.get("name"))


def _owner(request: dict[str, Any]) -> str:
    value = request.get("owner")
    if not is_object_id(value):
        raise AgentError("protocol", "owner is not a commit id")
    return str(value)
