"""Deliveries by themselves: whose they are, and what they hint at."""

import hmac
import json
import random
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from gitopsd.forge.forge import ForgeKind
from gitopsd.forge.webhook import LARGEST, Hint, NotUnderstoodError, hints, is_named, is_signed
from gitopsd.model.secret import SecretValue
from tests.forge.conftest import KINDS
from tests.forge.npm_packages import npm_packages
from tests.forge.standin.deliveries import signed

SECRET = "a secret of this test"  # noqa: S105
BOTH = frozenset({Hint.BRANCHES, Hint.PULL_REQUESTS})
PUSHES = {"github": "push", "gitlab": "Push Hook", "gitea": "push", "forgejo": "push"}


def proves(kind: ForgeKind, headers: dict[str, str], body: bytes, secret: str = SECRET) -> bool:
    return is_named(kind, headers) and is_signed(kind, headers, body, SecretValue(secret.encode()))


def push_to(name: str) -> bytes:
    return json.dumps({"repository": {"full_name": name}, "project": {"path_with_namespace": name}}).encode()


@pytest.mark.parametrize("kind", KINDS)
def test_a_delivery_is_known_by_the_secret(kind: ForgeKind) -> None:
    body = push_to("acme/fleet")
    headers = signed(kind, PUSHES[kind], body, SECRET)
    assert proves(kind, headers, body)
    assert hints(kind, headers, body, "Acme/Fleet") == BOTH
    assert not proves(kind, headers, body, SECRET + "x")
    assert not proves(kind, signed(kind, PUSHES[kind], body, ""), body)
    assert not proves(kind, {"x-github-event": "push"}, body)
    for name in ("x-hub-signature-256", "x-gitlab-token", "x-gitea-signature", "x-forgejo-signature"):
        for value in ("", "sha256=", "é", "0" * 64, "sha256=" + "0" * 64):
            assert not proves(kind, {name: value}, body)


@pytest.mark.parametrize("kind", KINDS)
def test_what_concerns_another_repository_or_nothing_of_ours_is_no_hint(kind: ForgeKind) -> None:
    body = push_to("acme/fleet")
    headers = signed(kind, PUSHES[kind], body, SECRET)
    assert hints(kind, headers, push_to("acme/fleet-2"), "acme/fleet") == frozenset()
    assert hints(kind, headers, b"{}", "acme/fleet") == frozenset()
    assert hints(kind, signed(kind, "star", body, SECRET), b"not even JSON", "acme/fleet") == frozenset()
    assert hints(kind, {}, body, "acme/fleet") == frozenset()


@pytest.mark.parametrize("body", [b"", b"[", b"[]", b"\xff", b'{"repository": 7, "project": 7}', b"[" * 100_000])
@pytest.mark.parametrize("kind", KINDS)
def test_a_body_that_is_none_is_said_so(kind: ForgeKind, body: bytes) -> None:
    with pytest.raises(NotUnderstoodError, match="not that of an event"):
        hints(kind, signed(kind, PUSHES[kind], body, SECRET), body, "acme/fleet")


@pytest.fixture(scope="module")
def examples() -> list[tuple[str, bytes]]:
    """Event and body of each of GitHub's own examples."""
    index = npm_packages() / "node_modules/@octokit/webhooks-examples/api.github.com/index.json"
    events: list[dict[str, Any]] = json.loads(index.read_bytes())
    found = [(one["name"], json.dumps(example).encode()) for one in events for example in one["examples"]]
    assert len(found) > 300
    return found


def repository_of(body: bytes) -> str:
    return str(json.loads(body).get("repository", {}).get("full_name", "acme/fleet"))


def test_every_example_of_github_is_judged_by_its_event(examples: list[tuple[str, bytes]]) -> None:
    hinting: dict[str, frozenset[Hint]] = {}
    for event, body in examples:
        headers = signed("github", event, body, SECRET)
        assert len(body) <= LARGEST
        assert proves("github", headers, body)
        found = hints("github", headers, body, repository_of(body))
        assert hints("github", headers, body, "somebody/else") == frozenset()
        if found:
            hinting[event] = found
    assert hinting == {"push": BOTH, "pull_request": BOTH, "pull_request_review": frozenset({Hint.PULL_REQUESTS})}


def mutations(body: bytes, chance: random.Random) -> Iterator[bytes]:
    """Bits flipped, ends cut off, bytes swapped, put in and said twice."""
    for _ in range(3):
        flipped = bytearray(body)
        flipped[chance.randrange(len(body))] ^= 1 << chance.randrange(8)
        yield bytes(flipped)
    yield body[: chance.randrange(len(body))]
    yield body[chance.randrange(1, len(body)) :]
    yield body.replace(b'"repository": {', b'"repository": [', 1).replace(b'"action"', b'"actions"', 1) + b"]"
    yield body + body
    at = chance.randrange(len(body))
    yield body[:at] + chance.randbytes(5) + body[at:]


def test_no_mutated_example_passes_for_a_signed_one_nor_breaks_what_reads_it(
    examples: list[tuple[str, bytes]],
) -> None:
    chance = random.Random(7)  # noqa: S311 - the same each time
    understood = 0
    for event, body in examples:
        headers = signed("github", event, body, SECRET)
        for mutated in mutations(body, chance):
            assert not proves("github", headers, mutated)
            try:  # as if somebody had signed it all the same
                found = hints("github", headers, mutated, repository_of(body))
            except NotUnderstoodError:
                continue
            understood += 1
            assert found <= BOTH
    assert understood > 500


def test_a_signature_of_another_body_event_or_algorithm_proves_nothing(examples: list[tuple[str, bytes]]) -> None:
    (_, one), (_, other) = examples[0], examples[1]
    digest = hmac.new(SECRET.encode(), one, sha256).hexdigest()
    assert proves("github", {"x-hub-signature-256": f"sha256={digest}"}, one)
    for wrong in (digest, f"sha1={digest}", f"sha256={digest.upper()}", f"sha256={digest}0", f" sha256={digest}"):
        assert not proves("github", {"x-hub-signature-256": wrong}, one)
    assert not proves("github", {"x-hub-signature-256": f"sha256={digest}"}, other)
    assert not proves("github", {"x-hub-signature": f"sha256={digest}"}, one)


def test_examples_come_from_the_pinned_package() -> None:
    package = npm_packages() / "node_modules/@octokit/webhooks-examples/package.json"
    wanted = json.loads((Path(__file__).parent / "npm/package.json").read_bytes())["dependencies"]
    assert json.loads(package.read_bytes())["version"] == wanted["@octokit/webhooks-examples"]
