from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class Ended(NamedTuple):
    code: int
    stdout: str
    stderr: str


def run(command: Sequence[str], seconds: float, environment: Mapping[str, str] | None = None) -> Ended:
    """A command without stdin, at its end. OSError when it can't be run, TimeoutError, one of them, when it is slow.

    One that is too slow is killed; what it asked others for may go on.
    """
    import subprocess  # noqa: PLC0415 -- costs as much as a tenth of the agent's start, and is hardly ever needed

    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        raise TimeoutError(f"no answer within {seconds:.0f} s") from None
    return Ended(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
