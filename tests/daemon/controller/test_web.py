import socket
import threading
import time
from collections.abc import Iterator

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gitopsd.daemon.controller import events as told
from gitopsd.daemon.controller.heartbeat import Heartbeats
from gitopsd.daemon.controller.onlookers import web as web_module
from gitopsd.daemon.controller.onlookers.health import Health
from gitopsd.daemon.controller.onlookers.metrics import Metrics
from gitopsd.daemon.controller.onlookers.observability import routes
from gitopsd.daemon.controller.onlookers.web import serving
from tests.daemon.controller import samples
from tests.operator import eventually
from tests.ports import free_port

WALL = samples.AT + 40.0


class Site:
    def __init__(self) -> None:
        self.now = 1000.0
        self.hearts = Heartbeats(lambda: self.now)
        self.health = Health(self.hearts, clock=lambda: self.now, wall=lambda: WALL)
        self.metrics = Metrics()

    def tell(self, *events: told.Event) -> None:
        for event in events:
            self.health(event)
            self.metrics(event)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def web(site: Site) -> Iterator[httpx.Client]:
    port = free_port()
    with (
        serving(f"127.0.0.1:{port}", routes(site.metrics, site.health), problem=pytest.fail),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client,
    ):
        eventually("it answers", lambda: answers(port))
        yield client


def answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 5).close()
    except ConnectionRefusedError:
        return False
    return True


LEADING = told.Leading(environment="", at=samples.AT)


def test_metrics_are_served_as_prometheus_asks_for_them(site: Site, web: httpx.Client) -> None:
    site.tell(LEADING, samples.looked())
    plain = web.get("/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert 'gitopsd_last_look_timestamp_seconds{environment="production"} 1.8e+09' in plain.text
    assert "gitopsd_leader 1.0" in plain.text
    newer = web.get("/metrics", headers={"accept": "application/openmetrics-text; version=1.0.0"})
    assert newer.headers["content-type"].startswith("application/openmetrics-text")
    assert newer.text.endswith("# EOF\n")


def test_a_controller_is_alive_while_no_thread_is_overdue(site: Site, web: httpx.Client) -> None:
    with site.hearts.thread("watch", silence=10):
        assert web.get("/healthz").json() == {"alive": True, "overdue": []}
        site.now += 11
        answer = web.get("/healthz")
        assert (answer.status_code, answer.json()) == (503, {"alive": False, "overdue": ["watch"]})


def test_a_controller_that_stands_by_is_ready(web: httpx.Client) -> None:
    answer = web.get("/readyz")
    assert (answer.status_code, answer.json()["role"]) == (200, "standing-by")


def test_a_controller_that_leads_is_ready_once_it_reached_the_repository(site: Site, web: httpx.Client) -> None:
    site.tell(LEADING)
    answer = web.get("/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["the repository was not looked at yet"])
    site.tell(samples.looked())
    answer = web.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "ready": True,
        "role": "leading",
        "reasons": [],
        "looked": {"production": 40.0},
    }


def test_a_repository_that_is_away_says_why_and_since_when(site: Site, web: httpx.Client) -> None:
    site.tell(LEADING, samples.looked(), samples.look_failed("no route to host", at=samples.AT + 30))
    answer = web.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["reasons"] == ["the repository can't be looked at: no route to host"]
    assert answer.json()["looked"] == {"production": 40.0}
    site.tell(samples.looked(at=samples.AT + 35))
    assert web.get("/readyz").status_code == 200


def test_an_environment_that_is_no_more_does_not_count(site: Site, web: httpx.Client) -> None:
    site.tell(LEADING, samples.looked(at=samples.AT - 7200), samples.looked("other"))
    assert web.get("/readyz").json()["looked"] == {"other": 40.0}


def test_a_controller_that_ends_is_not_ready(site: Site, web: httpx.Client) -> None:
    site.tell(LEADING, samples.looked(), told.Stopping(environment="", at=samples.AT))
    answer = web.get("/readyz")
    assert (answer.status_code, answer.json()["reasons"]) == (503, ["it was asked to end"])


def test_other_paths_and_methods_are_refused(web: httpx.Client) -> None:
    assert web.get("/").status_code == 404
    assert web.post("/metrics", content=b"x").status_code == 405


def test_an_address_that_is_taken_is_told_and_answered_once_it_is_free(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_module, "_AGAIN_SECONDS", 0.05)
    told: list[str] = []
    port = free_port()
    taken = socket.create_server(("127.0.0.1", port))
    with serving(f"127.0.0.1:{port}", routes(site.metrics, site.health), problem=told.append):
        eventually("it is told", lambda: told != [])
        taken.close()
        eventually("it answers", lambda: answers(port))
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=10).status_code == 200
    (problem,) = told
    assert problem.startswith(f"127.0.0.1:{port} can't be listened on, which is tried again: ")


def test_a_request_that_never_ends_does_not_keep_the_controller() -> None:
    arrived = threading.Event()

    async def forever(request: Request) -> Response:
        arrived.set()
        await request.body()  # which the client never sends whole
        return Response("late")

    address = f"127.0.0.1:{free_port()}"
    port = int(address.rpartition(":")[2])
    with socket.socket() as client:
        with serving(address, [Route("/", forever, methods=["POST"])], problem=pytest.fail):
            eventually("it answers", lambda: answers(port))
            client.connect(("127.0.0.1", port))
            client.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf")
            assert arrived.wait(30)
            began = time.monotonic()
        assert time.monotonic() - began < 30
    assert all(thread.name != f"web {address}" for thread in threading.enumerate())
