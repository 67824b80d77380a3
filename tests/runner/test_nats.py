"""What only `nats` channels have: a server that may be away, full, changed, or particular about who it lets in."""

from __future__ import annotations

import asyncio
import random
import subprocess
import time
from typing import TYPE_CHECKING, Any

import pytest
from nats.aio.client import Client
from nats.js.api import ConsumerConfig

from gitopsd.runner.job import Context, Job
from gitopsd.runner.report import Reporter
from gitopsd.runner.settings import Settings
from gitopsd.runner.transports.nats import session as sessions
from gitopsd.runner.transports.nats import stream as streams
from gitopsd.runner.transports.nats.consumer import NatsInput
from gitopsd.runner.transports.nats.producer import NatsOutput
from gitopsd.runner.transports.nats.stream import WANTED, Seen, Stream
from tests.cut_connections import Proxy
from tests.nats_server import cluster
from tests.runner.station import events, numbers, until
from tests.runner.transports.nats import Nats
from tests.runner.transports.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    from tests.runner.station import Station

LOGIN = "gitopsd:not-to-be-seen"


def ask(url: str, question: Callable[[Any], Awaitable[Any]]) -> Any:
    """What the JetStream at `url` answers."""

    async def run() -> Any:
        client = Client()
        await client.connect(servers=[url])
        try:
            return await question(client.jetstream())
        finally:
            await client.close()

    return asyncio.run(run())


def stored(nats: Nats, channel: str = "c") -> int:
    """Messages in the channel's stream; 0 where there is none yet."""
    streams_there = ask(nats.server.url, lambda js: js.streams_info())
    return sum(one.state.messages for one in streams_there if one.config.name == f"test_{channel}")


def consumer_of(nats: Nats, step: str) -> Any:
    return ask(nats.server.url, lambda js: js.consumer_info("test_c", step))


def test_what_every_step_has_had_is_not_kept(station: Station, nats: Nats) -> None:
    station.put("a.jsonl", events(100_000))
    first = station.start(station.writes([nats.input("first")], job="o.first.0"))
    assert station.start(station.reads([nats.output({"first": 1, "second": 1})])).finish() == 0
    until(lambda: len(station.lines("o.first.0")) == 100_000, first)
    assert stored(nats) > 0, "the second step hasn't had it"
    second = station.start(station.writes([nats.input("second")], job="o.second.0"))
    until(lambda: len(station.lines("o.second.0")) == 100_000 and not stored(nats), first, second)


def test_all_that_start_at_once_agree_on_one_stream(station: Station, nats: Nats) -> None:
    station.put("a.jsonl", events(2000))
    steps = {"first": 3, "second": 1}
    replicas = [(step, replica) for step, count in steps.items() for replica in range(count)]
    consumers = [
        station.start(station.writes([nats.input(step, replica, steps[step])], job=f"o.{step}.{replica}"))
        for step, replica in replicas
    ]
    jobs = [f"o.collect.{number}" for number in range(4)]
    producers = [station.start(station.reads([nats.output(steps, producer=job)], job=job)) for job in jobs]
    assert [producer.finish() for producer in producers] == [0] * 4
    until(lambda: all(len(station.lines(f"o.{step}.*")) == 8000 for step in steps), *consumers)
    assert all("waiting" not in process.said() for process in [*consumers, *producers])


def test_options_that_changed_since_are_the_streams(station: Station, nats: Nats) -> None:
    for options in ({"max_bytes": 10_000_000, "max_age": 3600.0}, {"max_age": 60.0}):
        nats.options = options
        station.put("a.jsonl", events(10))
        assert station.start(station.reads([nats.output({"deliver": 1})])).finish() == 0
        config = ask(nats.server.url, lambda js: js.stream_info("test_c")).config
        assert (config.max_bytes, config.max_age) == (options.get("max_bytes", -1), options["max_age"])
        assert config.duplicate_window == min(120, options["max_age"])


def test_a_producer_waits_while_the_stream_is_full(station: Station, nats: Nats) -> None:
    nats.options = {"max_bytes": 1_000_000}
    station.put("a.jsonl", events(100_000))
    producer = station.start(station.reads([nats.output({"deliver": 1})]))
    until(lambda: "maximum bytes exceeded" in producer.said(), producer)
    consumer = station.start(station.writes([nats.input("deliver")]))
    assert producer.finish() == 0
    until(lambda: set(numbers(station.lines())) == set(range(100_000)), consumer)


def test_a_stream_that_was_removed_by_hand_is_made_anew(station: Station, nats: Nats) -> None:
    log = station.put("a.log", events(10))
    producer = station.start(station.reads([nats.output({"deliver": 1})], mode="tail"))
    consumer = station.start(station.writes([nats.input("deliver")]))
    until(lambda: len(station.lines()) == 10, producer, consumer)
    ask(nats.server.url, lambda js: js.delete_stream("test_c"))
    with log.open("ab") as file:
        file.write(events(10, start=10))
    until(lambda: numbers(station.lines()) == list(range(20)), producer, consumer)


def test_jobs_that_start_without_a_server_wait_for_it(station: Station, nats: Nats) -> None:
    nats.server.kill()
    station.put("a.jsonl", events(10))
    producer = station.start(station.reads([nats.output({"deliver": 1})]))
    consumer = station.start(station.writes([nats.input("deliver")]))
    until(lambda: "waiting for the NATS servers of c" in producer.said(), producer, consumer)
    nats.server.start()
    assert producer.finish() == 0, producer.said()
    until(lambda: numbers(station.lines()) == list(range(10)), consumer)


def test_a_slow_consumer_is_left_what_it_is_at(station: Station, nats: Nats) -> None:
    """What it reads from stands still for longer than `ack_wait`; all of it comes once."""
    nats.options = {"ack_wait": 2}
    station.put("a.jsonl", events(20_000))
    assert station.start(station.reads([nats.output({"relay": 2})])).finish() == 0
    channel = Worker(station)
    relays = [
        station.runner(f"o.relay.{n}", "relay", inputs=[nats.input("relay", n, 2)], outputs=[channel.output({"d": 1})])
        for n in range(2)
    ]
    running = [station.start(job) for job in relays]

    def is_delivered() -> bool:
        info = consumer_of(nats, "relay")
        return bool(info.num_pending == 0 and info.num_ack_pending > 0)

    until(is_delivered, *running)
    since = consumer_of(nats, "relay")
    asyncio.run(asyncio.sleep(4.5))
    info = consumer_of(nats, "relay")
    assert info.num_redelivered == 0
    assert info.delivered.consumer_seq == since.delivered.consumer_seq
    writer = station.start(station.writes([channel.input("d")]))
    until(lambda: len(station.lines()) == 20_000, writer, *running)
    assert sorted(numbers(station.lines())) == list(range(20_000))


def test_connections_that_break_make_nothing_come_twice(station: Station, nats: Nats) -> None:
    """Between jobs and server that live on: what is sent or delivered again is known by its id, or by its number."""
    proxy = Proxy(nats.server.port)
    nats.options = {"servers": [f"nats://127.0.0.1:{proxy.port}"]}
    station.put("a.jsonl", events(400_000, filler=180))
    choose = random.Random(7)  # noqa: S311 -- to repeat, not to hide
    producer = station.start(station.reads([nats.output({"deliver": 1})]))
    consumer = station.start(station.writes([nats.input("deliver")]))
    cut = 0
    while producer.poll() is None and len(station.written()) < 80_000_000:
        time.sleep(choose.uniform(0.02, 0.3))
        cut += proxy.cut()
    until(lambda: len(station.lines()) >= 400_000, consumer)
    assert consumer.stop() == 0
    assert cut > 3
    assert sorted(numbers(station.lines())) == list(range(400_000))
    assert "Task" not in producer.said() + consumer.said(), "the client's own noise is for nobody"
    proxy.close()


def test_a_write_is_safe_when_all_of_its_messages_are(station: Station, nats: Nats) -> None:
    """The servers may store the last one first: the others were refused, or lost with the stream's leader."""
    described = Settings(nats.output({"deliver": 1}), "end")
    job = Job("o.collect.0", "relay", described, {}, {}, station.root, station.root)

    async def scene() -> list[bool]:
        output = NatsOutput(described, Context(job, lambda work: work.close(), Reporter("o.collect.0")))
        receipt = await output.write(events(20_000))
        messages = []
        while output._pieces:
            messages.append(output._gather(256 * 1024))
        assert len(messages) > 2
        done = []
        for number in reversed(messages):
            output._stored(number)
            done.append(receipt.done())
        return done

    *early, last = asyncio.run(scene())
    assert not any(early)
    assert last


def test_an_event_longer_than_the_servers_take_waits_and_says_so(station: Station, nats: Nats) -> None:
    station.put("a.jsonl", b'{"n":0}\n"' + b"x" * (8 * 1024 * 1024) + b'"\n{"n":1}\n')
    producer = station.start(station.reads([nats.output({"deliver": 1})]))
    until(lambda: "raise max_payload" in producer.said(), producer)
    assert producer.stop() == 0
    assert "will be delivered again" in producer.said()


def test_a_job_stopped_with_work_in_hand_gives_it_back_at_once(station: Station, nats: Nats) -> None:
    nats.options = {"ack_wait": 600}
    station.put("a.jsonl", events(20_000))
    assert station.start(station.reads([nats.output({"deliver": 1})])).finish() == 0
    away = Worker(station)
    relay = station.runner("o.relay.0", "relay", inputs=[nats.input("deliver")], outputs=[away.output({"d": 1})])
    first = station.start(relay)
    until(lambda: consumer_of(nats, "deliver").num_ack_pending > 0, first)
    assert first.stop() == 0
    second = station.start(station.writes([nats.input("deliver")]))
    until(lambda: set(numbers(station.lines())) == set(range(20_000)), second)


def test_the_consumer_of_a_step_that_is_gone_goes_and_what_it_kept_is_told(
    nats: Nats, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not before nobody who knows it was there for long; one that was made by hand stays."""
    stream = Stream.of(Settings(nats.output({"deliver": 1}), "end"))
    seen: dict[str, Seen] = {}

    async def look(js: Any) -> list[str]:
        await stream.remove_left(js, {"deliver": 1}, seen, Reporter("o.collect.0"))
        return sorted(one.name for one in await js.consumers_info("test_c"))

    async def scene(js: Any) -> list[list[str]]:
        await stream.ensure(js)
        await stream.ensure_consumers(js, {"deliver": 1, "gone": 1})
        await js.add_consumer("test_c", ConsumerConfig(durable_name="hand"))
        await js.publish(stream.subject, b"1\n")
        deadline = time.monotonic() + 20
        while not (await js.consumer_info("test_c", "gone")).num_pending:
            assert time.monotonic() < deadline, "the event came to no consumer"
            await asyncio.sleep(0.01)
        early = await look(js)
        monkeypatch.setattr(streams, "SETTLED", 0.0)
        return [early, await look(js)]

    assert ask(nats.server.url, scene) == [["deliver", "gone", "hand"], ["deliver", "hand"]]
    said = capsys.readouterr().err
    assert "keeps 1 batches for gone" in said
    assert "1 batches of the stream test_c are dropped: gone" in said


def test_the_consumer_of_a_step_that_somebody_knows_stays(nats: Nats, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a producer of an earlier release, which hasn't heard of it yet, while it has nothing to do."""
    stream = Stream.of(Settings(nats.output({"deliver": 1}), "end"))
    seen: dict[str, Seen] = {}
    monkeypatch.setattr(streams, "SETTLED", 1e-9)  # whatever is looked at twice is gone, if nothing was said meanwhile

    async def scene(js: Any) -> list[list[str]]:
        await stream.ensure(js)
        found = []
        for said_again in (True, False):
            await js.add_consumer("test_c", ConsumerConfig(durable_name="back", metadata={WANTED: "1"}))
            await stream.remove_left(js, {"deliver": 1}, seen, Reporter("o.collect.0"))
            if said_again:
                await stream.ensure_consumers(js, {"back": 1})
            await stream.remove_left(js, {"deliver": 1}, seen, Reporter("o.collect.0"))
            found.append([one.name for one in await js.consumers_info("test_c")])
        return found

    assert ask(nats.server.url, scene) == [["back"], []]


def test_an_end_says_again_that_it_knows_its_step(
    station: Station, nats: Nats, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "WANTED_SECONDS", 0.5)
    described = Settings(nats.input("deliver"), "end")

    async def scene(js: Any) -> None:
        work: list[asyncio.Future[None]] = []
        job = Job("o.deliver.0", "relay", described, {}, {}, station.root, station.root)
        context = Context(job, lambda one: work.append(asyncio.ensure_future(one)), Reporter(job.name))
        end = NatsInput(described, context)
        await end.open()
        try:
            config = ConsumerConfig(durable_name="deliver", ack_wait=3, max_ack_pending=256, metadata={WANTED: "1"})
            await js.add_consumer("test_c", config)
            deadline = time.monotonic() + 20
            while (await js.consumer_info("test_c", "deliver")).config.metadata[WANTED] == "1":
                assert time.monotonic() < deadline, "it was never said again"
                await asyncio.sleep(0.1)
        finally:
            for one in work:
                one.cancel()
            await end.close()

    ask(nats.server.url, scene)


class TestLogin:
    @pytest.fixture
    def guarded(self, station: Station, tmp_path: Path) -> Iterator[Nats]:
        """A server that wants a login over TLS, with an authority of its own and a certificate of the client."""
        certificates(tmp_path)
        more = (
            "authorization { users: [{user: gitopsd, password: not-to-be-seen, permissions: {\n"
            'publish: ["gitopsd.>", "$JS.API.>", "$JS.ACK.>"], subscribe: ["_INBOX.>"]}}] }\n'
            f'tls {{ cert_file: "{tmp_path}/server.pem", key_file: "{tmp_path}/server.key", '
            f'ca_file: "{tmp_path}/authority.pem", verify: true }}\n'
        )
        nats = Nats(station, more=more)
        secrets = tmp_path / "credentials"
        secrets.mkdir()
        (secrets / "login").write_text(LOGIN + "\n")
        (secrets / "ca").write_bytes((tmp_path / "authority.pem").read_bytes())
        (secrets / "own").write_bytes((tmp_path / "client.pem").read_bytes() + (tmp_path / "client.key").read_bytes())
        station.environment["CREDENTIALS_DIRECTORY"] = str(secrets)
        nats.options = {
            "servers": [f"tls://localhost:{nats.server.port}"],
            "credentials": "login",
            "authority": "ca",
            "certificate": "own",
        }
        yield nats
        nats.close()

    def test_secrets_let_a_job_in(self, every_python: Station, guarded: Nats) -> None:
        station = every_python
        station.put("a.jsonl", events(10))
        producer = station.start(station.reads([guarded.output({"deliver": 1})]))
        assert producer.finish() == 0, producer.said()
        consumer = station.start(station.writes([guarded.input("deliver")]))
        until(lambda: len(station.lines()) == 10, consumer)

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"credentials": "wrong"}, "Authorization Violation"),
            ({"authority": ""}, "certificate verify failed"),
            ({"certificate": "ca"}, "the secret ca isn't what TLS needs"),
            ({"credentials": "missing"}, "cannot read the secret"),
        ],
    )
    def test_a_job_that_is_not_let_in_fails_and_says_why(
        self, station: Station, guarded: Nats, tmp_path: Path, change: dict[str, str], said: str
    ) -> None:
        (tmp_path / "credentials" / "wrong").write_text("gitopsd:not-to-be-seen-either")
        guarded.options = {**guarded.options, **change}
        station.put("a.jsonl", events(10))
        producer = station.start(station.reads([guarded.output({"deliver": 1})]), GITOPSD_DEBUG="1")
        assert producer.finish() == 1
        assert said in producer.said()
        assert "not-to-be-seen" not in producer.said()

    def test_a_login_is_never_sent_in_the_clear_where_tls_is_asked_for(self, station: Station, tmp_path: Path) -> None:
        """The server's trace shows what was said to it."""
        nats = Nats(station, more="trace: true\n")
        try:
            (tmp_path / "login").write_text(LOGIN)
            address = nats.server.url.removeprefix("nats://")
            station.put("a.jsonl", events(10))
            for scheme, code in (("tls", 1), ("nats", 0)):
                nats.options = {"servers": [f"{scheme}://{address}"], "credentials": "login"}
                read = station.reads([nats.output({"deliver": 1})], job=f"o.{scheme}.0")
                producer = station.start(read, CREDENTIALS_DIRECTORY=str(tmp_path))
                assert producer.finish() == code
                assert ("the server doesn't ask for TLS" in producer.said()) == (scheme == "tls")
                assert ("CONNECT {" in nats.server.log.read_text()) == (scheme == "nats")
        finally:
            nats.close()


def test_a_cluster_of_three_survives_the_loss_of_one(station: Station, tmp_path: Path) -> None:
    """One is killed and started again, then another, while events pass."""
    servers = cluster(tmp_path)
    nats = Nats(station, server=servers[0])
    try:
        nats.options = {"servers": [server.url for server in servers], "copies": 3}
        log = station.put("a.log", events(1000))
        producer = station.start(station.reads([nats.output({"deliver": 1})], mode="tail"))
        consumer = station.start(station.writes([nats.input("deliver")]))
        until(lambda: len(set(station.lines())) == 1000, producer, consumer)
        for number, server in enumerate(servers[:2], start=1):
            server.kill()
            with log.open("ab") as file:
                file.write(events(50_000, start=number * 100_000))
            expected = 1000 + number * 50_000
            until(lambda expected=expected: len(set(station.lines())) == expected, producer, consumer)  # type: ignore[misc]
            server.start()
        assert [producer.stop(), consumer.stop()] == [0, 0]
        assert len(station.lines()) - len(set(station.lines())) <= 3 * nats.most_repeated
    finally:
        for server in servers:
            server.kill()


def certificates(directory: Path) -> None:
    """An authority, and certificates of it for the server `localhost` and for a client."""
    run = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    run += ["-addext", "keyUsage=critical,digitalSignature,keyCertSign"]  # which Python 3.13 insists on
    authority = ["-CA", f"{directory}/authority.pem", "-CAkey", f"{directory}/authority.key"]
    for name, more in (
        ("authority", ["-addext", "basicConstraints=critical,CA:true", "-subj", "/CN=authority"]),
        ("server", [*authority, "-addext", "subjectAltName=DNS:localhost", "-subj", "/CN=localhost"]),
        ("client", [*authority, "-subj", "/CN=gitopsd"]),
    ):
        files = ["-keyout", f"{directory}/{name}.key", "-out", f"{directory}/{name}.pem", "-days", "2"]
        subprocess.run([*run, *files, *more], check=True, capture_output=True)
