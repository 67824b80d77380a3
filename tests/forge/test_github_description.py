"""Every request for GitHub against GitHub's own description, by a server that validates them (Prism)."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from gitopsd.forge.connect import connect
from gitopsd.forge.forge import CommitStatus, Forge, PullRequest
from gitopsd.model.secret import SecretValue
from tests.forge.conftest import AT_ONCE
from tests.forge.description import query_names
from tests.forge.npm_packages import DESCRIPTION, npm_packages, prism
from tests.forge.standin import forge_standin
from tests.operator import eventually
from tests.ports import free_port

COMMIT = "6dcb09b5b57875f334f61aebed695e2e4193db5e"
MARKER = "<!-- gitopsd -->"


class Served:
    """Prism, and what it says of each request."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self._log = log

    @property
    def violations(self) -> list[str]:
        return [line for line in self._log.read_text().splitlines() if "Violation: request" in line]

    @property
    def requests(self) -> int:
        return self._log.read_text().count("Request received")


@pytest.fixture(scope="module")
def packages() -> Path:
    return npm_packages()


@pytest.fixture(scope="module")
def github(packages: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    port, log = free_port(), tmp_path_factory.mktemp("prism") / "log"
    command = [*prism(packages), "mock", "--host", "127.0.0.1", "--port", str(port), DESCRIPTION]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=packages, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            eventually("Prism listens", lambda: "Prism is listening" in log.read_text() or process.poll() is not None)
            assert process.poll() is None, log.read_text()
            yield Served(f"http://127.0.0.1:{port}", log)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def forge(github: Served) -> Iterator[Forge]:
    with closing(connect("github", "acme/fleet", github.url, lambda: SecretValue(b"token"), AT_ONCE)) as forge:
        yield forge


@pytest.fixture
def pull_request(forge: Forge) -> PullRequest:
    return forge.pull_request(7)


def test_every_request_is_as_described_and_every_example_is_understood(
    github: Served, forge: Forge, pull_request: PullRequest
) -> None:
    assert re.fullmatch("[0-9a-f]{40}", pull_request.head_commit)
    assert forge.open_pull_requests()
    assert pull_request.url.startswith("https://github.com/")
    assert forge.merged_pull_request(COMMIT, "main") is None
    assert forge.open_pull_request("rollback", "main", "Return to deployment 1", "why").number
    assert forge.changed_files(7).paths
    assert isinstance(forge.approvals(pull_request), tuple)
    assert forge.upsert_comment(7, MARKER, f"{MARKER} the plan")
    status = CommitStatus(context="gitopsd/plan/production", state="success", description="3 jobs", target="https://x")
    assert forge.set_status(COMMIT, status)
    assert forge.set_status(COMMIT, CommitStatus(context="other", state="pending", description=""))
    assert github.requests >= 10
    assert github.violations == []


def test_the_server_does_validate(github: Served) -> None:
    headers = {"authorization": "Bearer token"}
    root = f"{github.url}/api/v3/repos/acme/fleet"
    assert httpx.get(f"{root}/pulls", params={"state": "opened"}, headers=headers).status_code == 422
    wrong: list[dict[str, Any]] = [{"state": "done"}, {"state": "success", "colour": "green"}, {}]
    for body in wrong:
        assert httpx.post(f"{root}/statuses/{COMMIT}", json=body, headers=headers).status_code == 422
    assert httpx.get(f"{root}/merge_requests", headers=headers).status_code == 404


def test_nothing_is_sent_in_a_query_that_is_not_described(packages: Path, tmp_path: Path) -> None:
    document = json.loads((packages / DESCRIPTION).read_bytes())
    patterns = {path: re.compile(re.sub(r"\{\w+\}", "[^/]+", path)) for path in document["paths"]}
    with (
        forge_standin("github", tmp_path) as standin,
        closing(connect("github", standin.name, standin.url, standin.token, AT_ONCE)) as forge,
    ):
        head = standin.commit("feature", {"a": "1"})
        number = forge.open_pull_request("feature", "main", "A change", "why").number
        forge.open_pull_requests()
        forge.approvals(forge.pull_request(number))
        forge.changed_files(number)
        for text in ("one", "two"):
            forge.upsert_comment(number, MARKER, f"{MARKER}{text}")
        forge.set_status(head, CommitStatus(context="c", state="success", description="d"))
        forge.merged_pull_request(standin.merge(number), "main")
    used = set()
    for one in standin.requests:
        (path,) = (path for path, pattern in patterns.items() if pattern.fullmatch(one.path))
        assert set(one.query) <= query_names(document, one.method.lower(), path)
        used.add((one.method.lower(), path))
    described = {(method, path) for path, methods in document["paths"].items() for method in methods}
    assert used == described, "the description is cut down to what is used"
