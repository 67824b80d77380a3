from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import httpx

from gitopsd.daemon.configuration.configuration import (
    Configuration,
    ListenConfiguration,
    NotifyConfiguration,
    NotifyUrl,
)
from gitopsd.daemon.controller.heartbeat import Heartbeats
from gitopsd.daemon.controller.onlookers.event_log import log_sink
from gitopsd.daemon.controller.onlookers.metrics import Asked
from gitopsd.daemon.controller.onlookers.onlookers import onlookers
from tests.daemon.controller import samples
from tests.daemon.controller.test_web import answers
from tests.operator import eventually
from tests.ports import free_port

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from gitopsd.daemon.controller.events import Event, Said

NOT_FOR_OTHERS = ("starlette", "uvicorn", "httpx", "prometheus_client", "logging_journald")


def test_all_who_watch_are_told_and_may_speak_themselves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    port = free_port()
    configuration = Configuration(
        listen=ListenConfiguration(metrics=f"127.0.0.1:{port}"),
        notify=(NotifyConfiguration(url=NotifyUrl(file=str(tmp_path / "missing"))),),
    )
    said: list[Said] = []
    watching = onlookers(
        configuration,
        "a repository",
        hearts=Heartbeats(time.monotonic),
        asked=Asked(),
        say=said.append,
        log=log_sink("text", debug=False),
        look=lambda: None,
        look_at_pull_requests=lambda: None,
    )
    with watching as listeners:
        events: list[Event] = [samples.looked(), samples.committed()]
        for event in events:
            for listener in listeners:
                listener(event)
        eventually("it answers", lambda: answers(port))
        metrics = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=10).text
        assert 'gitopsd_deployment_number{environment="production"} 7.0' in metrics
        assert httpx.get(f"http://127.0.0.1:{port}/healthz", timeout=10).status_code == 200
    assert "deployment 7 (push): 0123456789ab" in capsys.readouterr().err
    eventually("nobody listens any more", lambda: not answers(port))


def test_other_commands_import_nothing_of_it() -> None:
    program = (
        "import json, sys\n"
        "from gitopsd.cli.main import COMMANDS, cli\n"
        "for name in COMMANDS.keys() - {'daemon'}: cli.get_command(None, name)\n"
        "import gitopsd.daemon.deploying.apply, gitopsd.daemon.deploying.reconcile\n"
        "import gitopsd.daemon.controller.control_socket.through\n"
        f"print(json.dumps([name for name in {NOT_FOR_OTHERS!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert json.loads(done.stdout) == []
