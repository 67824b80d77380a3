"""What was found on workers, committed to the artifact branch: from then on planning knows of it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import msgspec
from msgspec.structs import replace

from gitopsd.compiler.placement.features import is_probed
from gitopsd.daemon.artifact_state import read_facts
from gitopsd.daemon.planning import branch_of
from gitopsd.daemon.workers import workers_at
from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet.protocol import Probe
from gitopsd.model.artifacts import FACTS_FILE, FactsRecord, WorkerFacts
from gitopsd.model.trees import Graft, TreeFile, build_tree
from gitopsd.repo.artifacts import ArtifactBranch, list_folder, read_head
from gitopsd.repo.commit import write_commit
from gitopsd.repo.errors import RefMovedError
from gitopsd.repo.lock import host_lock
from gitopsd.repo.publish import fetch_artifacts, publish
from gitopsd.repo.refs import RefUpdate
from gitopsd.repo.trailers import format_message

_ATTEMPTS = 5
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
    source = workspace.source()
    branch = branch_of(workspace, source)
    with host_lock(workspace.identity, branch.environment):
        for _ in range(_ATTEMPTS - 1):
            try:
                return _record(workspace, branch, found)
            except RefMovedError:
                continue
        return _record(workspace, branch, found)


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


def facts_file(record: FactsRecord) -> bytes:
    """`facts.json`, the same bytes for the same facts."""
    return msgspec.json.format(msgspec.json.encode(record, order="sorted"), indent=2) + b"\n"


def _record(workspace: Workspace, branch: ArtifactBranch, found: Mapping[str, Probe]) -> RecordedFacts:
    repository = workspace.repository
    fetch_artifacts(repository, branch, workspace.remote)
    head = read_head(repository, branch)
    before = read_facts(repository, head.commit.tree) if head else FactsRecord()
    after = merge_facts(before, found, workers_at(workspace, workspace.source(), branch, head).staying)
    changes = describe_changes(before, after)
    if not changes:
        return RecordedFacts()
    top = list_folder(repository, head.commit.tree) if head else {}
    kept: dict[str, Graft | TreeFile] = {name: Graft(id=entry.id, mode=entry.mode) for name, entry in top.items()}
    tree = build_tree({**kept, FACTS_FILE: TreeFile(facts_file(after))})
    parent = head.commit.id if head else None
    commit = write_commit(repository, tree, parent=parent, message=_message(branch, changes))
    update = RefUpdate(ref=branch.ref, new=commit, old=parent)
    publish(repository, [update], workspace.remote, reason="gitopsd: facts")
    return RecordedFacts(changes=changes, commit=commit)


def _message(branch: ArtifactBranch, changes: tuple[str, ...]) -> str:
    """The changes as its body: the subject, cut to its length, names as many as fit."""
    names = ", ".join(change.partition(":")[0] for change in changes)
    subject, _, trailers = format_message(f"Facts of {names}", {"Environment": branch.environment}).partition("\n\n")
    return "\n\n".join([subject, "\n".join(changes), trailers])
