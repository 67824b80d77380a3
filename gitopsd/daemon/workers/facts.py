"""What was found on workers, committed to the artifact branch: from then on planning knows of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from msgspec.structs import replace

from gitopsd.compiler.placement.features import is_probed
from gitopsd.daemon.artifacts.records import RecordsEdit, commit_records, record_file
from gitopsd.daemon.artifacts.state import read_facts
from gitopsd.daemon.planning.plan import branch_of
from gitopsd.daemon.workers.single import workers_at
from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet.protocol import Probe
from gitopsd.model.artifacts import FACTS_FILE, FactsRecord, WorkerFacts
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead

_MOST_FEATURES = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedFacts:
    """What is different from before, a line each, and the commit that says so; empty where nothing is."""

    changes: tuple[str, ...] = ()
    commit: str = ""


def record_facts(workspace: Workspace, found: Mapping[str, Probe]) -> RecordedFacts:
    """Commit what was found: the other workers keep what is known of them, those that left are dropped.

    Written again on top of whatever another writer committed first; the branch is made where there is none. Raises
    RepositoryError, DiagnosticsError.
    """
    branch = branch_of(workspace, workspace.source())
    changes: tuple[str, ...] = ()

    def edit(head: ArtifactHead | None) -> RecordsEdit | None:
        nonlocal changes
        changes, wanted = _edit(workspace, branch, head, found)
        return wanted

    commit = commit_records(workspace, branch, edit)
    return RecordedFacts(changes=changes, commit=commit)


def merge_facts(before: FactsRecord, found: Mapping[str, Probe], staying: Collection[str]) -> FactsRecord:
    """What is known now: `found` of those that answered, and `before` of the other ones that stay.

    A feature that is there and told no version in time keeps the one that was known.
    """
    workers = {name: facts for name, facts in before.workers.items() if name in staying}
    for name in sorted(found.keys() & set(staying)):
        known = before.workers.get(name, WorkerFacts()).features
        kept = {feature: known[feature] for feature in found[name].unanswered if feature in known}
        features = sorted({**kept, **found[name].features}.items())
        plain = {feature: version for feature, version in features if is_probed(feature, version)}
        workers[name] = WorkerFacts(features=dict(list(plain.items())[:_MOST_FEATURES]))
    return replace(before, workers=dict(sorted(workers.items())))


def describe_changes(before: FactsRecord, after: FactsRecord) -> tuple[str, ...]:
    """A line for each worker of which something else is known, in the order of their names."""
    lines = []
    for name in sorted(before.workers.keys() | after.workers.keys()):
        known, now = before.workers.get(name), after.workers.get(name)
        if now is None:
            lines.append(f"{name}: left the fleet")
        elif known is None:
            found = ", ".join(f"{feature} {version}" for feature, version in now.features.items())
            lines.append(f"{name}: {found or 'nothing was found'}")
        elif known.features != now.features:
            lines.append(f"{name}: " + ", ".join(_differences(known.features, now.features)))
    return tuple(lines)


def _differences(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    words = []
    for feature in sorted(old.keys() | new.keys()):
        if feature not in old:
            words.append(f"{feature} {new[feature]} is new")
        elif feature not in new:
            words.append(f"{feature} {old[feature]} is gone")
        elif old[feature] != new[feature]:
            words.append(f"{feature} is now {new[feature]}, was {old[feature]}")
    return words


def _edit(
    workspace: Workspace, branch: ArtifactBranch, head: ArtifactHead | None, found: Mapping[str, Probe]
) -> tuple[tuple[str, ...], RecordsEdit | None]:
    """What is different, and the edit that records it."""
    before = read_facts(workspace.repository, head.commit.tree) if head else FactsRecord()
    after = merge_facts(before, found, workers_at(workspace, workspace.source(), branch, head).staying)
    changes = describe_changes(before, after)
    if not changes:
        return (), None
    names = ", ".join(change.partition(":")[0] for change in changes)
    return changes, RecordsEdit(subject=f"Facts of {names}", files={FACTS_FILE: record_file(after)}, details=changes)
