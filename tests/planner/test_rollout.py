"""Rollouts of any fleet, settings and luck: who is begun when, and what a failure stops."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gitopsd.model.amounts import at_least, at_most
from gitopsd.model.artifacts import GroupRecord, PlacedWorker
from gitopsd.planner.rollout.decide import Decision, Phase, Standing, decide
from gitopsd.planner.rollout.groups import ALL_AT_ONCE, RolloutGroup, rollout_groups

FATES = ("in-sync", "away-at-first", "healthy", "failed", "away", "mended", "not-mended")
AMOUNTS = st.one_of(st.integers(0, 6), st.sampled_from(["0%", "10%", "34%", "50%", "100%"]))
RECORDS = st.builds(
    GroupRecord,
    canary=AMOUNTS,
    max_parallel=st.one_of(st.integers(1, 6), st.sampled_from(["1%", "34%", "100%"])),
    max_failed=AMOUNTS,
    max_unreachable=AMOUNTS,
    order=st.integers(0, 2),
)


@dataclass
class Fleet:
    """What the rollout is up against: each worker's fate, and what was seen of it so far."""

    groups: tuple[RolloutGroup, ...]
    fates: Mapping[str, str]
    standings: dict[str, Standing] = field(default_factory=dict)
    begun: list[str] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    watch: Callable[["Fleet", Decision], None] = lambda _fleet, _decision: None

    def run(self, random: Random) -> Decision:
        """To its end, events coming in any order."""
        self.standings = {name: Standing() for name in self.fates}
        for _ in range(10 * len(self.fates) + 10):
            decision = decide(self.groups, self.standings)
            self.watch(self, decision)
            self.decisions.append(decision)
            if decision.over:
                return decision
            for name in decision.start:
                assert self.standings[name].phase == "waiting"
                self.standings[name] = Standing(phase="changing", new=self.standings[name].new)
                self.begun.append(name)
            self.advance(random)
        raise AssertionError("it never ends")

    def advance(self, random: Random) -> None:
        """One of the workers that something is asked of answers."""
        pending = sorted(name for name, known in self.standings.items() if known.phase in {"unseen", "changing"})
        if pending:
            name = random.choice(pending)
            self.standings[name] = self.after(name)

    def after(self, name: str) -> Standing:
        fate, known = self.fates[name], self.standings[name]
        if known.phase == "unseen":
            first: dict[str, Standing] = {
                "in-sync": Standing(phase="in-sync"),
                "away-at-first": Standing(phase="away"),
                "mended": Standing(phase="waiting"),
                "not-mended": Standing(phase="waiting"),
            }
            return first.get(fate, Standing(phase="waiting", new=True))
        ends: dict[str, Phase] = {"failed": "failed", "not-mended": "failed", "away": "away"}
        return Standing(phase=ends.get(fate, "healthy"), new=known.new)

    def of(self, group: RolloutGroup, phase: Phase, *, new: bool = True) -> list[str]:
        return [name for name in group.workers if self.standings[name] == Standing(phase=phase, new=new)]


@st.composite
def fleets(draw: st.DrawFn) -> Fleet:
    groups = []
    fates: dict[str, str] = {}
    for number in range(draw(st.integers(1, 4))):
        names = tuple(f"g{number}-{index}" for index in range(draw(st.integers(1, 6))))
        groups.append(RolloutGroup(name=f"g{number}", settings=draw(RECORDS), workers=names))
        fates |= {name: draw(st.sampled_from(FATES)) for name in names}
    ordered = tuple(sorted(groups, key=lambda group: group.settings.order))
    return Fleet(groups=ordered, fates=fates)


@given(fleets(), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_never_more_at_once_than_max_parallel(fleet: Fleet, random: Random) -> None:
    def watch(fleet: Fleet, decision: Decision) -> None:
        for group in fleet.groups:
            under_way = [name for name in group.workers if fleet.standings[name].phase == "changing"]
            starting = [name for name in decision.start if name in group.workers]
            limit = max(1, at_most(group.settings.max_parallel, len(group.workers)))
            assert len(under_way) + len(starting) <= limit

    fleet.watch = watch
    fleet.run(random)


@given(fleets(), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_nothing_new_begins_in_a_group_that_stopped_or_after_it_and_a_stop_is_for_good(
    fleet: Fleet, random: Random
) -> None:
    def watch(fleet: Fleet, decision: Decision) -> None:
        stopped = {group.settings.order for group in fleet.groups if group.name in decision.stopped}
        for group in fleet.groups:
            starting = [name for name in decision.start if name in group.workers]
            if group.name in decision.stopped or any(order < group.settings.order for order in stopped):
                assert not [name for name in starting if fleet.standings[name].new]
        if fleet.decisions:
            assert fleet.decisions[-1].stopped.keys() <= decision.stopped.keys()

    fleet.watch = watch
    fleet.run(random)


@given(fleets(), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_the_canary_is_healthy_before_the_others_begin(fleet: Fleet, random: Random) -> None:
    def watch(fleet: Fleet, decision: Decision) -> None:
        for group in fleet.groups:
            canary = at_least(group.settings.canary, len(group.workers))
            new = [name for name in decision.start if name in group.workers and fleet.standings[name].new]
            healthy, under_way = fleet.of(group, "healthy"), fleet.of(group, "changing")
            if new and len(healthy) < canary:
                assert len(new) + len(under_way) + len(healthy) <= canary
                assert not fleet.of(group, "failed")
                assert not [name for name in group.workers if fleet.standings[name].phase == "unseen"]

    fleet.watch = watch
    fleet.run(random)


@given(fleets(), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_consumers_are_through_before_producers_begin(fleet: Fleet, random: Random) -> None:
    def watch(fleet: Fleet, decision: Decision) -> None:
        for group in fleet.groups:
            if [name for name in decision.start if name in group.workers and fleet.standings[name].new]:
                for earlier in fleet.groups:
                    if earlier.settings.order < group.settings.order:
                        assert not fleet.of(earlier, "waiting")
                        assert not fleet.of(earlier, "changing")
                        assert not fleet.of(earlier, "unseen", new=False)

    fleet.watch = watch
    fleet.run(random)


@given(fleets(), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_everybody_is_told_unless_the_group_stopped_and_what_runs_already_is_mended_all_the_same(
    fleet: Fleet, random: Random
) -> None:
    end = fleet.run(random)
    left = [name for name, known in fleet.standings.items() if known.phase == "waiting"]
    stopped = {name for group in fleet.groups if group.name in end.stopped for name in group.workers}
    assert set(left) <= stopped
    assert not end.waiting_for
    assert all(fleet.standings[name].new for name in left)
    assert len(set(fleet.begun)) == len(fleet.begun)
    assert all(fleet.fates[name] not in {"in-sync", "away-at-first"} for name in fleet.begun)


@given(fleets(), st.randoms(use_true_random=False))
@settings(max_examples=150)
def test_a_group_stops_for_its_own_reasons_only_when_a_budget_or_its_canary_is_gone(
    fleet: Fleet, random: Random
) -> None:
    end = fleet.run(random)
    for group in fleet.groups:
        failed, size = len(fleet.of(group, "failed")), len(group.workers)
        away = sum(fleet.standings[name].phase == "away" for name in group.workers)
        over = failed > at_most(group.settings.max_failed, size) or away > at_most(group.settings.max_unreachable, size)
        canary = failed > 0 and len(fleet.of(group, "healthy")) < at_least(group.settings.canary, size)
        reason = end.stopped.get(group.name, "")
        assert bool(reason and "comes after" not in reason) == (over or canary)


@given(fleets(), st.randoms(use_true_random=False))
@settings(max_examples=100)
def test_without_limits_everybody_is_begun(fleet: Fleet, random: Random) -> None:
    groups = [RolloutGroup(name=group.name, settings=ALL_AT_ONCE, workers=group.workers) for group in fleet.groups]
    fleet.groups = tuple(groups)
    end = fleet.run(random)
    assert not end.stopped
    assert not [name for name, known in fleet.standings.items() if known.phase == "waiting"]


def standings(**phases: tuple[Phase, bool]) -> dict[str, Standing]:
    return {name: Standing(phase=phase, new=new) for name, (phase, new) in phases.items()}


def group(*workers: str, **changes: Any) -> tuple[RolloutGroup, ...]:
    return (RolloutGroup(name="edge", settings=GroupRecord(**changes), workers=workers),)


def test_reasons_are_told_in_words_with_the_setting() -> None:
    known = standings(a=("failed", True), b=("waiting", True), c=("healthy", True))
    assert decide(group("a", "b", "c"), known).stopped == {"edge": "1 of 3 failed, and max_failed is 0"}
    assert decide(group("a", "b", "c", max_failed="34%"), known).start == ("b",)
    assert decide(group("a", "b", "c", canary=2, max_failed=3), known).stopped == {"edge": "its canary a failed"}
    known = standings(a=("away", False), b=("waiting", True), c=("in-sync", False))
    assert decide(group("a", "b", "c", max_unreachable=0), known).stopped == {
        "edge": "1 of 3 can't be reached, and max_unreachable is 0"
    }
    assert decide(group("a", "b", "c"), known).start == ("b",)


def test_another_worker_stands_in_for_a_canary_that_is_away() -> None:
    known = standings(a=("away", False), b=("waiting", True), c=("waiting", True))
    assert decide(group("a", "b", "c", canary=1), known).start == ("b",)


def test_what_runs_already_is_put_right_while_a_canary_is_on_trial_and_after_it_failed() -> None:
    known = standings(a=("changing", True), b=("waiting", True), c=("waiting", False))
    assert decide(group("a", "b", "c", canary=1), known).start == ("c",)
    known = standings(a=("failed", True), b=("waiting", True), c=("waiting", False))
    assert decide(group("a", "b", "c", canary=1), known).start == ("c",)


def test_a_worker_that_cannot_be_mended_stops_nobody() -> None:
    known = standings(a=("failed", False), b=("waiting", True))
    assert decide(group("a", "b", canary=1), known).start == ("b",)


def test_later_groups_say_what_they_wait_for() -> None:
    first = RolloutGroup(name="core", settings=GroupRecord(), workers=("a",))
    then = RolloutGroup(name="edge", settings=GroupRecord(order=1), workers=("b",))
    known = standings(a=("changing", True), b=("waiting", True))
    assert decide((first, then), known).waiting_for == {"edge": "core"}
    known = standings(a=("failed", True), b=("waiting", True))
    assert decide((first, then), known).stopped["edge"] == "it comes after core, which stopped"
    assert decide((first, then), standings(a=("away", False), b=("waiting", True))).start == ("b",)


def worker(group: str, *, leaving: bool = False) -> PlacedWorker:
    return PlacedWorker(group=group, connection="local", service_manager="systemd", leaving=leaving)


def test_groups_in_their_order_with_those_that_leave_last() -> None:
    fleet = {"a": worker("edge"), "b": worker("core"), "c": worker("core", leaving=True), "d": worker("edge")}
    records = {"edge": GroupRecord(order=1, canary=1), "core": GroupRecord(canary=1)}
    groups = rollout_groups(fleet, records, fleet, first={"d"})
    assert [(one.name, one.workers) for one in groups] == [
        ("core", ("b",)),
        ("edge", ("d", "a")),
        ("core, leaving", ("c",)),
    ]
    assert [one.settings.canary for one in groups] == [1, 1, 0]
    assert [one.size for one in groups] == [1, 2, 1]
    assert {one.settings for one in rollout_groups(fleet, records, fleet, settings=ALL_AT_ONCE)} == {ALL_AT_ONCE}


def test_shares_are_of_the_whole_group_where_only_some_of_it_are_rolled_out_to() -> None:
    fleet = {f"w{number}": worker("edge") for number in range(10)}
    records = {"edge": GroupRecord(max_parallel="20%", max_failed="10%")}
    (some,) = rollout_groups(fleet, records, ["w1", "w2", "w3"])
    known = {name: Standing(phase="waiting", new=True) for name in some.workers}
    assert decide((some,), known).start == ("w1", "w2")
    known["w1"] = Standing(phase="failed", new=True)
    assert decide((some,), known).start == ("w2", "w3")


@pytest.mark.parametrize("count", [1, 3])
def test_a_canary_larger_than_its_group_is_the_whole_group(count: int) -> None:
    names = tuple("abc"[:count])
    known = {name: Standing(phase="waiting", new=True) for name in names}
    assert decide(group(*names, canary=5), known).start == names
