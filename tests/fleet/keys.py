"""SSH keys, made before a machine boots so that its host key can be pinned from the first connection on."""

from pathlib import Path

from tests.fleet.commands import execute


def generate(private: Path, *, comment: str) -> str:
    """Write an ed25519 key pair; the public half without its comment: `ssh-ed25519 AAAA...`."""
    private.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    execute(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", str(private)])
    return public_half(private)


def public_half(private: Path) -> str:
    kind, key, *_ = private.with_name(private.name + ".pub").read_text().split()
    return f"{kind} {key}"
