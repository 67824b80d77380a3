"""Controller side: the agent as one file, the same bytes from the same sources. Not part of what is sent."""

from __future__ import annotations

import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PACKAGE = "gitopsd_agent"
_NOT_SENT = ("bundle.py", "prepare.py")
# The first lines run on any Python, to say more than a traceback on those that are too old for the rest.
_START = f"""\
import gc, os, sys
if sys.version_info < (3, 9):
    message = "Python %d.%d is too old: install 3.9 or newer as python3 on this worker" % sys.version_info[:2]
    print('{{"ok": false, "error": {{"code": "unsupported", "message": "%s"}}}}' % message)
    sys.exit(0)
sys.argv[0] = os.path.realpath(sys.argv[0])
compiled = "%s.%s.zip" % (sys.argv[0], sys.implementation.cache_tag)
sys.path.insert(0, compiled)
gc.disable()  # what is loaded stays: to look for garbage among it is a tenth of a start
from {PACKAGE}.__main__ import main
code = main()
sys.stderr.flush()
os._exit(code)  # nothing is left to do, and to take all apart is another tenth
"""
# the earliest that a zip file can say
_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class AgentScript:
    """A zip file that Python runs by itself; workers keep it as `agent/<sha256>.py`."""

    sha256: str
    content: bytes


@cache
def agent_script() -> AgentScript:
    """Made deterministically: sorted, no times, nothing compressed (zlib's versions differ in their output)."""
    sources = {"__main__.py": _START.encode()}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        if path.name not in _NOT_SENT:
            sources[f"{PACKAGE}/{path.name}"] = path.read_bytes()
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in sources.items():
            info = zipfile.ZipInfo(name, _TIME)
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
    content = buffer.getvalue()
    return AgentScript(hashlib.sha256(content).hexdigest(), content)
