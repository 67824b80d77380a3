"""What the controller does, as it tells it, in the words of `apply`."""

from collections.abc import Iterable
from typing import assert_never

from gitopsd.cli.remote_text import fitted
from gitopsd.cli.rollout_text import RolloutText, counted, end_lines, parts
from gitopsd.daemon.controller import events
from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.reverting.revert_commit import returns

_MOST_DRIFT = 5


class EventText(RolloutText):
    """Of the version `source`, line by line. Environments that go on at the same time are told apart by headings."""

    def __init__(self, source: str) -> None:
        super().__init__()
        self._source = source
        self._environment = ""
        self._deployment = 0
        self._planned: dict[int, tuple[str, ...]] = {}

    @property
    def is_heard(self) -> bool:
        """Whether anybody still reads it."""
        return self._heard

    def tell(self, event: events.Event) -> None:  # noqa: C901, PLR0912 - one case a kind of event
        match event:
            case events.Looked() | events.Planning() | events.Planned() | events.Leading():
                pass  # who pushed has seen the plan
            case events.LookFailed():
                self._problem("the repository couldn't be looked at", event.error, event.hint)
            case events.Refused():
                self._refused(event)
            case events.Held():
                until = f", until {event.until}" if event.until else ""
                self._of(event, f"{event.source[:12]} waits{until}", "yellow")
                self._say_all((f"  {reason}", None) for reason in event.reasons)
            case events.Settled():
                what = f"deployment {event.deployment}" if event.deployment else "what is deployed"
                self._of(event, f"no release changes: {what} stays as it is")
            case events.Committed():
                self._committed(event)
            case events.RolloutBegan():
                self._said.clear()
                self._scope(event.environment)
            case events.WorkerProgressed():
                self._scope(event.environment)
                self.progress(event.worker, event.stage, event.detail)
            case events.WorkerChanging():
                self._scope(event.environment)
                self.about_to_change(event.differences)
            case events.WorkerEnded():
                self._scope(event.environment)
                self._deployment = event.deployment
                self.result(event.result)
            case events.WorkerLeftOut():
                self._scope(event.environment)
                self._say(f"  {event.worker}: left out until {event.next}: {event.trouble} {event.attempts} times")
                self._say(f"    {event.error}")
            case events.Reverted():
                self._reverted(event)
            case events.RolloutEnded():
                self._scope(event.environment)
                self._say_all(end_lines(event.rollout))
                results = counted(event.rollout.results, event.rollout)
                self._of(event, f"deployment {event.deployment}: {results}")
            case events.Converged():
                if event.problem:
                    self._problem(f"deployment {event.deployment} is not through", event.problem, event.hint)
            case events.Said():
                self._of(event, event.message if event.level == "note" else f"{event.level}: {event.message}")
            case events.Stopping():
                self._say("the controller is being stopped; it goes on with this when it is started again")
            case _:
                assert_never(event)

    def details(self, result: WorkerResult) -> Iterable[tuple[str, str | None]]:
        """What was put right on a worker that the deployment didn't change."""
        if result.state != "converged" or result.worker in self._planned.get(self._deployment, ()):
            return ()
        shown = result.drift[:_MOST_DRIFT]
        return [(f"    put right: {one.subject + ': ' if one.subject else ''}{one.detail}", None) for one in shown]

    def _committed(self, event: events.Committed) -> None:
        self._planned[event.deployment] = event.workers
        self._deployment = event.deployment
        if event.source != self._source and self._source in event.superseded:
            self._of(event, f"{event.source[:12]} came meanwhile, and is deployed in the place of this version")
        self._of(event, f"deployment {event.deployment} committed ({event.head[:12]})")

    def _reverted(self, event: events.Reverted) -> None:
        self._of(event, f"deployment {event.failed} failed, and {event.by} reverts it ({event.head[:12]})", "red")
        for name, one in event.quarantines.items():
            self._say_all([(f"  {one.reason}", "red"), (f"  {returns(name, one)}, and stays there", "red")])
            self._say(f"    until another version of it comes, or `gitopsd quarantine release {name}`")

    def _refused(self, event: events.Refused) -> None:
        self._of(event, f"{event.source[:12]} is not deployed: {event.error}", "red")
        if event.hint:
            self._say(f"  hint: {event.hint}")
        self._say_all((line, None) for line in event.diagnostics.splitlines())

    def _problem(self, what: str, error: str, hint: str) -> None:
        self._say(f"{what}: {error}")
        if hint:
            self._say(f"  hint: {hint}")

    def _of(self, event: events.Event, text: str, colour: str | None = None) -> None:
        """A line that names its environment by itself."""
        self._environment = event.environment
        self._say_all([(f"{event.environment}: {text}" if event.environment else text, colour)])

    def _scope(self, environment: str) -> None:
        """What follows is about a worker of this environment."""
        if environment != self._environment:
            self._environment = environment
            self._say(f"{environment}:")

    def _say_all(self, lines: Iterable[tuple[str, str | None]]) -> None:
        super()._say_all((line, colour) for text, colour in lines for part in parts(text) for line in fitted(part))
