"""What is known of workers after some of them were probed."""

import json
from typing import Any

from gitopsd.daemon.artifacts.records import record_file
from gitopsd.daemon.workers.facts import describe_changes, merge_facts
from gitopsd.fleet.protocol import Probe
from gitopsd.model.artifacts import FactsRecord, WorkerFacts


def probe(features: dict[str, str], **more: Any) -> Probe:
    return Probe(python="3.11", features=features, os="Debian", architecture="x86_64", user="root", problems=(), **more)


def record(**workers: dict[str, str]) -> FactsRecord:
    return FactsRecord(workers={name: WorkerFacts(features=features) for name, features in workers.items()})


def test_a_worker_that_did_not_answer_keeps_what_was_known() -> None:
    before = record(a={"jq": "1.6"}, b={"jq": "1.5"})
    assert merge_facts(before, {"a": probe({"jq": "1.7"})}, {"a", "b"}) == record(a={"jq": "1.7"}, b={"jq": "1.5"})


def test_a_worker_that_left_the_fleet_is_dropped() -> None:
    after = merge_facts(record(a={"jq": "1.6"}, b={}), {"b": probe({})}, {"a"})
    assert after == record(a={"jq": "1.6"})
    assert describe_changes(record(a={"jq": "1.6"}, b={}), after) == ("b: left the fleet",)


def test_a_feature_that_told_nothing_in_time_keeps_its_version() -> None:
    before = record(a={"java": "17", "jq": "1.6"})
    after = merge_facts(before, {"a": probe({"python3": "3.11"}, unanswered=("java", "node"))}, {"a"})
    assert after == record(a={"java": "17", "python3": "3.11"})


def test_what_no_worker_can_have_is_not_recorded() -> None:
    hostile = {"jq": "1.7", "../x": "1", "a\nb": "1", "x" * 500: "1", "y": "1; rm -rf /", "z": ""}
    assert merge_facts(FactsRecord(), {"a": probe(hostile)}, {"a"}) == record(a={"jq": "1.7"})
    many = {f"feature-{number}": "1" for number in range(10_000)}
    assert len(merge_facts(FactsRecord(), {"a": probe(many)}, {"a"}).workers["a"].features) <= 200


def test_changes_are_told_worker_by_worker() -> None:
    before = record(a={"jq": "1.6", "node": "18"}, b={"jq": "1.6"})
    after = record(a={"jq": "1.7", "java": "17"}, b={"jq": "1.6"}, c={"jq": "1.6"}, d={})
    assert describe_changes(before, after) == (
        "a: java 17 is new, jq is now 1.7, was 1.6, node 18 is gone",
        "c: jq 1.6",
        "d: nothing was found",
    )
    assert describe_changes(after, after) == ()


def test_the_file_does_not_depend_on_the_order_of_answers() -> None:
    found = {"b": probe({"x": "1", "a": "2"}), "a": probe({})}
    first = merge_facts(FactsRecord(), found, {"a", "b"})
    second = merge_facts(FactsRecord(), dict(reversed(found.items())), {"b", "a"})
    assert record_file(first) == record_file(second)
    assert list(json.loads(record_file(first))["workers"]) == ["a", "b"]
