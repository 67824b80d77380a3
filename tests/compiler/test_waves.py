"""Which group a deployment comes to first, whatever way channels join them."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from gitopsd.compiler.waves import waves

GROUPS = tuple("abcdefg")
LINKS = st.sets(st.tuples(st.sampled_from(GROUPS), st.sampled_from(GROUPS)), max_size=20)


def reaches(links: set[tuple[str, str]], start: str) -> set[str]:
    found: set[str] = set()
    pending = [start]
    while pending:
        group = pending.pop()
        for producer, consumer in links:
            if producer == group and consumer not in found:
                found.add(consumer)
                pending.append(consumer)
    return found


@given(LINKS)
def test_consumers_come_before_their_producers_and_circles_share_a_wave(links: set[tuple[str, str]]) -> None:
    order = waves(GROUPS, links)
    downstream = {group: reaches(links, group) for group in GROUPS}
    for producer, consumer in links:
        if producer in downstream[consumer]:
            assert order[producer] == order[consumer]
        else:
            assert order[producer] > order[consumer]


@given(LINKS)
def test_no_wave_is_later_than_it_must_be(links: set[tuple[str, str]]) -> None:
    order = waves(GROUPS, links)
    for group, wave in order.items():
        circle = {other for other in GROUPS if other in reaches(links, group) and group in reaches(links, other)}
        consumers = {consumer for producer, consumer in links if producer in {group, *circle}} - circle - {group}
        assert wave == max((order[consumer] + 1 for consumer in consumers), default=0)


def test_groups_without_channels_are_all_first() -> None:
    assert waves(["core", "edge"], set()) == {"core": 0, "edge": 0}


def test_a_chain_as_long_as_a_fleet_file_can_make_it() -> None:
    names = [f"group-{number}" for number in range(5000)]
    order = waves(names, set(pairwise(names)))
    assert order["group-0"] == 4999
    assert order["group-4999"] == 0
