"""Commands as whole processes, as they are where gitopsd is installed: their byte code is cached."""

import os
from pathlib import Path


def environment(home: Path, **more: str) -> dict[str, str]:
    """That of a process whose home, state and caches lie below `home`."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    folders = {"HOME": home, "XDG_STATE_HOME": home / "state", "XDG_CACHE_HOME": home / "cache"}
    return {
        **kept,
        **{name: str(folder) for name, folder in folders.items()},
        "PYTHONPYCACHEPREFIX": str(home / "bytecode"),
        **more,
    }
