"""Tells merged pull requests what became of them: in their comment, as a status of the merge, in the deployment's note.

Level-triggered: what is told follows from the artifact branch, its notes and the deployer's last word, whatever events
there were, so a restart misses nothing.
"""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import islice

from gitopsd.daemon.configuration.configuration import policy_of
from gitopsd.daemon.controller import events
from gitopsd.daemon.controller.pull_requests.comment_parts import with_outcome
from gitopsd.daemon.controller.pull_requests.outcome import Outcome, comparison, of_deployment, of_version
from gitopsd.daemon.controller.pull_requests.reviews import AGAIN_SECONDS, Reviews
from gitopsd.daemon.controller.pull_requests.situation import Situation
from gitopsd.daemon.history.brought import brought_by
from gitopsd.daemon.history.deployment_record import changes_of, deployment_before
from gitopsd.daemon.history.rollout_note import Reviewed, read_rollouts, record_reviewed
from gitopsd.daemon.holds.reviewed import what_differs
from gitopsd.daemon.pull_requests.shown import Review, ShownMemory
from gitopsd.daemon.workspace import Workspace
from gitopsd.forge.forge import CommitStatus, Forge
from gitopsd.planner.comment.comment import marker
from gitopsd.planner.plan.effects import digest_of, effects_by_job
from gitopsd.planner.trigger import Trigger
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactCommit, deployments

_OF_VERSIONS: frozenset[Trigger] = frozenset({"push", "revert", "rollback", "manual"})
"""Deployments for another reason are of a version that was deployed before."""

_LOOKED_AT = 10
_BROUGHT = 5
_OLDEST = timedelta(days=7)
_MOST_REMEMBERED = 100

Word = events.Refused | events.Held | events.Settled | events.Committed | None
"""What became of the newest version, by the deployer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Version:
    """A commit of the source branch. `deployment` is the one that has it, and `alone` that it is of that commit."""

    environment: str
    source: str
    deployment: ArtifactCommit | None
    alone: bool = True


class Telling:
    """`word` gives the deployer's last one on the newest version of an environment."""

    def __init__(self, memory: ShownMemory, reviews: Reviews, word: Callable[[str], Word]) -> None:
        self._memory = memory
        self._reviews = reviews
        self._word = word
        self._told: dict[str, tuple[object, ...]] = {}
        self._differences: dict[str, tuple[str, str]] = {}

    def tell(self, workspace: Workspace, forge: Forge, situation: Situation) -> float:
        """Seconds until there may be more to say that nobody hints at. Raises ForgeError, RepositoryError."""
        soonest = float("inf")
        for environment, branch in situation.environments.items():
            round_ = _Round(
                workspace=workspace, forge=forge, situation=situation, branch=branch, word=self._word(environment)
            )
            soonest = min(soonest, self._environment(round_))
            approval = policy_of(workspace.configuration).requires_approval(environment)
            self._reviews.of(forge, situation, environment, situation.base, approval=approval)
        return soonest

    def _environment(self, round_: "_Round") -> float:
        situation, branch = round_.situation, round_.branch
        moment = round_.moment
        if self._told.get(branch.environment) == moment:
            return float("inf")
        early = False
        known = round_.deployments
        for version in _versions(round_, known):
            review = self._reviews.of(round_.forge, situation, version.environment, version.source)
            early = early or self._reviews.is_early(review)
            if review.pull_request:
                outcome = self._outcome(round_, known, version, review)
                if outcome is not None:
                    create = version.source == situation.base
                    self._write(round_.forge, version, review, outcome, create=create)
        if early:
            return AGAIN_SECONDS
        self._told[branch.environment] = moment
        return float("inf")

    def _outcome(
        self, round_: "_Round", known: Mapping[int, ArtifactCommit], version: _Version, review: Review
    ) -> Outcome | None:
        word, branch = round_.word, round_.branch
        if version.deployment is None:
            if not isinstance(word, events.Held | events.Refused | events.Settled):
                return None
            return of_version(word, branch.environment)
        compared = ""
        if not version.alone:
            compared = "It was deployed together with what was merged after it."
        elif review.effects or version.source == round_.situation.base:
            compared = self._compare(round_.workspace, branch, version.deployment, review)
        repository = round_.workspace.repository
        return of_deployment(repository, branch, version.deployment, known, compared=compared)

    def _compare(self, workspace: Workspace, branch: ArtifactBranch, deployment: ArtifactCommit, review: Review) -> str:
        """Says whether it did what was shown, in its note too."""
        note = read_rollouts(workspace.repository, branch, deployment)
        key = f"{deployment.id} {review.effects}"
        if key not in self._differences:
            before = deployment_before(workspace.repository, deployment)
            found = changes_of(workspace.repository, before, deployment)
            jobs = effects_by_job(found.changes, found.changed_workers)
            if len(self._differences) > _MOST_REMEMBERED:
                self._differences.clear()
            self._differences[key] = (
                digest_of(found.changes, found.changed_workers),
                what_differs(review.jobs, jobs),
            )
        deployed, differs = self._differences[key]
        reviewed = Reviewed(
            pull_request=review.pull_request,
            shown=review.effects,
            deployed=deployed,
            same=bool(review.effects) and review.effects == deployed,
        )
        if note.reviewed != reviewed:
            record_reviewed(workspace, branch, deployment, reviewed)
        return comparison(reviewed, differs)

    def _write(self, forge: Forge, version: _Version, review: Review, outcome: Outcome, *, create: bool) -> None:
        """What is there already is not written again, and pull requests that we never spoke to aren't spoken to now.

        Once all went well that is the last word: a worker that is away a week later is no matter of the merge.
        """
        said = hashlib.sha256(f"{outcome.state}\n{outcome.words}\n{outcome.markdown}".encode()).hexdigest()[:40]
        deployed = version.deployment.id if version.deployment else "-"
        before = self._memory.told(version.environment, version.source)
        token = f"{outcome.state} {deployed} {said}"
        if before == token or before.startswith(f"success {deployed} "):
            return
        mark = marker(version.environment)
        there = forge.comment(review.pull_request, mark)
        if there is not None or create:
            text = there.body if there is not None else f"{mark}\n"
            forge.upsert_comment(review.pull_request, mark, with_outcome(text, outcome.markdown))
            status = CommitStatus(
                context=f"gitopsd/deploy/{version.environment}", state=outcome.state, description=outcome.words
            )
            forge.set_status(version.source, status)
        self._memory.tell(version.environment, version.source, token)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Round:
    """One look at one environment."""

    workspace: Workspace
    forge: Forge
    situation: Situation
    branch: ArtifactBranch
    word: Word

    @property
    def moment(self) -> tuple[object, ...]:
        """All that what is told follows from."""
        head, word = self.situation.heads[self.branch.environment], self.word
        return (
            self.situation.base,
            head.commit.id if head else "",
            self.workspace.repository.ref(self.branch.notes_ref),
            None if word is None else (type(word), word.source),
            getattr(word, "reasons", ""),
            getattr(word, "error", ""),
        )

    @property
    def deployments(self) -> Mapping[int, ArtifactCommit]:
        """Number -> deployment, the newest first."""
        head = self.situation.heads[self.branch.environment]
        if head is None:
            return {}
        oldest = datetime.now(UTC) - _OLDEST
        found = islice(deployments(self.workspace.repository, head.commit.id), _LOOKED_AT)
        return {one.trailers.deployment: one for one in found if one.trailers and one.time >= oldest}


def _versions(round_: _Round, known: Mapping[int, ArtifactCommit]) -> Iterator[_Version]:
    """Each version once: the newest one, those that were deployed, and those that were deployed together with them."""
    told = set[str]()
    for one in known.values():
        trailers = one.trailers
        if trailers is None or trailers.trigger not in _OF_VERSIONS or trailers.source_commit in told:
            continue
        version = _Version(environment=round_.branch.environment, source=trailers.source_commit, deployment=one)
        told.add(version.source)
        yield version
        for brought in brought_by(round_.workspace.repository, one).commits[1 : 1 + _BROUGHT]:
            if brought.commit not in told:
                told.add(brought.commit)
                yield replace(version, source=brought.commit, alone=False)
    base, word = round_.situation.base, round_.word
    if base not in told and word is not None and word.source == base:
        yield _Version(environment=round_.branch.environment, source=base, deployment=None)
