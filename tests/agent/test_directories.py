from __future__ import annotations

import os
import pwd
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gitopsd.agent.accounts import Account
from gitopsd.agent.directories import make_missing, refusal
from gitopsd.agent.errors import AgentError
from gitopsd.agent.layout import Layout

LAYOUT = Layout(Path("/var/lib/gitopsd"), Path("/run/gitopsd"), "systemd", None)


@pytest.mark.parametrize(
    "path",
    [
        "srv/out",
        "",
        "/",
        "/srv/../etc/x",
        "/srv/./x",
        "/srv//x",
        "/srv/x/",
        "/srv/\0x",
        "/etc/cron.d",
        "/usr/local/bin",
        "/bin/x",
        "/sbin",
        "/lib/systemd",
        "/lib64/x",
        "/boot/x",
        "/dev/shm/x",
        "/proc/x",
        "/sys/x",
        "/run/x",
        "/root/.ssh",
        "/var/lib/gitopsd",
        "/var/lib/gitopsd/releases/x",
        "/var/lib/gitopsd/datax",
    ],
)
def test_a_directory_of_the_system_or_of_gitopsd_itself_is_refused(path: str) -> None:
    assert refusal(path, LAYOUT)
    with pytest.raises(AgentError):
        make_missing(path, None, LAYOUT)


@pytest.mark.parametrize(
    "path", ["/srv/orders/out", "/var/lib/gitopsd/data/x", "/var/lib/gitopsdx", "/data", "/mnt/s/a"]
)
def test_a_directory_for_data_is_allowed(path: str) -> None:
    assert refusal(path, LAYOUT) is None


def test_missing_parents_are_made_and_existing_directories_left_alone(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir(mode=0o700)
    umask = os.umask(0o077)
    try:
        make_missing(str(there / "a/b"), None, LAYOUT)
    finally:
        os.umask(umask)
    assert [oct(path.stat().st_mode & 0o777) for path in (there, there / "a", there / "a/b")] == [
        "0o700",
        "0o755",
        "0o755",
    ]
    (there / "a/b").chmod(0o711)
    make_missing(str(there / "a/b"), None, LAYOUT)
    assert (there / "a/b").stat().st_mode & 0o777 == 0o711


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root: gives a directory to another user")
def test_only_the_last_directory_is_the_users(tmp_path: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    make_missing(str(tmp_path / "a/b"), Account(nobody.pw_uid, nobody.pw_gid), LAYOUT)
    assert (tmp_path / "a").stat().st_uid == 0
    assert (tmp_path / "a/b").stat().st_uid == nobody.pw_uid


def test_a_link_planted_on_the_way_is_refused_and_nothing_is_made_behind_it(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/out").symlink_to(victim)
    with pytest.raises(AgentError, match="symbolic link"):
        make_missing(str(tmp_path / "mine/out/deep"), None, LAYOUT)
    assert not list(victim.iterdir())


def test_a_dangling_link_in_the_last_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AgentError, match="symbolic link"):
        make_missing(str(tmp_path / "out"), None, LAYOUT)
    assert not (tmp_path / "elsewhere").exists()


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(AgentError, match="'file' on the way"):
        make_missing(str(tmp_path / "file/out"), None, LAYOUT)


def test_workers_that_share_a_file_system_may_make_one_directory_at_once(tmp_path: Path) -> None:
    paths = [str(tmp_path / "shared" / f"store-{number // 4}" / "in") for number in range(1200)]
    before = sys.getswitchinterval()
    # threads take turns after a step or two, as processes on other machines do by themselves
    sys.setswitchinterval(1e-4)
    try:
        with ThreadPoolExecutor(8) as workers:
            for done in [workers.submit(make_missing, path, None, LAYOUT) for path in paths]:
                done.result()
    finally:
        sys.setswitchinterval(before)
    assert len(list((tmp_path / "shared").iterdir())) == 300


def test_a_directory_that_was_left_unfinished_is_finished(tmp_path: Path) -> None:
    unfinished = tmp_path / "store"
    unfinished.mkdir()
    unfinished.chmod(0o1700)
    make_missing(str(unfinished / "below"), None, LAYOUT)
    assert oct(unfinished.stat().st_mode & 0o7777) == "0o755"


def test_only_the_built_in_worker_of_root_may_use_the_home_of_root() -> None:
    assert refusal("/root/demo/data", LAYOUT)
    assert refusal("/root/demo/data", LAYOUT._replace(service_manager="supervisor")) is None
    assert refusal("/etc/demo", LAYOUT._replace(service_manager="supervisor"))
