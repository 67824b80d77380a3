"""The cache of planning: nothing that can be wrong with its file is more than a slower command."""

import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec import Struct

from gitopsd.daemon.memory import file as memory_file
from gitopsd.daemon.memory.file import MemoryFile, cache_file
from gitopsd.daemon.memory.memory import PlanMemory, plan_memory
from gitopsd.daemon.memory.salt import code_fingerprint

DAY = 86_400


class Value(Struct, frozen=True):
    text: str
    numbers: tuple[int, ...] = ()


class Other(Struct, frozen=True):
    text: int


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cache").mkdir()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("GITOPSD_CACHE", raising=False)
    return cache_file()


def memory(path: Path, *, salt: str = "code", max_bytes: int = memory_file.MAX_BYTES) -> PlanMemory:
    return PlanMemory(lambda: MemoryFile.open(path, max_bytes=max_bytes), salt=lambda: salt)


def keep(path: Path, *keys: str, salt: str = "code") -> None:
    one = memory(path, salt=salt)
    for key in keys:
        one.keep(key, Value(text=key, numbers=(1, 2)))
    one.close()


def recalled(path: Path, key: str, *, salt: str = "code") -> Value | None:
    one = memory(path, salt=salt)
    found = one.recall(key, Value)
    one.close()
    return found


def test_what_one_command_kept_the_next_one_recalls(path: Path) -> None:
    keep(path, "a", "b")
    assert recalled(path, "a") == Value(text="a", numbers=(1, 2))
    assert recalled(path, "c") is None


def test_nothing_reaches_the_file_before_it_is_flushed(path: Path) -> None:
    one = memory(path)
    one.keep("a", Value(text="a"))
    assert one.recall("a", Value) == Value(text="a")
    assert recalled(path, "a") is None
    one.flush()
    assert recalled(path, "a") == Value(text="a")


def test_nothing_is_opened_before_the_first_question(path: Path) -> None:
    plan_memory().close()
    assert not path.parent.exists()


def test_it_can_be_turned_off(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITOPSD_CACHE", "off")
    one = plan_memory()
    one.keep("a", Value(text="a"))
    assert one.recall("a", Value) == Value(text="a")
    one.close()
    assert not path.parent.exists()


def test_folder_and_file_are_for_their_user_alone(path: Path) -> None:
    path.parent.mkdir(mode=0o755)
    old = os.umask(0)
    try:
        keep(path, "a")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert [stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()] == [0o600]


def test_other_code_recalls_nothing(path: Path) -> None:
    keep(path, "a", salt="old")
    assert recalled(path, "a", salt="new") is None
    assert recalled(path, "a", salt="old") is not None


def test_the_fingerprint_of_the_code_follows_its_files(tmp_path: Path) -> None:
    for folder in ("compiler/std", "model", "planner"):
        (tmp_path / folder).mkdir(parents=True)
    blueprint = tmp_path / "compiler" / "std" / "exec.yaml"
    blueprint.write_text("one")
    first = code_fingerprint(tmp_path)
    assert code_fingerprint(tmp_path) == first
    (tmp_path / "compiler" / "__pycache__").mkdir()
    (tmp_path / "compiler" / "__pycache__" / "x.pyc").write_text("x")
    assert code_fingerprint(tmp_path) == first
    os.utime(blueprint, (1, 1))
    second = code_fingerprint(tmp_path)
    blueprint.write_text("longer")
    os.utime(blueprint, (1, 1))
    (tmp_path / "model" / "new.py").write_text("")
    assert len({first, second, code_fingerprint(tmp_path)}) == 3


@pytest.mark.parametrize("damage", ["rubbish", "empty", "half", "folder of pages", "another table"])
def test_a_damaged_file_is_made_anew(path: Path, damage: str) -> None:
    keep(path, *(f"key {number}" for number in range(500)))
    whole = path.read_bytes()
    match damage:
        case "rubbish":
            path.write_bytes(b"this is no database" * 100)
        case "empty":
            path.write_bytes(b"")
        case "half":
            path.write_bytes(whole[: len(whole) // 2])
        case "folder of pages":
            path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
        case _:
            path.unlink()
            with sqlite3.connect(path) as connection:
                connection.execute("CREATE TABLE memory (something TEXT)")
            connection.close()
    for number in range(500):
        assert recalled(path, f"key {number}") in {None, Value(text=f"key {number}", numbers=(1, 2))}
    keep(path, "after")  # the first to notice sets the file aside, at the latest
    keep(path, "after")
    assert recalled(path, "after") is not None


def test_a_value_that_was_altered_is_a_miss(path: Path) -> None:
    keep(path, "first", "other")
    with sqlite3.connect(path) as connection:
        (value,) = connection.execute("SELECT value FROM memory WHERE key = 'code:first'").fetchone()
        connection.execute("UPDATE memory SET value = ? WHERE key = 'code:first'", (value.replace(b"first", b"forst"),))
        connection.execute("UPDATE memory SET value = ? WHERE key = 'code:other'", (value,))
    connection.close()
    assert recalled(path, "first") is None
    assert recalled(path, "other") is None


def test_a_value_of_another_shape_is_a_miss(path: Path) -> None:
    keep(path, "a")
    one = memory(path)
    assert one.recall("a", Other) is None
    assert one.recall("a", Value) is not None
    assert one.recall("a", Other) is None
    one.close()


def test_a_value_that_cannot_be_encoded_is_worked_out_each_time(path: Path) -> None:
    one = memory(path)
    one.keep("large number", Value(text="", numbers=(1 << 70,)))
    one.keep("surrogate", Value(text="\udcff"))
    assert one.recall("large number", Value) is None
    assert one.recall("surrogate", Value) is None
    one.close()


@pytest.mark.parametrize("place", ["folder", "file"])
def test_a_cache_behind_a_link_is_refused(path: Path, tmp_path: Path, place: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    if place == "folder":
        elsewhere.mkdir()
        path.parent.symlink_to(elsewhere)
    else:
        path.parent.mkdir()
        elsewhere.touch()
        path.symlink_to(elsewhere)
    keep(path, "a")
    assert recalled(path, "a") is None
    assert not (list(elsewhere.iterdir()) if elsewhere.is_dir() else elsewhere.read_bytes())


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("place", ["above", "folder", "file"])
def test_a_cache_of_another_user_is_refused(path: Path, place: str) -> None:
    if place == "above":
        os.chown(path.parent.parent, 12345, 12345)
    else:
        keep(path, "a")
        os.chown(path if place == "file" else path.parent, 12345, 12345)
    keep(path, "a")
    assert recalled(path, "a") is None
    assert place != "above" or not path.parent.exists()


def test_a_file_with_a_second_name_is_refused(path: Path, tmp_path: Path) -> None:
    keep(path, "a")
    (tmp_path / "second").hardlink_to(path)
    assert recalled(path, "a") is None


def test_without_a_place_to_write_it_remembers_in_this_process_only(path: Path) -> None:
    path.parent.write_text("a file where the folder should be")
    one = memory(path)
    one.keep("a", Value(text="a"))
    one.flush()
    assert one.recall("a", Value) == Value(text="a")
    one.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "none", str(disk)], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a small file system takes root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_loses_what_is_new_and_nothing_else(small_disk: Path) -> None:
    path = small_disk / "gitopsd" / "plans.sqlite"
    keep(path, "a")
    one = memory(path)
    one.keep("large", Value(text="x" * 400_000))
    one.close()
    assert recalled(path, "a") is not None
    assert recalled(path, "large") is None
    keep(path, "b")
    assert recalled(path, "b") is not None


@pytest.fixture
def read_only_home(tmp_path: Path) -> Iterator[Path]:
    home = tmp_path / "home"
    home.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(home)], check=False)
    if mounted.returncode != 0:
        pytest.skip("mounting a file system takes root")
    yield home
    subprocess.run(["umount", str(home)], check=True)


def test_a_home_that_is_read_only_is_no_error(read_only_home: Path) -> None:
    keep(read_only_home / ".cache" / "gitopsd" / "plans.sqlite", "a")


def test_a_file_that_is_in_use_is_not_waited_for_long(path: Path) -> None:
    keep(path, "a")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    keep(path, "b")
    assert recalled(path, "a") is None
    other.execute("COMMIT")
    other.close()
    assert recalled(path, "a") is not None
    assert recalled(path, "b") is None


WRITER = """
import sys
from pathlib import Path
from tests.daemon.memory.test_memory import Value, memory
one = memory(Path(sys.argv[1]))
for round in range(10_000_000):
    for number in range(300):
        one.keep(f"{sys.argv[2]} {round % 3} {number}", Value(text=f"{number}", numbers=(round,) * 200))
    one.flush()
    print(round, flush=True)
"""


def start_writer(path: Path, name: str) -> "subprocess.Popen[str]":
    return subprocess.Popen([sys.executable, "-c", WRITER, str(path), name], stdout=subprocess.PIPE, text=True)


def test_a_process_that_is_killed_while_it_writes_leaves_a_file_that_works(path: Path) -> None:
    for attempt in range(8):
        writer = start_writer(path, "killed")
        assert writer.stdout is not None
        writer.stdout.readline()
        threading.Event().wait(0.011 * attempt)
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        writer.stdout.close()
        assert recalled(path, "killed 0 299") is not None
    assert not path.with_name(path.name + ".damaged").exists()


def test_two_processes_at_once_do_not_get_in_each_others_way(path: Path) -> None:
    writers = [start_writer(path, name) for name in ("one", "two")]
    for writer in writers:
        assert writer.stdout is not None
        assert [writer.stdout.readline().strip() for _ in range(5)] == list("01234")
    for number in range(50):
        keep(path, f"mine {number}")
    for writer in writers:
        writer.terminate()
        writer.communicate()
    assert recalled(path, "one 0 299") is not None
    assert recalled(path, "two 0 299") is not None
    assert not path.with_name(path.name + ".damaged").exists()


def test_several_threads_share_one_memory(path: Path) -> None:
    one = memory(path)
    wrong: list[str] = []

    def work(name: str) -> None:
        for number in range(300):
            key = f"{name} {number}"
            one.keep(key, Value(text=key))
            if number % 50 == 0:
                one.flush()
            if one.recall(key, Value) != Value(text=key):
                wrong.append(key)

    threads = [threading.Thread(target=work, args=(str(number),)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    one.close()
    assert not wrong
    assert recalled(path, "3 299") is not None


def test_the_file_is_bounded_and_the_least_recently_used_goes_first(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = 2 << 20
    today = [1_000_000 * DAY]
    monkeypatch.setattr("gitopsd.daemon.memory.file.time.time", lambda: today[0])
    for number in range(40):
        one = memory(path, max_bytes=bound)
        one.keep(f"{number}", Value(text=f"{number}" + "x" * 100_000))
        assert number == 0 or one.recall("0", Value) is not None  # used every day
        one.close()
        assert path.stat().st_size <= bound * 1.2
        today[0] += DAY
    assert recalled(path, "39") is not None
    assert recalled(path, "1") is None


def test_using_a_value_is_written_down_once_a_day(path: Path) -> None:
    keep(path, "a")
    before = path.read_bytes()
    assert recalled(path, "a") is not None
    assert path.read_bytes() == before


def test_what_is_held_in_the_process_is_bounded() -> None:
    few = PlanMemory(lambda: None, max_entries=3)
    for key in "abc":
        few.keep(key, Value(text=key))
    assert few.recall("a", Value)
    few.keep("d", Value(text="d"))
    few.flush()
    assert [key for key in "abcd" if few.recall(key, Value)] == ["a", "c", "d"]
    small = PlanMemory(lambda: None, max_bytes=250)
    for key in "abcde":
        small.keep(key, Value(text=key * 100))
    small.flush()
    assert [key for key in "abcde" if small.recall(key, Value)] == ["d", "e"]


def test_what_nobody_asks_for_is_left_to_the_file_in_a_long_life(path: Path) -> None:
    one = memory(path)
    for number in range(200):
        one.keep(f"version {number}", Value(text=str(number)))
        if one.recall("always", Value) is None:
            one.keep("always", Value(text="always"))
        one.flush()
    assert len(one._values) < 30
    assert "always" in one._values
    assert one.recall("version 0", Value) == Value(text="0"), "the file has it"
    one.close()
