from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import paramiko
import pytest

from gitopsd.fleet.host_key import HostKey, HostKeyRefused, PinnedKeyPolicy, parse_host_key

if TYPE_CHECKING:
    from pathlib import Path

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEzf5DnilMTMFmXZHocs3czRnL3FNCSPKK0OxDFU5HBJ"


def made(directory: Path, kind: str) -> str:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(directory / kind)], check=True)
    return (directory / f"{kind}.pub").read_text()


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_key_has_the_fingerprint_that_ssh_keygen_prints(tmp_path: Path, kind: str) -> None:
    text = made(tmp_path, kind)
    key = parse_host_key(text)
    assert key is not None
    printed = subprocess.run(
        ["ssh-keygen", "-lf", str(tmp_path / f"{kind}.pub")], capture_output=True, text=True, check=True
    )
    assert key.fingerprint == printed.stdout.split()[1]
    assert text.startswith(key.line)


@pytest.mark.parametrize(
    "text",
    ["", "ssh-ed25519", "ssh-ed25519 not!base64", "ssh-rsa " + KEY.split()[1], "ssh-ed25519 AAAA", f"{KEY}x", "\0 \0"],
)
def test_what_is_not_a_public_key_is_not_taken_for_one(text: str) -> None:
    assert parse_host_key(text) is None


def test_only_the_pinned_key_is_accepted() -> None:
    pinned = parse_host_key(KEY)
    other = paramiko.RSAKey.generate(2048)
    policy = PinnedKeyPolicy(pinned)
    with pytest.raises(HostKeyRefused) as refused:
        policy.missing_host_key(paramiko.SSHClient(), "edge-1", other)
    assert refused.value.offered == HostKey("ssh-rsa", other.asbytes())
    assert policy.accepted is False
    with pytest.raises(HostKeyRefused):
        PinnedKeyPolicy(None).missing_host_key(paramiko.SSHClient(), "edge-1", other)
    fitting = PinnedKeyPolicy(HostKey("ssh-rsa", other.asbytes()))
    fitting.missing_host_key(paramiko.SSHClient(), "edge-1", other)
    assert fitting.accepted
