"""Being let in by a key: what is signed, and who says what when a server doesn't want it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from gitopsd.runner.errors import JobError
from gitopsd.runner.transports.nats.login import login_of
from gitopsd.runner.transports.nats.nkey import UserKey
from tests.nats_keys import CREDS, Decentralised, Nkey
from tests.runner.station import events, numbers, until
from tests.runner.transports.nats import Nats

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.runner.station import Process, Station

NATS = Decentralised()
USER = Nkey("U")
WHOLE = NATS.creds(user=USER)
OTHER = NATS.creds()


def jwt_of(creds: str) -> str:
    return creds.splitlines()[1]


class Guarded(Nats):
    """A server that lets in by keys alone, and the secret that a job shows."""

    def __init__(self, station: Station, more: str) -> None:
        super().__init__(station, more=more)
        self.options = {"credentials": "key"}
        station.environment["CREDENTIALS_DIRECTORY"] = str(station.root)

    def show(self, text: str, name: str = "key") -> None:
        (self.station.root / name).write_text(text)


@pytest.fixture
def by_jwt(station: Station) -> Iterator[Guarded]:
    made = Guarded(station, NATS.configuration())
    yield made
    made.close()


def test_signatures_and_names_are_those_of_openssl() -> None:
    for length in range(20):
        theirs = Nkey("U")
        ours = UserKey(theirs.seed)
        assert ours.public == theirs.public
        nonce = "n" * length
        assert ours.sign(nonce).decode() == theirs.sign(nonce)


def test_a_creds_file_lets_a_job_in(every_python: Station, by_jwt: Guarded) -> None:
    station = every_python
    by_jwt.show(WHOLE.replace("\n", "\r\n"))
    station.put("a.jsonl", events(10))
    producer = station.start(station.reads([by_jwt.output({"deliver": 1})]))
    assert producer.finish() == 0, producer.said()
    consumer = station.start(station.writes([by_jwt.input("deliver")]))
    until(lambda: len(station.lines()) == 10, consumer)


def test_a_seed_lets_a_job_in(station: Station) -> None:
    nats = Guarded(station, f"authorization {{ users: [{{nkey: {USER.public}}}] }}\n")
    try:
        nats.show(USER.seed + "\n")
        station.put("a.jsonl", events(10))
        producer = station.start(station.reads([nats.output({"deliver": 1})]))
        assert producer.finish() == 0, producer.said()
        consumer = station.start(station.writes([nats.input("deliver")]))
        until(lambda: len(station.lines()) == 10, consumer)
    finally:
        nats.close()


def test_a_jwt_that_expires_is_said_and_a_new_one_goes_on(station: Station, by_jwt: Guarded) -> None:
    log = station.put("a.log", events(10))
    by_jwt.show(WHOLE, "lasting")
    consumer = station.start(station.writes([{**by_jwt.input("deliver"), "credentials": "lasting"}]))
    reads = station.reads([by_jwt.output({"deliver": 1})], mode="tail")

    def started(seconds: float) -> Process:
        """Events have passed, or it wasn't let in any more."""
        by_jwt.show(NATS.creds(expires=time.time() + seconds))
        process = station.start(reads)
        until(lambda: len(station.lines()) >= 10 or process.poll() is not None, consumer)
        return process

    runs = (started(seconds) for seconds in (2, 10, 30))  # longer where a busy machine was too slow
    producer = next(process for process in runs if process.poll() is None)
    until(lambda: "the JWT in the secret key expired on" in producer.said(), producer, consumer)
    assert "user authentication expired" in producer.said(), "at once, not among what is said rarely"
    with log.open("ab") as file:
        file.write(events(10, start=10))
    assert producer.stop() == 0
    by_jwt.show(WHOLE)
    again = station.start(reads)
    until(lambda: set(numbers(station.lines())) == set(range(20)), again, consumer)


@pytest.mark.parametrize(
    ("shown", "said"),
    [
        (NATS.creds(expires=time.time() - 3600), "the JWT in the secret key expired on 20"),
        (Decentralised().creds(), "Authorization Violation"),
        (USER.seed, "Authorization Violation"),
    ],
    ids=["expired", "of another operator", "a seed where a JWT is wanted"],
)
def test_a_job_that_is_not_let_in_fails_and_shows_nothing_of_its_secret(
    station: Station, by_jwt: Guarded, shown: str, said: str
) -> None:
    by_jwt.show(shown)
    station.put("a.jsonl", events(10))
    producer = station.start(station.reads([by_jwt.output({"deliver": 1})]), GITOPSD_DEBUG="1")
    assert producer.finish() == 1
    assert said in producer.said()
    hold_nothing_of(shown, producer.said())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "must be one line, or a .creds file; write USER:PASSWORD, a token"),
        ("gitopsd:first\nsecond", "must be one line"),
        (WHOLE[: WHOLE.index("***")], "has no USER NKEY SEED"),
        (WHOLE[WHOLE.index("***") :], "has no NATS USER JWT"),
        (WHOLE[: WHOLE.index("------END USER")], "has no USER NKEY SEED"),
        (CREDS.format(jwt=jwt_of(OTHER), seed=USER.seed), "the JWT of one user and the seed of another"),
        (CREDS.format(jwt=jwt_of(WHOLE)[:-150], seed=USER.seed), "a JWT that can't be read"),
        (CREDS.format(jwt="e30.bnVsbA.x", seed=USER.seed), "a JWT that can't be read"),
        (CREDS.format(jwt=jwt_of(WHOLE), seed=NATS.account.seed), "is that of an account; take a user's"),
        (NATS.account.seed, "is that of an account; take a user's"),
        (Nkey("O").seed, "is that of an operator; take a user's"),
        (USER.seed[:-1], "its checksum is wrong; copy it again"),
        (USER.seed[:20] + ("B" if USER.seed[20] == "A" else "A") + USER.seed[21:], "its checksum is wrong"),
        (CREDS.format(jwt=jwt_of(WHOLE), seed=USER.seed.lower()), "its checksum is wrong"),
        (CREDS.format(jwt=jwt_of(WHOLE), seed=USER.seed[:-1] + "É"), "its checksum is wrong"),
    ],
    ids=range(15),
)
def test_what_is_wrong_with_a_secret_is_said_without_it(text: str, said: str) -> None:
    with pytest.raises(JobError) as raised:
        login_of("key", text)
    assert said in raised.value.message
    assert "the secret key" in raised.value.message
    hold_nothing_of(text, raised.value.message)


def test_passwords_and_tokens_are_what_they_were() -> None:
    assert login_of("key", "gitopsd:SUPER:secret").options == {"user": "gitopsd", "password": "SUPER:secret"}
    for token in ("s3cret", "SUPERSECRET", "SUPERSECRET" * 10 + "1", jwt_of(WHOLE)):
        assert login_of("key", token).options == {"token": token}


def hold_nothing_of(secret: str, said: str) -> None:
    words = [word for word in secret.replace(".", " ").split() if len(word) > 20 and not word.startswith(("*", "-"))]
    assert not [word for word in words if word[5:17] in said]
