"""SSH keys and lists of signers, as people make them."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class SshKey:
    """`path` is the private key's file."""

    path: Path

    @property
    def public(self) -> str:
        return " ".join(self.path.with_suffix(".pub").read_text().split()[:2])


def make_key(folder: Path, name: str, *, kind: str = "ed25519", passphrase: str = "") -> SshKey:
    path = folder / name
    command = ["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", name, "-f", str(path)]
    subprocess.run(command, check=True, timeout=60)
    return SshKey(path=path)


def allow(file: Path, *lines: tuple[str, str, SshKey]) -> Path:
    """A list with (principal, options, key) on each line."""
    file.write_text("".join(f"{who} {options}{' ' if options else ''}{key.public}\n" for who, options, key in lines))
    return file


def signing_options(key: SshKey) -> tuple[str, ...]:
    """Options of `git` before `commit -S` or `merge -S`."""
    return ("-c", "gpg.format=ssh", "-c", f"user.signingKey={key.path}")
