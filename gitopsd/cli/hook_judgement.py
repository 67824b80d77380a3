"""Is a version that was pushed to be let through: its diagnostics and its plan, for whoever pushed it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from gitopsd.cli.plan_text import format_plan
from gitopsd.cli.remote_text import RemoteText
from gitopsd.compiler.environment import environment_names, find_branch
from gitopsd.compiler.load import ENVIRONMENTS_FILE
from gitopsd.compiler.pins import find_pin
from gitopsd.daemon.configuration.configuration import Configuration
from gitopsd.daemon.errors import ControllerError, DiagnosticsError
from gitopsd.daemon.holds.holds import hold_lines, holds_of
from gitopsd.daemon.holds.signed_versions import refuse_unsigned
from gitopsd.daemon.holds.upgrade import plan_deployment
from gitopsd.daemon.hooks.pushes import BRANCHES
from gitopsd.daemon.planning.checking import check_version
from gitopsd.daemon.planning.plan import Planned
from gitopsd.daemon.planning.runnable import refuse_what_cannot_run
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.diagnostic import Diagnostic, Severity, has_errors
from gitopsd.model.excerpt import format_diagnostics
from gitopsd.repo.commit_source import read_commit
from gitopsd.repo.incoming import open_incoming
from gitopsd.repo.repository import Repository
from gitopsd.repo.revision import is_ancestor
from gitopsd.repo.source import SourceTree

FITS, REFUSED = 0, 1

_MOST_DIAGNOSTICS = 20
_MOST_LINES, _FEWEST_LINES = 60, 6
"""Of what changes: so many are shared by the environments, and each has so many."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """Looks at the repository as it will be after the push, laid out in `folder`.

    Each question gives FITS or REFUSED. Raises RepositoryError, ControllerError, and what else is no fault of the
    version.
    """

    folder: Path
    git_dir: Path
    configuration: Configuration
    environments: tuple[str, ...]
    text: RemoteText

    def rewrites(self, old: str, new: str) -> int:
        """REFUSED where `new` doesn't follow `old`."""
        return FITS if is_ancestor(self._repository(), old, new) else REFUSED

    def version(self, commit: str, branch: str, source_branch: str) -> int:
        """What deploying the commit comes to. Artifact branches that don't begin with `rendered/` pass in silence."""
        repository = self._repository()
        if branch != source_branch and branch in _artifact_branches(repository, source_branch):
            return FITS
        self.text.say(f"gitopsd: planning {branch} at {commit[:12]}")
        return self._judge(repository, commit)

    def tags(self, names: Iterable[str], source_branch: str) -> int:
        """What moving the tags comes to where an environment is pinned to one of them; else nothing at all."""
        repository = self._repository()
        head = repository.ref(BRANCHES + source_branch)
        pinned = self.pinned_to(names, source_branch)
        if head is None or not pinned:
            return FITS
        for environment, tag in pinned.items():
            self.text.say(f"gitopsd: {environment} is pinned to the tag {tag}: planning {source_branch} with it")
        return replace(self, environments=tuple(pinned)).version(head, source_branch, source_branch)

    def pinned_to(self, tags: Iterable[str], source_branch: str) -> dict[str, str]:
        """Environment -> the one of the tags that it is pinned to, by the head of the source branch."""
        file = _environments_file(self._repository(), source_branch)
        names = self._chosen(environment_names(file)) if file else []
        pins = {name: find_pin(file or b"", name) for name in names}
        return {name: pin.name for name, pin in pins.items() if pin is not None and pin.name in set(tags)}

    def _repository(self) -> Repository:
        return open_incoming(self.folder, self.git_dir)

    def _judge(self, repository: Repository, commit: str) -> int:
        workspace = Workspace(repository=repository, remote=None, configuration=self.configuration)
        try:
            source = read_commit(repository, commit)
            chosen = [replace(workspace, environment=name) for name in self.environments] or [workspace]
            shown: set[Diagnostic] = set()
            for one in chosen:
                diagnostics, contents = check_version(one, source)
                self._show([new for new in diagnostics if new not in shown], contents)
                shown.update(diagnostics)
            if has_errors(tuple(shown)):
                return REFUSED
            names = self._chosen(environment_names(source.files[ENVIRONMENTS_FILE].data))
            most = max(_FEWEST_LINES, _MOST_LINES // len(names))
            return max(self._plan(replace(workspace, environment=name), source, shown, most) for name in names)
        finally:
            workspace.close()

    def _chosen(self, names: Iterable[str]) -> list[str]:
        return [name for name in names if not self.environments or name in self.environments]

    def _plan(self, workspace: Workspace, source: SourceTree, shown: set[Diagnostic], most: int) -> int:
        try:
            planned = plan_deployment(workspace, source)
        except DiagnosticsError as error:
            self._show([new for new in error.diagnostics if new not in shown], error.sources)
            return REFUSED
        self.text.say("")
        self._show_plan(planned, most)
        self.text.say_all(hold_lines(holds_of(workspace, planned.head, datetime.now(UTC), planned)))
        try:
            refuse_unsigned(workspace, source)
            refuse_what_cannot_run(planned.summaries)
        except ControllerError as error:
            self.text.say(f"error: {error.message}\n  hint: {error.hint}")
            return REFUSED
        return FITS

    def _show_plan(self, planned: Planned, most: int) -> None:
        """What changes, shortened where it is long; the counts always."""
        lines = format_plan(planned.plan).split("\n")
        end = max((index for index, line in enumerate(lines) if not line), default=-1)
        commit = planned.plan.inputs.source_commit[:12]
        environment = planned.plan.inputs.environment
        self.text.say_at_most(
            most, lines[: max(end, 0)], f"`gitopsd --env {environment} plan {commit}` in your clone shows them"
        )
        self.text.say_all(["", *lines[end + 1 :]] if end > 0 else lines)

    def _show(self, diagnostics: Iterable[Diagnostic], sources: Mapping[str, bytes]) -> None:
        found = tuple(diagnostics)
        if not found:
            return
        self.text.say("")
        self.text.say(format_diagnostics(found[:_MOST_DIAGNOSTICS], sources))
        more = len(found) - _MOST_DIAGNOSTICS
        errors = sum(one.severity is Severity.ERROR for one in found)
        if more > 0:
            self.text.say(f"\n… {more} more: `gitopsd check` in your clone shows them")
        if errors:
            self.text.say(f"\n{errors} error{'s' if errors > 1 else ''}")


def _artifact_branches(repository: Repository, source_branch: str) -> Iterator[str]:
    """Those that the head of the source branch declares."""
    file = _environments_file(repository, source_branch)
    for name in environment_names(file) if file is not None else ():
        found, _ = find_branch(file or b"", name)
        if found is not None:
            yield found[1]


def _environments_file(repository: Repository, source_branch: str) -> bytes | None:
    head = repository.ref(BRANCHES + source_branch)
    file = read_commit(repository, head).files.get(ENVIRONMENTS_FILE) if head else None
    return file.data if file else None
