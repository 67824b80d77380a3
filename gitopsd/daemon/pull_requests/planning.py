"""The plan of a pull request: of the commit that merging it would make. Runs in a process of its own."""

import shlex
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import quote

from gitopsd import __version__
from gitopsd.compiler.environment import environment_names, find_branch
from gitopsd.compiler.load import ENVIRONMENTS_FILE
from gitopsd.daemon.artifacts.state import committed_policy
from gitopsd.daemon.configuration.configuration import Configuration
from gitopsd.daemon.errors import DiagnosticsError
from gitopsd.daemon.holds.holds import hold_lines, holds_of
from gitopsd.daemon.holds.upgrade import plan_deployment
from gitopsd.daemon.planning.event_changes import event_changes
from gitopsd.daemon.planning.plan import Planned
from gitopsd.daemon.planning.plan_comment import comment_of
from gitopsd.daemon.pull_requests.exchange import Answer, Links, Outcome, Question, State
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.diagnostic import Severity
from gitopsd.model.policy import PolicyRecord
from gitopsd.planner.comment.comment import comment_text, marker
from gitopsd.planner.comment.content import Content, FileLink, Refused, Rest, Shown, Versions
from gitopsd.planner.comment.summary import in_short
from gitopsd.planner.plan.effects import effects_by_job
from gitopsd.repo.artifacts import artifact_branch, read_head
from gitopsd.repo.commit_source import read_commit
from gitopsd.repo.errors import RepositoryError
from gitopsd.repo.merged import Conflicting, Merged, beside, merge
from gitopsd.repo.repository import Repository, open_at
from gitopsd.repo.source import SourceTree
from gitopsd.repo.source_rules import is_tests

_MOST_NEW = 3
"""So many environments that only the pull request has: each makes a comment."""


def plan_pull_request(question: Question) -> Answer:
    """Raises RepositoryError where the two commits can't be read."""
    with TemporaryDirectory(prefix="gitopsd-merge-") as folder:
        at = replace(
            open_at(Path(question.git_dir)), identity=question.identity, branch_prefix=question.branch_prefix
        )  # fmt: skip
        repository = beside(at, Path(folder), objects=Path(question.objects) if question.objects else None)
        merged = merge(repository, question.base, question.head)
        if isinstance(merged, Conflicting):
            names = question.environments or environments_of(repository, question.base)
            return Answer(outcomes=tuple(_conflicts(question, merged, name) for name in names))
        source = read_commit(repository, merged.commit)
        planning = _Planning(repository, question, merged, source)
        return Answer(outcomes=tuple(planning.outcome(name) for name in planning.names()))


def environments_of(repository: Repository, commit: str) -> tuple[str, ...]:
    """The environments that gitopsd.yaml of the commit declares; none where it can't be read."""
    file = read_commit(repository, commit).files.get(ENVIRONMENTS_FILE)
    return environment_names(file.data) if file is not None else ()


class _Planning:
    def __init__(self, repository: Repository, question: Question, merged: Merged, source: SourceTree) -> None:
        self._repository = repository
        self._question = question
        self._merged = merged
        self._source = source
        self._tests = read_commit(repository, merged.commit, is_tests)
        self._base = read_commit(repository, question.base).files.get(ENVIRONMENTS_FILE)
        self._versions = Versions(
            head=question.head,
            base=question.base,
            merged="" if merged.commit == question.head else merged.tree,
        )

    def names(self) -> tuple[str, ...]:
        if self._question.environments:
            return self._question.environments
        file = self._source.files.get(ENVIRONMENTS_FILE)
        known = environment_names(self._base.data) if self._base else ()
        new = [name for name in (environment_names(file.data) if file else ()) if name not in known]
        return (*known, *new[:_MOST_NEW])

    def outcome(self, name: str) -> Outcome:
        try:
            workspace = self._workspace(name)
            planned = plan_deployment(workspace, self._source)
            holds = hold_lines(holds_of(workspace, planned.head, datetime.now(UTC), planned))
        except DiagnosticsError as error:
            return self._refused(name, error)
        except RepositoryError as error:
            return unknown(self._question, name, error.message, error.hint)
        content = comment_of(
            planned,
            versions=self._versions,
            holds=holds,
            rest=self._rest(name, planned),
            drift=self._question.drift.get(name),
            events=event_changes(workspace, planned, self._tests),
        )
        return self._planned(planned, content)

    def _planned(self, planned: Planned, content: Content) -> Outcome:
        if not isinstance(content.about, Shown):
            raise TypeError(content)
        held = "; held" if content.about.plan.held or content.about.holds else ""
        return Outcome(
            environment=content.environment,
            state="planned",
            marker=marker(content.environment),
            comment=comment_text(content, self._question.limits.comment),
            description=f"{in_short(content.about)}{held}",
            changes=not planned.plan.is_empty,
            plan=planned.plan.digest,
            effects=content.about.effects,
            merged=self._merged.tree,
            artifact_head=content.artifact_head,
            jobs=effects_by_job(planned.plan.changes, planned.plan.changed_workers),
        )

    def _refused(self, name: str, error: DiagnosticsError) -> Outcome:
        errors = sum(one.severity is Severity.ERROR for one in error.diagnostics)
        about = Refused(
            summary=f"{errors} error{'' if errors == 1 else 's'}",
            diagnostics=tuple(error.diagnostics),
            sources=error.sources,
            link=_file_link(self._question.links),
        )
        return _without_plan(self._question, name, about, "refused", f"doesn't compile: {about.summary}")

    def _workspace(self, name: str) -> Workspace:
        """Nothing of what it plans is remembered: no pull request writes to what other plans are made from."""
        return Workspace(
            repository=self._repository,
            remote=None,
            configuration=Configuration(policy=self._question.operator),
            environment=name,
            policy=self._question.policy or self._policy_of_base(name),
        )

    def _policy_of_base(self, name: str) -> PolicyRecord | None:
        """What was published on the artifact branch that the base has, where the pull request would have another one.

        So it can't choose its own policy with a branch that somebody pushed for that.
        """
        file = self._source.files.get(ENVIRONMENTS_FILE)
        theirs, _ = find_branch(file.data, name) if file else (None, [])
        ours, _ = find_branch(self._base.data, name) if self._base else (None, [])
        if ours == theirs:
            return None
        head = read_head(self._repository, artifact_branch(*ours)) if ours else None
        return (committed_policy(self._repository, head.commit.tree) if head else None) or PolicyRecord()

    def _rest(self, name: str, planned: Planned) -> Rest:
        head, base = self._question.head[:12], self._question.base[:12]
        ahead = planned.plan.inputs.source_commit == self._question.head
        command = ["plan", head] if ahead else ["comment", "--head", head, "--base", base, "--dry-run"]
        return Rest(command=shlex.join(["gitopsd", "--env", name, *command]), address=self._question.links.rest)


def unknown(question: Question, name: str, problem: str, hint: str = "") -> Outcome:
    """Of an environment that can't be planned for a reason of the world."""
    about = Refused(summary="it could not be planned", hint=". ".join(part for part in (problem, hint) if part))
    return _without_plan(question, name, about, "unknown", "could not be planned")


def _conflicts(question: Question, found: Conflicting, name: str) -> Outcome:
    hint = (
        "These files were changed on both sides. Merge the base into the pull request's branch, and resolve them there."
        if found.paths
        else "The two have no common history."
    )
    about = Refused(summary="it can't be merged as it is", hint=hint, paths=found.paths)
    return _without_plan(question, name, about, "conflicts", "conflicts with the base")


def _without_plan(question: Question, name: str, about: Refused, state: State, description: str) -> Outcome:
    content = Content(
        environment=name,
        about=about,
        renderer=__version__,
        versions=Versions(head=question.head, base=question.base),
        rest=Rest(address=question.links.rest),
    )
    return Outcome(
        environment=name,
        state=state,
        marker=marker(name),
        comment=comment_text(content, question.limits.comment),
        description=description,
    )


def _file_link(links: Links) -> FileLink:
    def link(path: str, line: int) -> str:
        return links.file.replace("{line}", str(line)).replace("{path}", quote(path)) if links.file else ""

    return link
