"""Answers to requests over the control socket: what happens, until what was asked for has come to its end."""

from collections.abc import Callable, Iterator, Mapping
from typing import assert_never

from gitopsd.daemon.controller import events
from gitopsd.daemon.controller.broadcast import Broadcast, Subscription
from gitopsd.daemon.controller.control_socket.protocol import (
    Answer,
    AskState,
    Converge,
    Done,
    EnvironmentState,
    FollowVersion,
    Leader,
    Look,
    Request,
    State,
    Told,
    Who,
)
from gitopsd.daemon.controller.environment import EnvironmentLoops
from gitopsd.daemon.controller.looker import Looker

_TICK_SECONDS = 2.0
_PROGRESS = (events.Looked, events.Leading)


class Following:
    """`environments`: the loops by name; `look` has the branches looked at, and `seen` knows what was seen."""

    def __init__(
        self,
        leader: Callable[[], Leader],
        environments: Callable[[], Mapping[str, EnvironmentLoops]],
        broadcast: Broadcast,
        *,
        look: Callable[[], object],
        seen: Looker,
    ) -> None:
        self._leader = leader
        self._environments = environments
        self._broadcast = broadcast
        self._look = look
        self._seen = seen

    def respond(self, request: Request) -> Iterator[Answer | None]:
        leader = self._leader()
        if not isinstance(request, Who | AskState) and request.repository not in {"", leader.repository}:
            yield Done(
                problem=f"the controller of this machine leads {leader.repository}, and not {request.repository}",
                hint="each repository has a controller of its own; give this command the other one with --repo",
            )
            return
        match request:
            case Who():
                yield leader
            case AskState():
                yield self._state(leader)
            case Look():
                self._look()
                yield Done()
            case Converge():
                yield from self._converge(request)
            case FollowVersion():
                yield from self._follow(request)
            case _:
                assert_never(request)

    def _state(self, leader: Leader) -> State:
        return State(
            leader=leader,
            source=self._seen.newest,
            looked=self._seen.last_success or 0.0,
            problem=self._seen.problem,
            environments={
                name: EnvironmentState(
                    outcome=loops.deployer.outcome,
                    problem=loops.converger.problem,
                    hint=loops.converger.hint,
                    cycles=loops.converger.cycles,
                )
                for name, loops in self._environments().items()
            },
        )

    def _converge(self, request: Converge) -> Iterator[Answer | None]:
        loops = self._environments().get(request.environment)
        if loops is None:
            known = ", ".join(sorted(self._environments())) or "none yet"
            yield Done(
                problem=f"the controller knows no environment {request.environment}", hint=f"it knows these: {known}"
            )
            return
        with self._broadcast.subscribe() as subscription:
            number = loops.to_converge.ask(workers=frozenset(request.workers), at_once=request.at_once)
            for event in self._told(subscription):
                if event is None or event.environment != request.environment or isinstance(event, _PROGRESS):
                    yield None
                    continue
                yield Told(event=event)
                if isinstance(event, events.Converged) and event.request >= number:
                    yield Done(problem=event.problem, hint=event.hint)
                    return
        yield _fell_behind()

    def _follow(self, request: FollowVersion) -> Iterator[Answer | None]:
        ways: dict[str, _Way] = {}
        looks: set[float] = set()  # each is told for every environment, with one time
        with self._broadcast.subscribe(since=request.source) as subscription:
            self._look()
            for event in self._told(subscription):
                for name, loops in self._environments().items():
                    if name not in ways:
                        ways[name] = _Way(request.source)
                        if name not in subscription.remembered:
                            yield from (Told(event=one) for one in ways[name].old_news(loops.deployer.outcome))
                if isinstance(event, events.Stopping):
                    yield Done(problem="the controller was stopped", hint="what is left is done once it is back")
                    return
                way = ways.get(event.environment) if event is not None else None
                if way is not None and event is not None and way.concerns(event):
                    yield Told(event=event)
                else:
                    yield None
                if isinstance(event, events.Looked) and event.at not in looks:
                    looks.add(event.at)
                    if len(looks) == 1:
                        self._look()  # the first one may have begun before the push
                if len(looks) > 1 and self._seen.newest != request.source:
                    for one in ways.values():
                        one.passed_over()
                if ways and all(one.is_over for one in ways.values()):
                    yield Done()
                    return
        yield _fell_behind()

    def _told(self, subscription: Subscription) -> Iterator[events.Event | None]:
        """Events as they come, None every few seconds without one; ends where some were lost."""
        while not subscription.lost:
            yield subscription.next(_TICK_SECONDS)


class _Way:
    """How far a version has come in one environment. It is over when nothing more comes of it here."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._deployment = 0
        self._begun = False
        self.is_over = False

    def old_news(self, outcome: events.Event | None) -> Iterator[events.Event]:
        """What it came to before anybody asked, where nothing was rolled out."""
        match outcome:
            case (
                events.Settled(source=self._source)
                | events.Refused(source=self._source)
                | events.Held(source=self._source)
            ):
                self.is_over = True
                yield outcome

    def passed_over(self) -> None:
        """A newer version is there, and this one wasn't begun."""
        self.is_over = self.is_over or not self._begun

    def concerns(self, event: events.Event) -> bool:
        """From the moment that it is planned everything does, until it is over."""
        if self.is_over:
            return False
        match event:
            case events.Looked():
                return False
            case events.Planning(source=source):
                self._begun = self._begun or source == self._source
            case events.Refused() | events.Held() | events.Settled() if self._deployment:
                return False  # its rollout goes on, whatever is planned meanwhile: what a revert left, for one
            case events.Refused(source=source) | events.Held(source=source) | events.Settled(source=source):
                self._begun = self._begun or source == self._source
                self.is_over = self._begun
            case events.Committed(source=source, trigger="upgrade") if source != self._source:
                pass  # of gitopsd itself: this version comes after it
            case events.Committed(source=source, deployment=deployment):
                self._begun = self._begun or source == self._source
                self._deployment = deployment
                self.is_over = self._begun and source != self._source
            case events.Converged(deployment=deployment):
                self.is_over = self._begun and 0 < self._deployment <= deployment
        return self._begun


def _fell_behind() -> Done:
    return Done(problem="more happened than could be told in time", hint="`gitopsd status` says how it went")
