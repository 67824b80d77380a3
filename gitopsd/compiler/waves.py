"""The order in which a deployment comes to the worker groups: those that consume before those that produce for them.

So an event that a new producer makes never meets a consumer that doesn't know it yet. Groups that channels join in a
circle share a wave. Kosaraju's algorithm finds the circles (Sharir 1981): two walks, in time linear in the links.
"""

from collections.abc import Collection, Iterable, Mapping

Links = Collection[tuple[str, str]]


def waves(groups: Iterable[str], links: Links) -> dict[str, int]:
    """Group -> its wave, from 0. `links`: (producers' group, consumers' group), of groups that are all known."""
    onward: dict[str, list[str]] = {group: [] for group in sorted(groups)}
    back: dict[str, list[str]] = {group: [] for group in onward}
    for producer, consumer in sorted(links):
        if producer != consumer:
            onward[producer].append(consumer)
            back[consumer].append(producer)
    circle: dict[str, str] = {}
    for group in reversed(_by_end(onward)):
        for member in _reached(group, back, circle):
            circle[member] = group
    return _longest_ways(onward, circle)


def _by_end(onward: Mapping[str, list[str]]) -> list[str]:
    """The groups in the order in which a walk along the links leaves them: what can be reached first."""
    ended: list[str] = []
    seen: set[str] = set()
    for start in onward:
        way = [] if start in seen else [(start, iter(onward[start]))]
        seen.add(start)
        while way:
            group, following = way[-1]
            new = next((one for one in following if one not in seen), None)
            if new is None:
                way.pop()
                ended.append(group)
            else:
                seen.add(new)
                way.append((new, iter(onward[new])))
    return ended


def _reached(start: str, back: Mapping[str, list[str]], taken: Collection[str]) -> list[str]:
    found = [] if start in taken else [start]
    seen = set(found)
    for group in found:
        new = [one for one in dict.fromkeys(back[group]) if one not in taken and one not in seen]
        seen.update(new)
        found += new
    return found


def _longest_ways(onward: Mapping[str, list[str]], circle: Mapping[str, str]) -> dict[str, int]:
    """Each circle's wave: one more than that of the last of those it produces for."""
    consumers: dict[str, set[str]] = {name: set() for name in circle.values()}
    for group, following in onward.items():
        consumers[circle[group]] |= {circle[one] for one in following} - {circle[group]}
    order: dict[str, int] = {}
    for name in _by_end({name: sorted(of_circle) for name, of_circle in consumers.items()}):
        order[name] = 1 + max((order[one] for one in consumers[name]), default=-1)
    return {group: order[circle[group]] for group in onward}
