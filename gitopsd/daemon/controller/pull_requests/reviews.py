"""Which pull request each version came from, by the forge, and what that one showed."""

import time
from collections.abc import Callable

from msgspec.structs import replace

from gitopsd.daemon.controller.pull_requests.comment_parts import shown_in
from gitopsd.daemon.controller.pull_requests.situation import Situation
from gitopsd.daemon.pull_requests.shown import Review, ShownMemory
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

    def of(self, forge: Forge, situation: Situation, environment: str, source: str) -> Review:
        """Of a commit of the source branch. Raises ForgeError."""
        known = self._memory.review(environment, source)
        now = self._clock()
        if known is not None and not self.is_early(known):
            return known
        review = known or Review(at=now if source == situation.base else 0.0)
        pull_request = self._ask(forge, situation.branch, source, now)
        if pull_request is not None:
            review = self._shown(forge, environment, pull_request.number, review)
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

    def _shown(self, forge: Forge, environment: str, number: int, review: Review) -> Review:
        shown = self._memory.shown(number).get(environment)
        if shown is None or not shown.effects:
            shown = shown_in(forge.comment(number, marker(environment)))
        if shown is None:
            return replace(review, pull_request=number)
        return replace(review, pull_request=number, effects=shown.effects, jobs=shown.jobs)
