"""Unmanaged copies on the built-in worker: a section each in supervisord's configuration, made from their records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import supervisor_conf, supervisor_daemon
from .supervisor import SupervisorManager, parse_process, process_log

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .copies import Original
    from .copy_place import CopyPlace
    from .deadline import Deadline
    from .layout import Layout
    from .services import Unit

_LIVE = ("active", "activating", "deactivating")


class SupervisorCopies:
    """The CopyService of the built-in worker."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._manager = SupervisorManager(layout)

    def require(self) -> None:
        self._manager.require()

    def units(self, copies: Sequence[CopyPlace]) -> dict[str, Unit]:
        services = {place.service: place.name for place in copies}
        api = supervisor_daemon.api(self._layout)
        shown = [] if api is None else api.getAllProcessInfo()
        return {
            services[info["name"]]: parse_process(info, 0)._replace(
                enabled=_starts_by_itself(self._layout, info["name"])
            )
            for info in shown
            if info["name"] in services
        }

    def install(self, place: CopyPlace, original: Original, deadline: Deadline) -> None:
        del place, original  # sections come from the copies' records
        self._manager.install_copies(deadline)

    def start(self, place: CopyPlace, deadline: Deadline) -> None:
        if supervisor_daemon.api(self._layout) is None:
            supervisor_daemon.make_directories(self._layout)
            supervisor_daemon.start(self._layout, deadline)
        # its record says by now that it starts by itself
        self._manager.install_copies(deadline)
        self._manager.start_copy(place.service, deadline)

    def remove(self, copies: Sequence[CopyPlace], deadline: Deadline) -> list[str]:
        self._manager.stop_copies([place.service for place in copies], deadline)
        found = self.units(copies)
        alive = sorted(name for name, unit in found.items() if unit.active in _LIVE)
        self._manager.install_copies(deadline, without=[place.name for place in copies if place.name not in alive])
        return alive

    def log(self, place: CopyPlace, lines: int) -> list[str]:
        return process_log(supervisor_conf.Files(self._layout), place.service, lines)


def _starts_by_itself(layout: Layout, service: str) -> bool:
    section = supervisor_conf.section(supervisor_conf.read(layout), service)
    return section is not None and "\nautostart=true\n" in section
