"""What a command imports: a person waits for it each time."""

import json
import subprocess
import sys

import pytest

CLIENTS = ["fabric", "invoke", "paramiko", "cryptography", "httpx"]


@pytest.mark.parametrize("command", ["check", "plan", "history", "status", "why", "apply"])
def test_no_command_loads_a_client_before_it_has_somebody_to_talk_to(command: str) -> None:
    program = (
        f"import json, sys, gitopsd.cli.{command}\n"
        f"print(json.dumps([name for name in {CLIENTS!r} if name in sys.modules]))"
    )
    printed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert json.loads(printed.stdout) == []
