"""Which pull request each version came from, by the forge, what that one showed, and who approved that."""

import time
from collections.abc import Callable

from msgspec.structs import replace

from gitopsd.daemon.controller.pull_requests.approvals import approved
from gitopsd.daemon.controller.pull_requests.comment_parts import shown_in
from gitopsd.daemon.controller.pull_requests.situation import Situation
from gitopsd.daemon.pull_requests.shown import Review, Shown, ShownMemory
from gitopsd.forge.forge import Forge, PullRequest
from gitopsd.planner.comment.comment import marker

LATE_SECONDS = 300.0
"""So long a forge may take to know what it merged: until then one that says nothing is asked again."""

AGAIN_SECONDS = 10.0
_MOST_REMEMBERED = 100


class Reviews:
    """Asked on the thread of pull requests alone. `found` is called with an environment of which more is known now."""

    def __init__(
        self, memory: ShownMemory, found: Callable[[str], object], *, clock: Callable[[], float] = time.time
    ) -> None:
        self._memory = memory
        self._found = found
        self._clock = clock
        self._asked: dict[str, tuple[float, PullRequest | None]] = {}
        self._approvals_asked: dict[tuple[str, str], float] = {}

    def of(
        self, forge: Forge, situation: Situation, environment: str, source: str, *, approval: bool = False
    ) -> Review:
        """Of a commit of the source branch; with `approval`, while there is none, it is asked for again and again: an
        approval may come after the merge. Raises ForgeError.
        """
        known = self._memory.review(environment, source)
        now = self._clock()
        waits = approval and (known is None or not known.approved) and self._may_ask(environment, source, now)
        if known is not None and not self.is_early(known) and not (waits and known.pull_request):
            return known
        review = known or Review(at=now if source == situation.base else 0.0)
        pull_request = self._ask(forge, situation.branch, source, now)
        if pull_request is not None:
            shown = self._shown(forge, environment, pull_request.number)
            review = replace(review, pull_request=pull_request.number, effects=shown.effects, jobs=shown.jobs)
            if waits:
                found = approved(forge.approvals(pull_request), pull_request.head_commit, shown)
                review = replace(review, approved=found.by, void=found.void)
                self._approvals_asked[environment, source] = now
        if review != known:
            self._memory.add_review(environment, source, review)
            self._found(environment)
        return review

    def is_early(self, review: Review) -> bool:
        """Whether the forge may know better in a moment: it was asked about what had come that moment."""
        return not review.pull_request and 0 <= self._clock() - review.at < LATE_SECONDS

    def _ask(self, forge: Forge, branch: str, source: str, now: float) -> PullRequest | None:
        """For all environments at once, and not again for some seconds."""
        at, found = self._asked.get(source, (float("-inf"), None))
        if not 0 <= now - at < AGAIN_SECONDS:
            found = forge.merged_pull_request(source, branch)
            if len(self._asked) > _MOST_REMEMBERED:
                self._asked.clear()
            self._asked[source] = (now, found)
        return found

    def _may_ask(self, environment: str, source: str, now: float) -> bool:
        """Not again for some seconds."""
        if len(self._approvals_asked) > _MOST_REMEMBERED:
            self._approvals_asked.clear()
        return not 0 <= now - self._approvals_asked.get((environment, source), float("-inf")) < AGAIN_SECONDS

    def _shown(self, forge: Forge, environment: str, number: int) -> Shown:
        """By memory, else by the comment; without a head where neither has anything."""
        shown = self._memory.shown(number).get(environment)
        if shown is None or not shown.effects:
            shown = shown_in(forge.comment(number, marker(environment)))
        return shown or Shown(head="")
