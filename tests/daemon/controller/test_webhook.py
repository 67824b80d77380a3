"""Deliveries on their way into a controller, over HTTP."""

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from gitopsd.daemon.configuration.configuration import (
    Configuration,
    ForgeConfiguration,
    ForgeSecret,
    ListenConfiguration,
)
from gitopsd.daemon.controller.onlookers import webhook as webhook_module
from gitopsd.daemon.controller.onlookers.forge_webhook import webhook
from gitopsd.daemon.controller.onlookers.metrics import Metrics
from gitopsd.daemon.controller.onlookers.webhook import PATH, Waiting
from gitopsd.forge.forge import ForgeKind
from gitopsd.forge.webhook import LARGEST, Hint
from tests.daemon.controller.test_web import answers
from tests.forge.conftest import KINDS
from tests.forge.standin import forge_standin
from tests.forge.standin.deliveries import Hook
from tests.operator import eventually
from tests.ports import free_port

SECRET = "a secret of this test"  # noqa: S105
OTHER = "another one"
PUSH = json.dumps({"repository": {"full_name": "acme/fleet"}}).encode()


@dataclass(kw_only=True)
class Site:
    """A controller's receiving end: what it looked at, said and counted."""

    port: int
    secret: Path
    metrics: Metrics = field(default_factory=Metrics)
    looks: int = 0
    said: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{PATH}"

    def look(self) -> None:
        self.looks += 1

    def counted(self, outcome: str) -> int:
        name = "gitopsd_webhook_deliveries_total"
        return int(self.metrics.registry.get_sample_value(name, {"outcome": outcome}) or 0)


@pytest.fixture
def start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[ForgeKind], Site]]:
    monkeypatch.setattr(webhook_module, "BETWEEN_LOOKS", 0.01)
    secret = tmp_path / "secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    running = []

    def begin(kind: ForgeKind) -> Site:
        site = Site(port=free_port(), secret=secret)
        forge = ForgeConfiguration(
            kind=kind,
            repository="acme/fleet",
            token=ForgeSecret(file="/none"),
            webhook_secret=ForgeSecret(file=str(secret)),
        )
        listen = ListenConfiguration(webhook=f"127.0.0.1:{site.port}")
        looks = {Hint.BRANCHES: site.look}
        configuration = Configuration(forge=forge, listen=listen)
        served = webhook(configuration, site.metrics, looks=looks, warn=site.said.append)
        served.__enter__()
        running.append(served)
        eventually("it listens", lambda: answers(site.port))
        return site

    yield begin
    for one in running:
        one.__exit__(None, None, None)


@pytest.mark.parametrize("kind", KINDS)
def test_what_people_do_on_a_forge_makes_the_controller_look(
    start: Callable[[ForgeKind], Site], kind: ForgeKind, tmp_path: Path
) -> None:
    site = start(kind)
    with forge_standin(kind, tmp_path / "forge") as standin:
        hook = standin.webhook(site.url, SECRET)
        standin.commit("main", {"a": "1"})
        eventually("it looked", lambda: site.looks == 1)
        standin.commit("feature", {"a": "2"})
        number = standin.open("feature")
        standin.approve(number, "grace")
        standin.merge(number)
    assert {one.status for one in hook.deliveries} == {202}
    assert len(hook.deliveries) == 6
    eventually("it looked again", lambda: site.looks >= 2)
    assert site.counted("taken") == 6
    assert site.said == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_wrong_secret_is_refused_counted_and_said_once(start: Callable[[ForgeKind], Site], kind: ForgeKind) -> None:
    site = start(kind)
    hook = Hook(kind=kind, url=site.url, secret=OTHER)
    event = "Push Hook" if kind == "gitlab" else "push"
    assert [hook.send(event, PUSH).status for _ in range(5)] == [401] * 5
    assert site.looks == 0
    assert site.counted("refused") == 5
    (said,) = site.said
    assert "a webhook delivery was refused: its signature is not that of" in said


def test_what_is_sent_again_looks_again_and_nothing_else(start: Callable[[ForgeKind], Site]) -> None:
    site = start("github")
    hook = Hook(kind="github", url=site.url, secret=SECRET)
    first = hook.send("push", PUSH)
    assert [hook.again(first) for _ in range(50)] == [202] * 50
    eventually("it looked", lambda: site.looks >= 1)
    assert site.counted("taken") == 51


def test_many_hints_come_to_few_looks() -> None:
    begun, go_on = threading.Event(), threading.Event()
    looks = []

    def look() -> None:
        looks.append(1)
        begun.set()
        assert go_on.wait(20)

    waiting = Waiting({Hint.BRANCHES: look}, between=0.0)
    waiting.start()
    waiting.add(frozenset({Hint.BRANCHES}))
    assert begun.wait(20)
    for _ in range(10_000):  # while it looks
        waiting.add(frozenset(Hint))
    go_on.set()
    eventually("what came meanwhile is looked at", lambda: len(looks) == 2)
    waiting.stop()
    assert len(looks) == 2


def test_other_events_are_taken_and_mean_nothing(start: Callable[[ForgeKind], Site]) -> None:
    site = start("github")
    hook = Hook(kind="github", url=site.url, secret=SECRET)
    assert hook.send("ping", b'{"zen": "Keep it"}').status == 204
    assert hook.send("star", b"not even JSON").status == 204
    assert hook.send("push", json.dumps({"repository": {"full_name": "acme/other"}}).encode()).status == 204
    assert (site.looks, site.counted("ignored")) == (0, 3)


def test_a_signed_body_that_is_none_is_refused(start: Callable[[ForgeKind], Site]) -> None:
    site = start("github")
    hook = Hook(kind="github", url=site.url, secret=SECRET)
    assert hook.send("push", b"[" * 100_000).status == 400
    assert hook.send("push", PUSH[:-3]).status == 400
    headers = {**hook.send("push", PUSH).headers, "content-type": "application/x-www-form-urlencoded"}
    assert httpx.post(site.url, content=PUSH, headers=headers).status_code == 415
    assert site.counted("refused") == 3


def test_a_huge_body_is_not_read(start: Callable[[ForgeKind], Site]) -> None:
    site = start("github")
    hook = Hook(kind="github", url=site.url, secret=SECRET)
    longest = PUSH + b" " * (LARGEST - len(PUSH))
    assert hook.send("push", longest).status == 202
    headers = hook.send("push", longest + b" ").headers
    assert hook.deliveries[-1].status == 413

    def endless() -> Iterator[bytes]:
        for _ in range(64):
            yield b" " * 65_536

    try:
        status = httpx.post(site.url, content=endless(), headers=headers).status_code
    except httpx.TransportError:  # it hung up before all was sent
        status = 413
    assert status == 413
    # what says that more is coming than there may be is answered before any of it has come
    with socket.create_connection(("127.0.0.1", site.port), 20) as link:
        link.sendall(
            f"POST {PATH} HTTP/1.1\r\nhost: x\r\nx-hub-signature-256: y\r\ncontent-length: {10**12}\r\n\r\n".encode()
        )
        assert link.recv(12) == b"HTTP/1.1 413"


def test_without_a_signature_the_body_is_not_waited_for(start: Callable[[ForgeKind], Site]) -> None:
    site = start("github")
    with socket.create_connection(("127.0.0.1", site.port), 20) as link:
        link.sendall(f"POST {PATH} HTTP/1.1\r\nhost: x\r\ncontent-length: 1000\r\n\r\n".encode())
        assert link.recv(12) == b"HTTP/1.1 401"


def test_a_body_that_does_not_come_is_given_up(
    start: Callable[[ForgeKind], Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook_module, "_BODY_SECONDS", 0.2)
    site = start("github")
    with socket.create_connection(("127.0.0.1", site.port), 20) as link:
        link.sendall(
            f"POST {PATH} HTTP/1.1\r\nhost: x\r\nx-hub-signature-256: y\r\ncontent-length: 1000\r\n\r\n".encode()
        )
        assert link.recv(12) == b"HTTP/1.1 408"


def test_a_secret_that_can_not_be_read_refuses_and_one_that_is_changed_counts(
    start: Callable[[ForgeKind], Site],
) -> None:
    site = start("github")
    site.secret.unlink()
    hook = Hook(kind="github", url=site.url, secret=SECRET)
    assert hook.send("push", PUSH).status == 503
    assert "can't be checked now" in site.said[0]
    assert str(site.secret) in site.said[0]
    site.secret.write_text(OTHER + "\n")
    site.secret.chmod(0o600)
    assert hook.send("push", PUSH).status == 401
    assert Hook(kind="github", url=site.url, secret=OTHER).send("push", PUSH).status == 202


def test_only_deliveries_are_answered(start: Callable[[ForgeKind], Site]) -> None:
    site = start("github")
    assert httpx.get(site.url).status_code == 405
    assert httpx.post(site.url.removesuffix(PATH) + "/other").status_code == 404
