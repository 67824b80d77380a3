"""How a forge is asked: when it is out of order, wants fewer requests, is somewhere else or answers nonsense."""

import logging
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from gitopsd.forge import answers
from gitopsd.forge import client as client_module
from gitopsd.forge.client import ATTEMPTS, CALL_SECONDS, Client, Destination, Pace
from gitopsd.forge.connect import connect
from gitopsd.forge.errors import ForgeError, ForgeRefusedError, ForgeUnavailableError
from gitopsd.forge.forge import CommitStatus, Forge, ForgeKind
from gitopsd.model.secret import SecretValue
from tests.forge.conftest import KINDS
from tests.forge.standin import Standin, forge_standin
from tests.forge.standin.server import serving
from tests.ports import free_port

TOKEN = "ghp-this-is-shown-to-nobody"  # noqa: S105 - of nothing but this
MARKER = "<!-- gitopsd -->"
STATUS = CommitStatus(context="c", state="success", description="d")
Answers = Callable[[Request], Response]


class Clock:
    """Time that passes when somebody pauses, and tells `then` so."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.pauses: list[float] = []
        self.then: Callable[[], object] = lambda: None

    def pause(self, seconds: float) -> None:
        self.now += seconds
        self.pauses.append(seconds)
        self.then()

    def pace(self, between_writes: float = 0.0) -> Pace:
        return Pace(clock=lambda: self.now, pause=self.pause, chance=lambda: 0.5, between_writes=between_writes)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def standin(tmp_path: Path) -> Iterator[Standin]:
    with forge_standin("github", tmp_path) as forge:
        forge.commit("feature", {"a": "1"})
        forge.open("feature")
        yield forge


@pytest.fixture
def forge(standin: Standin, clock: Clock) -> Iterator[Forge]:
    forge = connect("github", standin.name, standin.url, standin.token, clock.pace())
    yield forge
    forge.close()


@contextmanager
def server(answer: Answers, clock: Clock, token: str = TOKEN) -> Iterator[Client]:
    async def endpoint(request: Request) -> Response:
        return answer(request)

    with serving(Starlette(routes=[Route("/{path:path}", endpoint, methods=["GET", "POST"])])) as url:
        client = client_of(url, clock, token)
        yield client
        client.close()


def client_of(url: str, clock: Clock, token: str = TOKEN) -> Client:
    destination = Destination(
        address=url,
        name="The forge",
        token=lambda: SecretValue(token.encode()),
        authorisation=lambda given: ("authorization", f"Bearer {given}"),
    )
    return Client(destination, clock.pace())


def test_a_short_outage_is_not_noticed(standin: Standin, forge: Forge, clock: Clock) -> None:
    standin.conditions.outage = 502

    def repaired() -> None:
        standin.conditions.outage = 0 if len(clock.pauses) == ATTEMPTS - 1 else 502

    clock.then = repaired
    assert forge.pull_request(1).number == 1
    assert clock.pauses == [1.0, 2.0]


@pytest.mark.parametrize("status", [500, 502, 503, 504])
def test_a_longer_one_says_when_to_try_again(standin: Standin, forge: Forge, status: int) -> None:
    with standin.outage(status), pytest.raises(ForgeUnavailableError, match=f"GitHub answers {status}") as told:
        forge.open_pull_requests()
    assert told.value.again_in > 0
    assert len(standin.requests) == ATTEMPTS
    assert len(forge.open_pull_requests()) == 1


def test_only_what_may_be_done_twice_is_tried_again(standin: Standin, forge: Forge) -> None:
    commit = standin.pulls[1].head
    forge.upsert_comment(1, MARKER, f"{MARKER}one")
    other = f"{MARKER}-"
    writes: list[tuple[Callable[[], object], int]] = [
        (lambda: forge.upsert_comment(1, other, f"{other}two"), 1),
        (lambda: forge.upsert_comment(1, MARKER, f"{MARKER}two"), ATTEMPTS),
        (lambda: forge.set_status(commit, STATUS), ATTEMPTS),
    ]
    for written, attempts in writes:
        standin.requests.clear()
        standin.conditions.broken_writes = True
        with pytest.raises(ForgeUnavailableError):
            written()
        standin.conditions.broken_writes = False
        assert len([one for one in standin.requests if one.method != "GET"]) == attempts


def test_nobody_there_is_an_outage_and_a_write_that_never_left_is_tried_again(clock: Clock) -> None:
    client = client_of(f"http://127.0.0.1:{free_port()}", clock)
    with pytest.raises(ForgeUnavailableError, match=r"The forge can't be reached at 127\.0\.0\.1:\d+: .*refused"):
        client.write("POST", "/x", {}, again=False)
    assert len(clock.pauses) == ATTEMPTS - 1


def test_the_last_request_of_a_window_is_the_last(standin: Standin, forge: Forge, clock: Clock) -> None:
    with standin.few_left(1, reset_in=1800):
        assert len(forge.open_pull_requests()) == 1
        with pytest.raises(ForgeUnavailableError, match="wants fewer requests") as told:
            forge.open_pull_requests()
        assert 1700 < told.value.again_in <= 1802
        assert len(standin.requests) == 1
    clock.now += told.value.again_in
    assert len(forge.open_pull_requests()) == 1


def test_a_window_that_was_used_up_by_others_is_waited_for(standin: Standin, forge: Forge) -> None:
    with standin.few_left(0, reset_in=600), pytest.raises(ForgeUnavailableError) as told:
        forge.open_pull_requests()
    assert 500 < told.value.again_in <= 602
    assert len(standin.requests) == 1


@pytest.mark.parametrize(("retry_after", "seconds"), [(120, 120), (None, 60)])
@pytest.mark.parametrize("kind", KINDS)
def test_who_is_too_fast_stays_away(
    tmp_path: Path, clock: Clock, kind: ForgeKind, retry_after: int | None, seconds: float
) -> None:
    with forge_standin(kind, tmp_path) as standin:
        forge = connect(standin.kind, standin.name, standin.url, standin.token, clock.pace())
        with standin.too_fast(retry_after=retry_after):
            for _ in range(2):
                with pytest.raises(ForgeUnavailableError) as told:
                    forge.open_pull_requests()
                assert told.value.again_in == pytest.approx(seconds)
        assert len(standin.requests) == 1
        clock.now += seconds
        assert forge.open_pull_requests() == ()
        forge.close()


def test_a_short_wait_is_waited(standin: Standin, forge: Forge, clock: Clock) -> None:
    standin.conditions.secondary, standin.conditions.retry_after = True, 2

    def calm() -> None:
        standin.conditions.secondary = False

    clock.then = calm
    assert forge.upsert_comment(1, MARKER, f"{MARKER}one")
    assert clock.pauses == [pytest.approx(2.1)]


def test_writes_are_spaced_out(standin: Standin, clock: Clock) -> None:
    forge = connect("github", standin.name, standin.url, standin.token, clock.pace(between_writes=1.0))
    commit = standin.pulls[1].head
    for index in range(3):
        forge.set_status(commit, CommitStatus(context=f"c{index}", state="success", description="d"))
    assert clock.pauses == [1.0, 1.0]
    forge.close()


def test_a_moved_repository_is_followed_on_the_same_host_and_reads_alone(clock: Clock) -> None:
    def answer(request: Request) -> Response:
        if request.url.path == "/old":
            return RedirectResponse("/new", 301)
        return JSONResponse({"path": request.url.path, "token": request.headers["authorization"]})

    with server(answer, clock) as client:
        assert client.get("/old", dict[str, str]) == {"path": "/new", "token": f"Bearer {TOKEN}"}
        with pytest.raises(ForgeRefusedError, match="elsewhere"):
            client.write("POST", "/old", {}, again=True)


def test_another_host_is_never_given_the_token(clock: Clock) -> None:
    asked: list[str] = []

    def elsewhere(request: Request) -> Response:
        asked.append(request.url.path)
        return JSONResponse({})

    async def endpoint(request: Request) -> Response:
        return elsewhere(request)

    with serving(Starlette(routes=[Route("/{path:path}", endpoint)])) as other:
        for target in (f"{other}/x", other.replace("127.0.0.1", "localhost") + "/x", "//evil.example/x", "ftp://x/"):
            with (
                server(lambda _, to=target: RedirectResponse(to, 307), clock) as client,  # type: ignore[misc]
                pytest.raises(ForgeRefusedError, match="redirects to another host"),
            ):
                client.get("/a", dict[str, str])
    assert asked == []


def test_redirects_in_a_circle_end(clock: Clock) -> None:
    with (
        server(lambda _: RedirectResponse("/a", 302), clock) as client,
        pytest.raises(ForgeRefusedError, match="one redirect after the other"),
    ):
        client.get("/a", dict[str, str])


def test_an_endless_answer_is_not_read_on(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "LARGEST", 1_000_000)

    async def endless() -> AsyncIterator[bytes]:
        for _ in range(40):  # as long as a test may take
            yield b" " * 65_536

    with server(lambda _: StreamingResponse(endless()), clock) as client, pytest.raises(ForgeRefusedError, match="MiB"):
        client.get("/a", dict[str, str])


def test_an_answer_that_trickles_in_has_a_deadline(clock: Clock) -> None:
    begun = []

    async def trickle() -> AsyncIterator[bytes]:
        begun.append(1)
        for _ in range(100):
            clock.now += CALL_SECONDS / 10
            yield b" "

    with (
        server(lambda _: StreamingResponse(trickle()), clock) as client,
        pytest.raises(ForgeUnavailableError, match="takes too long"),
    ):
        client.get("/a", dict[str, str])
    assert begun == [1]


def test_a_page_that_goes_on_for_ever_ends(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "MOST_PAGES", 3)
    asked = []

    def answer(request: Request) -> Response:
        asked.append(request.query_params["page"])
        return JSONResponse([1], headers={"link": '<https://evil.example/next>; rel="next"'})

    with server(answer, clock) as client:
        assert list(client.pages("/a", int, {})) == [1, 1, 1]
    assert asked == ["1", "2", "3"]


@pytest.mark.parametrize("text", ["<html>sign in</html>", "", "[", '{"a": 1}', "[" * 100_000])
def test_nonsense_is_taken_for_an_outage(clock: Clock, text: str) -> None:
    with (
        server(lambda _: PlainTextResponse(text), clock) as client,
        pytest.raises(ForgeUnavailableError, match="with something else"),
    ):
        client.get("/a", list[int])


def test_what_a_forge_says_of_a_refusal_is_shown_in_one_line_and_without_the_token(clock: Clock) -> None:
    text = "no\n\x1b[31mway " + "x" * 500
    with server(lambda _: JSONResponse({"message": text}, 403), clock) as client:
        with pytest.raises(ForgeRefusedError) as told:
            client.get("/a", list[int])
        assert told.value.message.startswith("The forge answers 403 to GET /a: no  [31mway xxx")
        assert len(told.value.message) < 150
        assert told.value.hint
    with server(lambda request: JSONResponse({"message": request.headers["authorization"]}, 422), clock) as client:
        with pytest.raises(ForgeRefusedError) as told:
            client.get("/a", list[int])
        assert TOKEN not in told.value.message


def test_the_token_is_in_no_error_and_no_log(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    shown = []
    for token in (f"{TOKEN}\nx: y", f"{TOKEN}\x00", TOKEN, f"{TOKEN}ü"):
        with server(lambda _: JSONResponse({}, 500), clock, token) as client, pytest.raises(ForgeError) as told:
            client.get("/a", list[int])
        error: BaseException | None = told.value
        while error is not None:
            shown.append(repr(error))
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert TOKEN not in "".join(shown) + caplog.text
    assert "can't be sent" in shown[0]


def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path, clock: Clock) -> None:
    certificate, key = self_signed(tmp_path)
    asked = []

    async def endpoint(request: Request) -> Response:
        asked.append(request.url.path)
        return JSONResponse([])

    app = Starlette(routes=[Route("/{path:path}", endpoint)])
    with serving(app, certificate=certificate, key=key) as url:
        client = client_of(url, clock)
        with pytest.raises(ForgeUnavailableError, match=r"can't be reached at .*CERTIFICATE_VERIFY_FAILED"):
            client.get("/a", list[int])
        client.close()
    assert asked == []


def test_a_token_that_is_replaced_counts_at_the_next_request(standin: Standin, clock: Clock) -> None:
    tokens = iter([b"an old one", standin.token().reveal()])
    forge = connect("github", standin.name, standin.url, lambda: SecretValue(next(tokens)), clock.pace())
    with pytest.raises(ForgeRefusedError, match="401"):
        forge.pull_request(1)
    assert forge.pull_request(1).number == 1
    forge.close()


def test_a_connection_that_breaks_off_is_an_outage(clock: Clock) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        count = []

        def hang_up() -> None:
            for _ in range(ATTEMPTS):
                link, _ = listening.accept()
                count.append(link.recv(100))
                link.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n[")
                link.close()

        thread = threading.Thread(target=hang_up, daemon=True)
        thread.start()
        client = client_of(f"http://127.0.0.1:{listening.getsockname()[1]}", clock)
        with pytest.raises(ForgeUnavailableError, match="broke off"):
            client.get("/a", list[int])
        client.close()
        thread.join(20)
    assert len(count) == ATTEMPTS


def self_signed(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    certificate, private = folder / "certificate.pem", folder / "key.pem"
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return certificate, private
