"""What becomes of each job, and of the stores that the jobs read and write."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from gitopsd.model.artifacts import PlacedWorker
from gitopsd.model.plan import Action, Effect
from gitopsd.planner.plan.job_document import End, JobDocument


@dataclass(frozen=True, slots=True, kw_only=True)
class Fate:
    """What happens to one job. `before` is empty of a job that comes, `after` of one that goes.

    `origin` is where a job was that moves. `is_same_machine`: the two names are one machine, its state directory
    included. `sees` says whether the worker where it will be sees what lies at a path where it was. `drains`: for how
    long it may drain where it was, as text; empty where it stops at once. `drains_as`: the name under which its earlier
    form does that beside it.
    """

    job: str
    action: Action
    effect: Effect
    worker: str
    before: JobDocument
    after: JobDocument
    origin: str = ""
    is_same_machine: bool = False
    sees: Callable[[str], bool] = lambda _: True
    drains: str = ""
    drains_as: str = ""

    @property
    def leaves_machine(self) -> bool:
        return self.action == "move" and not self.is_same_machine

    def leaves_behind(self, path: str) -> bool:
        return self.leaves_machine and not self.sees(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stores:
    """Who reads from which place where events are stored, and writes there, over all jobs with a fate: ends by (place,
    step), and by place.
    """

    readers_before: Mapping[tuple[str, str], Sequence[End]]
    readers: Mapping[tuple[str, str], Sequence[End]]
    written_before: Mapping[str, Sequence[End]]
    written: Mapping[str, Sequence[End]]

    def is_read(self, end: End) -> bool:
        """Whether its step goes on reading there."""
        return any(other.meets(end) for other in self.readers.get((end.place, end.reads_for), ()))

    def written_for(self, end: End) -> frozenset[str]:
        """The steps for which something is written there, as far as a writer knows of them."""
        steps = (other.consumers for other in self.written.get(end.place, ()) if other.meets(end))
        return frozenset(chain.from_iterable(steps))

    def still_reading(self, end: End) -> list[str]:
        """The steps that a writer's events are for and that go on reading them at this place."""
        gone = self.readers_before.keys() - self.readers.keys()
        return [step for step in end.consumers if (end.path, step) not in gone]


def stores(fates: list[Fate]) -> Stores:
    def readers(documents: list[JobDocument]) -> dict[tuple[str, str], list[End]]:
        found: dict[tuple[str, str], list[End]] = {}
        for end in (end for document in documents for end in document.inputs if end.place):
            found.setdefault((end.place, end.reads_for), []).append(end)
        return found

    def written(documents: list[JobDocument]) -> dict[str, list[End]]:
        found: dict[str, list[End]] = {}
        for end in (end for document in documents for end in document.outputs if end.place):
            found.setdefault(end.place, []).append(end)
        return found

    before, after = [fate.before for fate in fates], [fate.after for fate in fates]
    return Stores(
        readers_before=readers(before), readers=readers(after), written_before=written(before), written=written(after)
    )


def same_machine(one: PlacedWorker | None, other: PlacedWorker | None) -> bool:
    """Whether two names are one machine with one state directory, as far as the fleet file tells."""
    return one is not None and other is not None and not one.is_another_machine(other)


def sees_same(path: str, one: PlacedWorker | None, other: PlacedWorker | None) -> bool:
    """Whether two workers see the same at a path: one machine, or a mount that both declare as shared."""
    if one is None or other is None:
        return False
    if same_machine(one, other) or one.connection == other.connection == "local":
        return True
    shared = one.mounts.keys() & other.mounts.keys()
    return any(f"{path}/".startswith(f"{mount.rstrip('/')}/") for mount in shared)
