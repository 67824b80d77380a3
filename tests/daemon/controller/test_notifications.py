"""What people are told, and when: on change only."""

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self

import pytest

from gitopsd.daemon.configuration.configuration import NotifyConfiguration, NotifyUrl, Occasion
from gitopsd.daemon.controller import events as told
from gitopsd.daemon.controller.notifications.changes import Changes, Notification
from gitopsd.daemon.controller.notifications.memory import ToldMemory
from gitopsd.daemon.controller.notifications.message import LONGEST_TEXT, body
from gitopsd.daemon.controller.notifications.notifier import Notifier
from gitopsd.daemon.controller.notifications.post import Answer, Post
from gitopsd.daemon.controller.notifications.sender import ATTEMPTS, MOST_WAITING, Message, Sender
from gitopsd.daemon.convergence.result import State
from gitopsd.model.secret import SecretValue
from tests.daemon.controller import samples
from tests.operator import eventually

HOSTILE = 'no", "channel": "#all\n<!channel> <@U1> @here <https://evil.example|ok> & \x1b[2J'


def news(changes: Changes, *events: told.Event) -> list[tuple[str, str]]:
    return [(one.occasion, one.title) for event in events for one in changes.news(event)]


def changes(known: dict[str, str] | None = None) -> Changes:
    return Changes("production", known or {}, print)


def cycle(**states: State) -> list[told.Event]:
    results = [samples.result(name.replace("_", "-"), state, "no answer") for name, state in states.items()]
    return [samples.began(), samples.ended(*results)]


def test_a_worker_that_stays_away_is_told_once_and_so_is_its_return() -> None:
    one = changes()
    away = cycle(edge_1="unreachable", edge_2="in-sync")
    assert news(one, *away) == [("unreachable", "edge-1 can't be reached")]
    assert news(one, *away, samples.left_out("edge-1"), *away) == []
    assert news(one, *cycle(edge_1="in-sync")) == [("recovered", "edge-1 is well again")]
    assert news(one, *cycle(edge_1="in-sync")) == []


def test_many_workers_are_told_together() -> None:
    states: dict[str, State] = {f"edge_{number}": "unreachable" for number in range(13)}
    ((occasion, title),) = news(changes(), *cycle(**states))
    assert occasion == "unreachable"
    assert title.endswith("edge-9 and 3 more can't be reached")


def test_a_worker_that_answers_again_and_fails_is_told_as_failed() -> None:
    one = changes({"worker/edge-1": "unreachable"})
    assert news(one, *cycle(edge_1="failed")) == [("failed", "edge-1 failed to become as deployment 7 has it")]
    assert news(one, *cycle(edge_1="rolled-back")) == []


def test_a_deployment_is_told_when_its_rollout_has_ended() -> None:
    one = changes()
    assert news(one, samples.committed()) == []
    assert news(one, *cycle(edge_1="converged", edge_2="unreachable")) == [
        ("deployed", "deployment 7 is on 1 worker"),
        ("unreachable", "edge-2 can't be reached"),
    ]
    assert news(one, *cycle(edge_1="in-sync")) == []


def test_a_deployment_that_reached_nobody_is_told_once_it_reaches_somebody() -> None:
    one = changes()
    assert news(one, samples.committed(), *cycle(edge_1="unreachable")) == [("unreachable", "edge-1 can't be reached")]
    assert news(one, *cycle(edge_1="converged")) == [
        ("deployed", "deployment 7 is on 1 worker"),
        ("recovered", "edge-1 is well again"),
    ]


def test_a_deployment_that_fails_is_told_once_with_its_workers() -> None:
    one = changes()
    events: list[told.Event] = [
        samples.committed(),
        samples.worker_ended("edge-1", "failed", "orders.a.0: exit code 1"),
    ]
    result = samples.result("edge-1", "failed", "orders.a.0: exit code 1")
    (failure,) = (x for event in [*events, samples.ended(result, failed=("edge-1",))] for x in one.news(event))
    assert (failure.occasion, failure.title) == ("failed", "deployment 7 failed on edge-1")
    assert failure.detail == "Collect from two more folders (Operator)\nedge-1: orders.a.0: exit code 1"
    assert news(one, *cycle(edge_1="failed")) == []
    assert news(one, samples.reverted()) == [
        ("reverted", "deployment 7 failed, and deployment 8 reverts orders"),
    ]
    assert news(one, *cycle(edge_1="converged")) == [("recovered", "edge-1 is well again")]


def test_a_deployment_that_fails_on_a_worker_that_failed_before_names_it() -> None:
    one = changes()
    assert news(one, *cycle(edge_1="failed"))
    assert news(one, samples.committed(), *cycle(edge_1="failed")) == [("failed", "deployment 7 failed on edge-1")]


def test_a_rollout_that_was_superseded_is_no_news() -> None:
    ended = samples.ended(samples.result(), superseded_by=8, not_attempted=("edge-2",))
    assert news(changes(), samples.committed(), ended) == []


def test_a_refused_version_is_told_once_however_often_it_is_tried() -> None:
    one = changes()
    assert news(one, samples.refused(), samples.refused()) == [("failed", "version 0123456789ab is not deployed")]
    assert news(one, samples.refused(source="f" * 40)) == [("failed", "version ffffffffffff is not deployed")]
    settled = samples.EVERY[6]
    assert news(one, settled, settled) == [("recovered", "version 0123456789ab is what deployment 7 has")]


def test_a_cycle_that_is_in_vain_time_and_again_is_told_once_and_so_is_its_end() -> None:
    one = changes()
    vain = samples.converged("the branch can't be fetched")
    assert news(one, vain, vain, samples.converged(), vain, vain) == []
    assert news(one, vain, vain) == [("failed", "workers can't be looked after")]
    assert news(one, samples.converged()) == [("recovered", "workers are looked after again")]


def test_a_deployment_that_somebody_else_committed_is_told_when_it_is_rolled_out() -> None:
    one = changes()
    assert news(one, samples.began(7), samples.ended(samples.result(), deployment=7)) == []
    ended = samples.ended(samples.result(), deployment=8)
    assert news(one, samples.began(8), ended) == [("deployed", "deployment 8 is on 1 worker")]
    assert news(one, samples.began(8), ended) == []


def test_a_version_that_waits_is_told_once_for_each_reason() -> None:
    one = changes()
    assert news(one, samples.held("paused"), samples.held("paused")) == [("held", "version 0123456789ab waits")]
    assert len(news(one, samples.held("outside of its window"))) == 1
    forgotten: list[str] = []
    two = Changes("production", {"version": "held x"}, forgotten.append)
    assert news(two, samples.committed()) == []
    assert forgotten == ["version"]


def test_a_repository_that_fails_once_is_no_news_and_one_that_stays_away_is() -> None:
    def failed(attempts: int) -> told.LookFailed:
        return told.LookFailed(environment="", at=samples.AT, error="no route", attempts=attempts)

    one = changes()
    assert news(one, failed(1), failed(2), samples.looked()) == []
    assert news(one, failed(3), failed(4)) == [("unreachable", "the repository can't be reached")]
    assert news(one, samples.looked(), samples.looked()) == [("recovered", "the repository can be reached again")]


def notification(title: str = "deployment 7 failed", detail: str = "") -> Notification:
    return Notification(occasion="failed", environment="production", title=title, detail=detail, deployment=7)


def test_hostile_text_mentions_nobody_and_links_nowhere() -> None:
    text = json.loads(body(notification(detail=HOSTILE), NotifyConfiguration(url=NotifyUrl()).template))["text"]
    assert text.startswith('production: deployment 7 failed\nno", "channel": "#all\n&lt;!channel&gt; &lt;@')
    assert "@here" not in text
    assert "<" not in text
    assert "\x1b" not in text


def test_a_template_is_filled_in_and_stays_the_json_that_it_is() -> None:
    template = {"blocks": [{"type": "section", "text": "${{ detail }}"}], "n": "${{ deployment }}", "on": ["x"]}
    filled = json.loads(body(notification(detail=HOSTILE), template))
    assert filled["n"] == 7
    assert filled.keys() == template.keys()
    assert '"channel"' in filled["blocks"][0]["text"]
    assert json.loads(body(notification(), "${{ occasion | upper }}: ${{ title }}")) == {
        "text": "FAILED: deployment 7 failed"
    }


def test_a_text_without_end_has_one() -> None:
    text = json.loads(body(notification(detail="x" * 100_000), "${{ detail }}"))["text"]
    assert len(text) < LONGEST_TEXT + 10


class Receiver:
    """A webhook on this machine; it answers what it is told to, in turn, and 200 from then on."""

    def __init__(self) -> None:
        self.got: list[dict[str, Any]] = []
        self.answers: list[tuple[int, dict[str, str]]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:  # the name that http.server calls
                content = self.rfile.read(int(self.headers["content-length"]))
                receiver.got.append(json.loads(content))
                status, headers = receiver.answers.pop(0) if receiver.answers else (200, {})
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - as it is declared
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hunter2"

    def __enter__(self) -> Self:
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        yield receiver


class Site:
    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        (folder / "hook").write_text(url + "\n")
        (folder / "hook").chmod(0o600)
        self.warnings: list[str] = []
        self.endings: list[str] = []
        self.post = Post()
        self.sender = Sender(self.post, first_wait=0.01)

    def notifier(self, *on: Occasion, environments: tuple[str, ...] = (), template: Any = None) -> Notifier:
        more = {} if template is None else {"template": template}
        receivers = [
            NotifyConfiguration(url=NotifyUrl(file=str(self.folder / "hook")), on=on, environments=environments, **more)
        ]
        return Notifier(
            receivers, self.memory(), self.sender, warn=self.warnings.append, count=self.endings.append
        )  # fmt: skip

    def memory(self) -> ToldMemory:
        return ToldMemory("a repository", path=self.folder / "state" / "told.sqlite")


@pytest.fixture
def site(tmp_path: Path, receiver: Receiver) -> Iterator[Site]:
    site = Site(tmp_path, receiver.url)
    site.sender.start()
    yield site
    site.sender.stop(5)
    site.post.close()


def tell(notifier: Notifier, *events: told.Event) -> None:
    for event in events:
        notifier(event)


def test_a_change_is_posted_and_not_told_again_after_a_restart(site: Site, receiver: Receiver) -> None:
    tell(site.notifier(), *cycle(edge_1="unreachable"))
    eventually("it is remembered", lambda: "worker/edge-1" in site.memory().known().get("production", {}))
    assert receiver.got == [{"text": "production: edge-1 can't be reached\nedge-1: no answer"}]
    after = site.notifier()
    tell(after, *cycle(edge_1="unreachable"))
    tell(after, *cycle(edge_1="converged"))
    eventually("its return is told", lambda: len(receiver.got) == 2)
    assert receiver.got[1]["text"] == "production: edge-1 is well again"
    eventually("that is remembered", lambda: site.memory().known() == {})


def test_what_was_not_sent_when_the_controller_ended_is_told_by_the_next_one(tmp_path: Path) -> None:
    site = Site(tmp_path, "http://127.0.0.1:9/hunter2")
    site.sender.start()
    tell(site.notifier(), *cycle(edge_1="unreachable"))
    site.sender.stop(0)
    assert site.memory().known() == {}
    with Receiver() as receiver:
        after = Site(tmp_path, receiver.url)
        after.sender.start()
        tell(after.notifier(), *cycle(edge_1="unreachable"))
        after.sender.stop(10)  # what was never tried is, before it ends
        assert len(receiver.got) == 1


def test_only_what_a_receiver_asks_for_is_posted(site: Site, receiver: Receiver) -> None:
    tell(site.notifier("recovered"), *cycle(edge_1="unreachable"), *cycle(edge_1="in-sync"))
    tell(site.notifier(environments=("staging",)), *cycle(edge_1="failed"))
    site.sender.stop(10)
    assert [one["text"] for one in receiver.got] == ["production: edge-1 is well again"]


def test_a_repository_that_is_away_concerns_every_environment(site: Site, receiver: Receiver) -> None:
    failed = told.LookFailed(environment="", at=samples.AT, error="no route", attempts=3)
    tell(site.notifier(environments=("staging",)), failed, samples.looked("production"))
    site.sender.stop(10)
    assert [one["text"] for one in receiver.got] == [
        "the repository can't be reached\nno route",
        "the repository can be reached again",
    ]


def test_a_template_that_cannot_be_evaluated_is_told_without_it(site: Site, receiver: Receiver) -> None:
    tell(site.notifier(template="${{ workers[3] }}"), *cycle(edge_1="failed"))
    eventually("it is told", lambda: len(receiver.got) == 1)
    assert "edge-1 failed" in receiver.got[0]["text"]
    (warning,) = site.warnings
    assert warning.startswith("`notify`, entry 1: the template can't be used")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_is_not_taken_is_posted_again(site: Site, receiver: Receiver, status: int) -> None:
    receiver.answers = [(status, {"retry-after": "0"}), (status, {})]
    tell(site.notifier(), *cycle(edge_1="failed"))
    eventually("it is taken", lambda: site.endings == ["sent"])
    assert len(receiver.got) == 3
    assert site.warnings == []


def test_a_receiver_that_refuses_is_given_up_at_once_and_its_address_never_shown(
    site: Site, receiver: Receiver
) -> None:
    receiver.answers = [(404, {})]
    tell(site.notifier(), *cycle(edge_1="failed"))
    eventually("it is given up", lambda: site.endings == ["failed"])
    assert site.warnings == [
        "`notify`, entry 1 did not take a message, which is given up: it answers 404 Not Found"
    ]  # fmt: skip
    assert len(receiver.got) == 1


def test_a_redirect_is_not_followed(site: Site, receiver: Receiver) -> None:
    receiver.answers = [(307, {"location": receiver.url + "/elsewhere"})]
    tell(site.notifier(), *cycle(edge_1="failed"))
    eventually("it is given up", lambda: site.endings == ["failed"])
    assert len(receiver.got) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:9/hunter2", "file:///hunter2", "hunter2", "http://[hunter2", ""])
def test_an_address_that_leads_nowhere_is_given_up_and_never_shown(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    site = Site(tmp_path, url)
    site.sender.start()
    tell(site.notifier(), *cycle(edge_1="failed"))
    eventually("it is given up", lambda: site.endings == ["failed"])
    assert "hunter2" not in str(site.warnings) + caplog.text
    site.sender.stop(1)
    site.post.close()


def test_a_receiver_is_left_alone_for_as_long_as_it_asks(site: Site, receiver: Receiver) -> None:
    for asked, expected in (("60", 60.0), ("99999", 600.0), ("soon", 0.0), ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0)):
        receiver.answers = [(429, {"retry-after": asked})]
        answer = site.post(lambda: SecretValue(receiver.url.encode()), b"{}")
        assert (answer.again, answer.not_before) == (True, expected)


def test_more_messages_than_can_wait_are_refused_and_told_again_later(tmp_path: Path) -> None:
    site = Site(tmp_path, "http://127.0.0.1:9/")  # its sender was not started
    message = Message(receiver="x", address=lambda: SecretValue(b""), content=b"", done=print)
    assert [site.sender.put(message) for _ in range(MOST_WAITING + 1)] == [True] * MOST_WAITING + [False]
    tell(site.notifier(), *cycle(edge_1="failed"))
    assert site.endings == ["dropped"]
    assert site.memory().known() == {}


def test_one_that_never_answers_is_tried_a_few_times_only() -> None:
    tried: list[bytes] = []
    endings: list[str] = []

    def post(address: Callable[[], SecretValue], content: bytes) -> Answer:
        assert address().reveal() == b"somewhere"
        tried.append(content)
        return Answer(problem="it can't be reached", again=True)

    sender = Sender(post, first_wait=0.001)
    sender.start()
    sender.put(Message(receiver="x", address=lambda: SecretValue(b"somewhere"), content=b"{}", done=endings.append))
    eventually("it is given up", lambda: endings != [])
    assert len(tried) == ATTEMPTS
    sender.stop(1)


def test_a_message_that_ends_with_what_nobody_thought_of_keeps_no_other_back() -> None:
    endings: list[str] = []

    def post(address: Callable[[], SecretValue], content: bytes) -> Answer:
        del address
        if content == b"1":
            raise RuntimeError
        return Answer()

    sender = Sender(post)
    sender.start()
    for content in (b"1", b"2"):
        sender.put(
            Message(receiver="x", address=lambda: SecretValue(b"somewhere"), content=content, done=endings.append)
        )
    eventually("both are done with", lambda: len(endings) == 2)
    assert endings == ["something that nobody thought of (RuntimeError)", ""]
    sender.stop(1)
