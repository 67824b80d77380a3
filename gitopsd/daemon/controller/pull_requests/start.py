"""Begins the loop of pull requests, and joins it to the others: it only reads what they say, and asks them."""

from collections.abc import Callable, Mapping

from gitopsd.daemon.controller import events
from gitopsd.daemon.controller.broadcast import Broadcast
from gitopsd.daemon.controller.environment import EnvironmentLoops
from gitopsd.daemon.controller.heartbeat import Heartbeats
from gitopsd.daemon.controller.looker import Seen
from gitopsd.daemon.controller.loop import Loop
from gitopsd.daemon.controller.pull_requests.counts import Counts
from gitopsd.daemon.controller.pull_requests.cycle import Around, PullRequests
from gitopsd.daemon.controller.pull_requests.telling import Word
from gitopsd.daemon.controller.reach import ThreadWorkspace
from gitopsd.daemon.controller.requests import Requests


class PullRequestLoop:
    """Runs since `start`."""

    def __init__(self, loop: Loop, pull_requests: PullRequests, requests: Requests) -> None:
        self._loop = loop
        self._pull_requests = pull_requests
        self._requests = requests

    def look_again(self) -> None:
        """Have it ask the forge for pull requests, soon; from any thread."""
        self._pull_requests.look_again()
        self._requests.ask()

    def end(self) -> None:
        """Asks it to end."""
        self._loop.end()


def start(
    *,
    repository: str,
    workspace: ThreadWorkspace,
    broadcast: Broadcast,
    hearts: Heartbeats,
    environments: Callable[[], Mapping[str, EnvironmentLoops]],
    seen: Callable[[], Seen | None],
    stop: Callable[[], bool],
    counts: Counts,
    only: str | None,
) -> PullRequestLoop:
    """`environments` gives the loops of each, and `seen` where the branches were when somebody looked last."""

    def word(environment: str) -> Word:
        loops = environments().get(environment)
        return None if loops is None else loops.deployer.outcome

    def reviewed(environment: str) -> None:
        loops = environments().get(environment)
        if loops is not None:
            loops.to_deploy.ask()

    pull_requests = PullRequests(
        Around(
            repository=repository,
            workspace=workspace,
            tell=broadcast.tell,
            seen=seen,
            word=word,
            reviewed=reviewed,
            stop=stop,
            counts=counts,
            only=only,
        )
    )
    requests = Requests()

    def hear(event: events.Event) -> None:
        if pull_requests.hears(event):
            requests.ask()

    broadcast.listen(hear)
    loop = Loop("pull requests", pull_requests.cycle, requests, hearts)
    loop.start()
    return PullRequestLoop(loop, pull_requests, requests)
