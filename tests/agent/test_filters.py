"""Filters end before those that take what they put out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from gitopsd.agent.filters import filters_first

if TYPE_CHECKING:
    from pathlib import Path


def describe(release: Path, job: str, role: str, *, listens: str = "", connects: tuple[str, ...] = ()) -> str:
    directory = release / "jobs" / job
    directory.mkdir(parents=True)
    runner = {
        "role": role,
        "inputs": {"default": [{"transport": "worker", "socket": listens}]} if listens else {},
        "outputs": {"default": [{"transport": "worker", "sockets": list(connects)}]} if connects else {},
    }
    (directory / "job.json").write_text(json.dumps({"format": 1, "job": job, "runner": runner}))
    return job


def test_a_filter_ends_before_its_consumer_and_after_the_filter_that_feeds_it(tmp_path: Path) -> None:
    jobs = [
        describe(tmp_path, "o.write.0", "write-files", listens="c"),
        describe(tmp_path, "o.second.0", "exec", listens="b", connects=("c",)),
        describe(tmp_path, "o.first.0", "exec", listens="a", connects=("b", "c")),
        describe(tmp_path, "o.read.0", "read-files", connects=("a",)),
    ]
    assert filters_first(tmp_path, jobs) == [["o.first.0"], ["o.second.0"]]
    assert filters_first(tmp_path, ["o.first.0", "o.read.0"]) == [], "its consumer goes on"


def test_what_is_no_filter_may_end_in_any_order(tmp_path: Path) -> None:
    jobs = [
        describe(tmp_path, "o.write.0", "write-files", listens="b"),
        describe(tmp_path, "o.cut.0", "transform", listens="a", connects=("b",)),
        "o.gone.0",
    ]
    (tmp_path / "jobs/o.own.0").mkdir()
    (tmp_path / "jobs/o.own.0/job.json").write_text('{"format": 1, "channels": {}}')
    assert filters_first(tmp_path, [*jobs, "o.own.0"]) == []


def test_filters_that_feed_each_other_end_together(tmp_path: Path) -> None:
    jobs = [
        describe(tmp_path, "o.one.0", "exec", listens="a", connects=("b",)),
        describe(tmp_path, "o.other.0", "exec", listens="b", connects=("a",)),
    ]
    assert filters_first(tmp_path, jobs) == [["o.one.0", "o.other.0"]]
