import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gitopsd.repo.errors import LockHeldError, RepositoryError
from gitopsd.repo.lock import host_lock, lock_folder

HOLDER = """
import sys, time
from pathlib import Path
from gitopsd.repo.lock import host_lock
with host_lock("file:///r", "production", folder=Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def holder(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_holder_waits_for_its_deadline_and_names_the_first(tmp_path: Path) -> None:
    process = holder(tmp_path)
    try:
        with (
            pytest.raises(LockHeldError, match=f"process {process.pid} .*production") as raised,
            host_lock("file:///r", "production", deadline=0.2, folder=tmp_path),
        ):
            pass
        assert raised.value.pid == process.pid
    finally:
        process.kill()
        process.wait()


def test_a_lock_whose_holder_was_killed_is_free(tmp_path: Path) -> None:
    process = holder(tmp_path)
    process.send_signal(signal.SIGKILL)
    process.wait()
    with host_lock("file:///r", "production", deadline=5, folder=tmp_path):
        pass


def test_the_lock_is_got_as_soon_as_its_holder_lets_go(tmp_path: Path) -> None:
    process = holder(tmp_path)
    start = time.monotonic()
    subprocess.Popen(["sh", "-c", f"sleep 0.3; kill -9 {process.pid}"])
    with host_lock("file:///r", "production", deadline=60, folder=tmp_path):
        assert time.monotonic() - start < 50
    process.wait()


def test_other_environments_and_repositories_have_locks_of_their_own(tmp_path: Path) -> None:
    with (
        host_lock("file:///r", "production", deadline=0, folder=tmp_path),
        host_lock("file:///r", "staging", deadline=0, folder=tmp_path),
        host_lock("file:///q", "production", deadline=0, folder=tmp_path),
    ):
        assert len(list(tmp_path.iterdir())) == 3


def test_a_lock_can_be_taken_again_after_a_failure_inside(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), host_lock("r", "e", folder=tmp_path):
        _ = 1 / 0
    with host_lock("r", "e", deadline=0, folder=tmp_path):
        pass


def test_a_link_in_the_place_of_a_lock_is_not_followed(tmp_path: Path) -> None:
    with host_lock("r", "e", folder=tmp_path):
        pass
    (lock,) = tmp_path.iterdir()
    lock.unlink()
    lock.symlink_to(tmp_path / "victim")
    with pytest.raises(RepositoryError, match="cannot be opened"), host_lock("r", "e", folder=tmp_path):
        pass
    assert not (tmp_path / "victim").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to give a folder away")
def test_a_folder_of_another_user_is_not_trusted(tmp_path: Path) -> None:
    os.chown(tmp_path, 12345, 12345)
    with pytest.raises(RepositoryError, match="another user"), host_lock("r", "e", folder=tmp_path):
        pass


def test_root_has_one_place_for_locks_and_people_have_their_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert lock_folder() == Path("/run/lock/gitopsd")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert lock_folder() == tmp_path / "gitopsd/locks"
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    assert lock_folder().parts[-4:] == (".local", "state", "gitopsd", "locks")


def test_a_full_disk_keeps_nobody_from_the_lock(tmp_path: Path) -> None:
    full = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))"  # not a byte can be written to a file
    process = subprocess.run(
        [sys.executable, "-c", f"{full}\n{HOLDER.replace('600', '0')}", str(tmp_path)],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert (process.stdout, process.returncode) == ("held\n", 0), process.stderr
