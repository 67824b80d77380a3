"""Looks where the branches are, for all environments at once, and tells their loops when something moved."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice

from gitopsd.compiler.environment import environment_names, find_branch
from gitopsd.compiler.load import ENVIRONMENTS_FILE
from gitopsd.compiler.pins import find_pin
from gitopsd.daemon.controller.events import Listener as Tell
from gitopsd.daemon.controller.events import Looked, LookFailed, Said
from gitopsd.daemon.controller.heartbeat import Heart
from gitopsd.daemon.controller.requests import Taken
from gitopsd.daemon.controller.troubles import Troubles
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.excerpt import format_diagnostics
from gitopsd.model.names import did_you_mean
from gitopsd.repo.artifacts import ArtifactBranch, artifact_branch, history, read_file
from gitopsd.repo.commit_source import commit_tree
from gitopsd.repo.errors import RemoteUnreachableError, RepositoryError
from gitopsd.repo.look import look
from gitopsd.repo.pin import tag_ref
from gitopsd.repo.repository import Repository
from gitopsd.repo.revision import default_branch

_NETWORK_SECONDS = 60.0
_FARTHEST = 50
"""Commits that are looked at for a gitopsd.yaml that can be read, where the newest can't."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """The source branch's commit, the environments by it, and the heads of their artifact branches.

    `pins` has what the tag points at that an environment is pinned to, where there is one of that name.
    """

    source: str
    environments: Mapping[str, ArtifactBranch] = field(default_factory=dict)
    heads: Mapping[str, str] = field(default_factory=dict)
    pins: Mapping[str, str] = field(default_factory=dict)


class Looker:
    """The cycle of the thread that looks. `found` is told all that was seen, each time.

    `workspace` opens the repository for this thread, or gives the one that is open. `only` is the environment that the
    controller was started for, if it was for one.
    """

    def __init__(
        self,
        workspace: Callable[[], Workspace],
        troubles: Troubles,
        tell: Tell,
        found: Callable[[Seen], None],
        *,
        poll: Callable[[], float],
        only: str | None,
    ) -> None:
        self._workspace = workspace
        self._troubles = troubles
        self._tell = tell
        self._found = found
        self._poll = poll
        self._only = only
        self._seen: Seen | None = None
        self._tags: Mapping[str, str] = {}
        self._began = False
        self.last_success: float | None = None
        """Seconds since the epoch: when everything could be seen last."""

    @property
    def newest(self) -> str:
        """The commit of the source branch, as it was seen last; empty before that."""
        return self._seen.source if self._seen else ""

    def pin(self, environment: str) -> str:
        """What the tag that the environment is pinned to points at; empty where there is none, or no pin."""
        return self._seen.pins.get(environment, "") if self._seen else ""

    @property
    def problem(self) -> str:
        """Why they can't be seen since then; empty while they can."""
        trouble = self._troubles.last
        return trouble.error if trouble else ""

    def cycle(self, taken: Taken, heart: Heart) -> float:
        remaining = self._troubles.remaining("") if self._began else 0.0
        self._began = True  # at the start it looks at once: nothing is looked after before
        if remaining > 0 and not taken.asked:
            return remaining
        try:
            with heart.allowed(3 * _NETWORK_SECONDS):
                seen = self._look()
        except (RepositoryError, ControllerError) as error:
            self._begin_with_what_is_here(error)
            trouble = self._troubles.add("", error.message, error.hint)
            self._tell(
                LookFailed(
                    environment="",
                    at=time.time(),
                    error=error.message,
                    hint=error.hint,
                    attempts=trouble.attempts,
                    next=trouble.next,
                )
            )
            return trouble.wait
        self._troubles.over()
        self.last_success = time.time()
        self._seen = seen
        for name in seen.environments or ("",):
            event = Looked(environment=name, at=self.last_success, source=seen.source, head=seen.heads.get(name, ""))
            self._tell(event)
        self._found(seen)
        return self._poll() * random.uniform(0.8, 1.2)  # noqa: S311 - jitter

    def _begin_with_what_is_here(self, error: RepositoryError | ControllerError) -> None:
        """A remote that is away at the start keeps nobody from looking after what was deployed before."""
        if self._seen is not None or not isinstance(error, RemoteUnreachableError):
            return
        try:
            self._seen = self._look(with_remote=False)
        except (RepositoryError, ControllerError):
            return  # nothing was ever fetched: then there is nothing to look after either
        self._found(self._seen)

    def _look(self, *, with_remote: bool = True) -> Seen:
        workspace = self._workspace()
        remote = workspace.remote if with_remote else None
        repository = workspace.repository
        branch = workspace.configuration.source_branch or default_branch(repository)
        known = self._seen.environments if self._seen else {}
        refs = {*(one.ref for one in known.values()), *self._tags.values()}
        positions = look(repository, remote, branch, refs, deadline=_NETWORK_SECONDS)
        if self._seen is None or positions.source != self._seen.source:
            known = self._environments(repository, positions.source) or known
            self._tags = _pinned_tags(_content(repository, positions.source), known)
            wanted = {*(one.ref for one in known.values()), *self._tags.values()}
            if wanted - refs:
                positions = look(repository, remote, branch, wanted, deadline=_NETWORK_SECONDS)
        found = positions.refs
        return Seen(
            source=positions.source,
            environments=known,
            heads={name: found[one.ref] for name, one in known.items() if one.ref in found},
            pins={name: found[tag] for name, tag in self._tags.items() if tag in found},
        )

    def _environments(self, repository: Repository, commit: str) -> Mapping[str, ArtifactBranch]:
        """Those that gitopsd.yaml declares at a commit; where it can't be read, at the last one where it can."""
        for number, version in enumerate(_first_parents(repository, commit)):
            content = _content(repository, version)
            names = environment_names(content)
            if names:
                if number:
                    self._say(
                        f"{ENVIRONMENTS_FILE} of {commit[:12]} can't be used: environments are as of {version[:12]}"
                    )
                chosen = [name for name in names if self._only in {None, name}]
                if self._only is not None and not chosen:
                    raise ControllerError(
                        f"{ENVIRONMENTS_FILE} declares no environment {self._only}, which this controller is for",
                        did_you_mean(self._only, names) or f"it declares {', '.join(names)}",
                    )
                branches = {name: find_branch(content, name)[0] for name in chosen}
                return {name: artifact_branch(*found) for name, found in branches.items() if found is not None}
        _, mistakes = find_branch(_content(repository, commit), None)
        raise ControllerError(
            format_diagnostics(mistakes, {}) or f"there is no {ENVIRONMENTS_FILE} in {commit[:12]}",
            f"push a {ENVIRONMENTS_FILE} that declares environments",
        )

    def _say(self, message: str) -> None:
        self._tell(Said(environment="", at=time.time(), message=message, level="warning"))


def _content(repository: Repository, commit: str) -> bytes:
    return read_file(repository, commit_tree(repository, commit), ENVIRONMENTS_FILE) or b""


def _pinned_tags(content: bytes, environments: Iterable[str]) -> dict[str, str]:
    """The full name of the tag that each environment may be pinned to: a tag is made, or moved, without the source."""
    pins = {name: pin for name in environments if (pin := find_pin(content, name)) is not None}
    return {name: tag for name, pin in pins.items() if (tag := tag_ref(pin.name))}


def _first_parents(repository: Repository, commit: str) -> Iterator[str]:
    """The commit and those before it, newest first."""
    return (one.id for one in islice(history(repository, commit), _FARTHEST))
