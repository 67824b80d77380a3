"""The root file system of machines that gitopsd itself is installed on: the base image, with what a controller needs.

gitopsd is not in it, only a virtual environment with all that it depends on, where and as `pipx` has it; so a test
installs the wheel of the tree alone, in a second.
"""

import hashlib
import re
import shutil
import sys
import time
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.fleet.apt_sources import source_of
from tests.fleet.base_image import BUILD_DEADLINE, base_image, building, cache_folder, image_key
from tests.fleet.commands import execute

PACKAGES = ("git", "openssh-client", "python3-venv")
ENVIRONMENT = "/opt/pipx/venvs/gitopsd"
COMMAND = "/usr/local/bin/gitopsd"
PROJECT = Path(__file__).parents[2]

_KEPT_SECONDS = 2 * 86_400.0
_CHROOT = ("PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "DEBIAN_FRONTEND=noninteractive")


def controller_image() -> Path:
    """The image's folder, made first if need be (half a minute); safe as `base_image` is."""
    wanted = cache_folder() / f"{_key()}-controller"
    for image in cache_folder().glob("*-controller"):  # each change of the lock file makes another one
        if image != wanted and time.time() - image.stat().st_mtime > _KEPT_SECONDS:
            shutil.rmtree(image, ignore_errors=True)
    return building(wanted, _fill)


def build_wheel(folder: Path) -> Path:
    """gitopsd as it is in this tree."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    execute([*command, "--wheel-dir", str(folder), str(PROJECT)], timeout=120.0)
    (wheel,) = folder.glob("gitopsd-*.whl")
    return wheel


def _key() -> str:
    recipe = "\n".join([image_key(source_of().suite), *PACKAGES, ENVIRONMENT, *_dependencies(), *_pins()])
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def _dependencies() -> list[str]:
    listed: list[str] = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]["dependencies"]
    return listed


def _pins() -> list[str]:
    """`name==version` of everything in the lock file, without its hashes: pip checks those when `.venv` is made."""
    locked = (PROJECT / "requirements.lock").read_text()
    return re.findall(r"^[A-Za-z0-9_.\[\]-]+==\S+(?: ; [^\\\n]+)?", locked, re.MULTILINE)


def _fill(root: Path) -> None:
    execute(["cp", "--archive", "--reflink=auto", f"{base_image()}/.", str(root)], timeout=BUILD_DEADLINE)
    with _resolving_names(root):
        _inside(root, "apt-get", "-qq", "update")
        _inside(root, "apt-get", "-qq", "-y", "--no-install-recommends", "install", *PACKAGES)
    for package in (root / "var/cache/apt/archives").glob("*.deb"):
        package.unlink()
    wheels = root / "opt/wheels"
    wheels.mkdir(parents=True)
    pins = wheels / "constraints.txt"
    pins.write_text("\n".join(_pins()) + "\n")
    download = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
    download += ["--only-binary=:all:", "--python-version=3.11", f"--dest={wheels}", f"--constraint={pins}"]
    execute([*download, *_dependencies()], timeout=BUILD_DEADLINE)
    _inside(root, "python3", "-m", "venv", ENVIRONMENT)
    install = [f"{ENVIRONMENT}/bin/python", "-m", "pip", "install", "--quiet", "--no-index", "--find-links=/opt/wheels"]
    _inside(root, *install, "--constraint=/opt/wheels/constraints.txt", *_dependencies())
    shutil.rmtree(wheels)
    (root / COMMAND.lstrip("/")).symlink_to(f"{ENVIRONMENT}/bin/gitopsd")


def _inside(root: Path, *command: str) -> None:
    execute(
        ["chroot", str(root), "/usr/bin/env", "--ignore-environment", *_CHROOT, *command], timeout=BUILD_DEADLINE
    )  # fmt: skip


@contextmanager
def _resolving_names(root: Path) -> Iterator[None]:
    """With this machine's resolver, for as long as packages are fetched."""
    inside = root / "etc/resolv.conf"
    inside.write_text(Path("/etc/resolv.conf").read_text())
    try:
        yield
    finally:
        inside.write_text("")
