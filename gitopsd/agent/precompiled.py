"""The agent's own bytecode, beside the agent: compiling its sources anew takes a third of each start.

A zip file of .pyc files that Python's own import system reads; one that is missing, broken or another
Python's is passed over for the sources.
"""

from __future__ import annotations

import importlib.util
import io
import sys
import zipfile
from pathlib import Path

from .durable import replace_file

_HEADER = importlib.util.MAGIC_NUMBER + b"\0" * 12  # PEP 552: no flags, a time stamp that nobody compares


def beside(script: str) -> Path:
    """Where the bytecode of an agent is for this version of Python; the agent's first lines look there."""
    return Path(f"{script}.{sys.implementation.cache_tag}.zip")


def write(script: str) -> None:
    """Compile every module of the agent; OSError when its directory can't be written."""
    import marshal  # noqa: PLC0415 -- both only once for each agent and worker

    buffer = io.BytesIO()
    with zipfile.ZipFile(script) as sources, zipfile.ZipFile(buffer, "w") as target:
        for name in sources.namelist():
            if "/" in name:
                code = compile(sources.read(name), name, "exec", dont_inherit=True)
                target.writestr(f"{name}c", _HEADER + marshal.dumps(code))
    replace_file(beside(script), buffer.getvalue())
