"""Jobs that run and aren't ready: what `apply` says of them, and who tells why."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.nats_server import NatsServer
from tests.operator import Operator, eventually

COLLECT, DELIVER = "roundtrip.collect.0", "roundtrip.deliver.0"


@pytest.fixture
def server(operator: Operator, tmp_path: Path) -> Iterator[NatsServer]:
    """What the template's channel goes over; it lets one login in, the operator's secret."""
    server = NatsServer(tmp_path / "nats", more="authorization { user: gitopsd, password: right }")
    channel = {"transport": "nats", "servers": [server.url], "credentials": "nats_login"}
    workflow = (operator.folder / "workflows/roundtrip.yaml").read_text().partition("\nchannels:")[0]
    operator.write({"workflows/roundtrip.yaml": f"{workflow}\nchannels: {json.dumps({'collected': channel})}\n"})
    operator.commit("Over NATS")
    config = operator.home / ".config/gitopsd/config.yaml"
    config.parent.mkdir(parents=True)
    config.write_text(f"secrets: {{nats_login: {{file: {tmp_path / 'login'}}}}}\n")
    config.chmod(0o600)
    log_in_with(tmp_path, "right")
    server.start()
    yield server
    server.kill()


def log_in_with(folder: Path, password: str) -> None:
    (folder / "login").write_text(f"gitopsd:{password}\n")
    (folder / "login").chmod(0o600)


def test_a_job_whose_login_is_refused_fails_the_apply_and_not_only_its_log(
    operator: Operator, server: NatsServer, tmp_path: Path
) -> None:
    log_in_with(tmp_path, "wrong")
    failed = operator.run("apply", expect=None)
    assert failed.code not in (0, 4), failed.stdout
    assert "Authorization Violation" in failed.stdout + failed.stderr
    assert "converged" not in failed.stdout
    log_in_with(tmp_path, "right")
    operator.run("apply")
    assert {one["state"] for one in operator.run("workloads", "--json").json} == {"running"}
    server.kill()
    waiting = f"local-1/{DELIVER}: waiting for the NATS servers of "

    def tell() -> list[bool]:
        """Whether each of those that are asked names it."""
        shown = [operator.run("workloads"), operator.run("workloads", "--channels")]
        return [waiting in one.stderr for one in shown] + [waiting in operator.run("why", f"local-1/{DELIVER}").stdout]

    eventually("all name who is waited for", lambda: all(tell()))
