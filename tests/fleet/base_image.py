"""The root file system that all machines share as the lower layer of their overlays: made once, then only read."""

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.fleet.apt_sources import Source, source_of
from tests.fleet.commands import execute
from tests.fleet.mounts import unmount_below

# python3, not python3-minimal: the latter has no json, asyncio or shutil.
PACKAGES = ("systemd", "systemd-sysv", "dbus", "openssh-server", "python3", "iproute2", "jq", "sudo")

SSHD = """\
HostKey /etc/ssh/ssh_host_ed25519_key
PasswordAuthentication no
PermitRootLogin prohibit-password
"""
LOCALE = "LANG=C.UTF-8\n"
# The journal is kept over a power cut as on any Debian machine, but must not fill the memory it lies in here.
JOURNAL = "[Journal]\nStorage=persistent\nSystemMaxUse=32M\n"
# Units that would look for a console or a package mirror: the machines have neither.
MASKED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
)
BUILD_DEADLINE = 900.0
# Asked when this is imported: what tests are given for a cache later on would have each run build an image of its own.
_CACHE = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"


def cache_folder() -> Path:
    """Outside the checkout, so that neither Git nor a clean-up of the work tree ever meets a whole system in it."""
    return Path(_CACHE) / "gitopsd" / "fleet"


def image_key(suite: str) -> str:
    """Changes with whatever goes into the image, so that an old image is never mistaken for a new one."""
    recipe = "\n".join([suite, os.uname().machine, *PACKAGES, SSHD, JOURNAL, LOCALE, *MASKED])
    return hashlib.sha256(recipe.encode()).hexdigest()[:16]


def base_image(suite: str | None = None) -> Path:
    """The image's folder, built first if need be (about a minute); safe against interruption and parallel callers.

    `suite` is a release other than the one that this machine runs; CommandError where its mirror doesn't have that.
    """
    source = source_of(suite)

    def fill(aside: Path) -> None:
        execute(_debootstrap(source, aside), timeout=BUILD_DEADLINE)
        _adapt(aside)

    return building(cache_folder() / image_key(source.suite), fill)


def building(image: Path, fill: Callable[[Path], None]) -> Path:
    """`image`, which `fill` makes in an empty folder unless it is there: whole or not at all, and once."""
    if image.is_dir():
        return image
    image.parent.mkdir(parents=True, exist_ok=True)
    with _locked(image.with_suffix(".lock")):
        if not image.is_dir():
            _build(image, fill)
    return image


def _build(image: Path, fill: Callable[[Path], None]) -> None:
    for half_made in image.parent.glob(f"{image.name}.partial-*"):
        _discard(half_made)
    # A name of its own each time: an orphan of a killed builder may still be writing to the one before.
    aside = Path(tempfile.mkdtemp(prefix=f"{image.name}.partial-", dir=image.parent))
    try:
        fill(aside)
        aside.chmod(0o755)
        aside.rename(image)
    except BaseException:
        _discard(aside)
        raise


def _debootstrap(source: Source, target: Path) -> list[str]:
    argv = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}"]
    argv.append(f"--components={','.join(source.components)}")
    if source.keyring:
        argv.append(f"--keyring={source.keyring}")
    return [*argv, source.suite, str(target), source.uri]


def _adapt(root: Path) -> None:
    for key in (root / "etc/ssh").glob("ssh_host_*"):
        key.unlink()  # each machine gets its own; one that was forgotten must not come up with a shared one
    (root / "etc/ssh/sshd_config.d/fleet.conf").write_text(SSHD)
    journal = root / "etc/systemd/journald.conf.d"
    journal.mkdir(parents=True, exist_ok=True)
    (journal / "fleet.conf").write_text(JOURNAL)
    (root / "etc/default/locale").write_text(LOCALE)
    for unit in MASKED:
        link = root / "etc/systemd/system" / unit
        link.unlink(missing_ok=True)
        link.symlink_to("/dev/null")
    # These came from the machine that built the image.
    (root / "etc/resolv.conf").unlink(missing_ok=True)
    (root / "etc/resolv.conf").write_text("")
    (root / "etc/hostname").unlink(missing_ok=True)
    for package in (root / "var/cache/apt/archives").glob("*.deb"):
        package.unlink()


def _discard(folder: Path) -> None:
    if folder.exists():
        unmount_below(folder)  # an interrupted debootstrap leaves its /proc mounted
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
