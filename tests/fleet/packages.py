"""Debian packages on a running machine, which reaches no mirror: fetched here, kept in the cache, put in there."""

import fcntl
import shutil
from pathlib import Path

from tests.fleet.apt_sources import source_of
from tests.fleet.base_image import base_image, cache_folder, image_key
from tests.fleet.commands import execute
from tests.fleet.machine import Machine

_FETCH_SECONDS = 300.0
_INSTALL_SECONDS = 120.0
_INSIDE = "root/packages"
_DOWNLOAD = ("--yes", "--no-install-recommends", "--download-only", "install")


def install(machine: Machine, package: str) -> None:
    """As `apt-get install` would: with what it needs, and its service started."""
    folder = machine.root / _INSIDE
    folder.mkdir()
    for file in _fetched(package).glob("*.deb"):
        shutil.copy(file, folder)
    script = f"DEBIAN_FRONTEND=noninteractive dpkg --install /{_INSIDE}/*.deb"
    machine.run(["sh", "-c", script], timeout=_INSTALL_SECONDS)


def _fetched(package: str) -> Path:
    """The folder of the package's files, and of those that the base image lacks for it."""
    image = base_image()
    folder = cache_folder() / f"{image_key(source_of().suite)}-{package}-packages"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "whole").exists():
            for part in ("partial", "lists/partial"):
                (folder / part).mkdir(parents=True, exist_ok=True)
            apt = ["apt-get", "-qq", "-o", f"Dir::Cache::archives={folder}", "-o", f"Dir::State::lists={folder}/lists"]
            # what is installed there decides what is needed, and nothing of this machine is changed or locked
            apt += ["-o", f"Dir::State::status={image}/var/lib/dpkg/status", "-o", "Debug::NoLocking=1"]
            apt += ["-o", "APT::Sandbox::User=root", "-o", f"Dir::Cache::pkgcache={folder}/pkgcache.bin"]
            apt += ["-o", f"Dir::Cache::srcpkgcache={folder}/srcpkgcache.bin"]
            execute([*apt, "update"], timeout=_FETCH_SECONDS)
            execute([*apt, *_DOWNLOAD, package], timeout=_FETCH_SECONDS)
            shutil.rmtree(folder / "lists")
            (folder / "whole").touch()
    return folder
