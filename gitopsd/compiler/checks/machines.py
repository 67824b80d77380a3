"""Names of workers and the machines behind them: one machine, one name, and a name stays with its machine."""

from collections.abc import Mapping

from gitopsd.compiler.link import Linked
from gitopsd.model.artifacts import ArtifactState, PlacedWorker
from gitopsd.model.diagnostic import Diagnostic, Location, Related


def check_machines(linked: Linked, workers: Mapping[str, PlacedWorker], state: ArtifactState) -> list[Diagnostic]:
    """Mistakes about machines, against the fleet as it was deployed.

    Two names of one machine would undo each other's releases; a name that changes machines would leave the old one
    running what nobody remembers.
    """
    diagnostics: list[Diagnostic] = []
    first_name: dict[tuple[str, ...], str] = {}
    for name, worker in workers.items():
        other = first_name.setdefault(worker.machine, name)
        if other != name:
            first = Related(message=f"`{other}` is the same machine", location=_place(linked, workers[other]))
            diagnostics.append(
                Diagnostic(
                    code="same-machine",
                    message=f"the workers `{other}` and `{name}` are one machine",
                    location=_place(linked, worker),
                    related=(first,),
                    hint="remove one of the two: a machine has one release",
                )
            )
        before = state.fleet.get(name)
        if before is not None and worker.is_another_machine(before):
            diagnostics.append(
                Diagnostic(
                    code="worker-replaced",
                    message=f"the worker `{name}` was {_described(before)}, and would be {_described(worker)}",
                    location=_place(linked, worker),
                    hint="give the other machine a name of its own: what runs on the first is stopped as that leaves",
                )
            )
    return diagnostics


def without_live_machines(
    leaving: Mapping[str, PlacedWorker], workers: Mapping[str, PlacedWorker]
) -> dict[str, PlacedWorker]:
    """Workers that leave, without those whose machine stays under another name."""
    live = {worker.machine for worker in workers.values()}
    return {name: worker for name, worker in leaving.items() if worker.machine not in live}


def _place(linked: Linked, worker: PlacedWorker) -> Location:
    return linked.fleet.document.locate_key("groups", worker.group, "workers", worker.name)


def _described(worker: PlacedWorker) -> str:
    if worker.connection == "ssh":
        return f"{worker.address}:{worker.port}"
    return f"this machine under {worker.service_manager}"
