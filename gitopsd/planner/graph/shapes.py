"""The values of a layout: boxes in boxes with links between them, and where these were put."""

from dataclasses import dataclass, field, replace

from gitopsd.planner.graph.layers import Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf:
    key: Key
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """`title_width` and `title_height` are kept free along its upper edge."""

    key: Key
    members: tuple["Leaf | Box", ...]
    title_width: float
    title_height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined:
    """One link between leaves, wherever they are. Those with the same `via` share their gates."""

    source: Key
    target: Key
    via: Key


@dataclass(frozen=True, slots=True, kw_only=True)
class Rectangle:
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A link or a part of one: straight through each (left, right, height), and curved between them."""

    stretches: tuple[tuple[float, float, float], ...]
    arrow_at: str = ""
    """`end`, or `start` where the link runs against the direction of the picture; empty for no arrow."""
    is_broken: bool = False


@dataclass(slots=True, kw_only=True)
class Laid:
    """Everything inside of one box, as seen from its upper left corner; `gates`: how far down its edge each gate is."""

    width: float
    height: float
    rectangles: dict[Key, Rectangle] = field(default_factory=dict)
    routes: list[Route] = field(default_factory=list)
    gates: dict[Key, float] = field(default_factory=dict)

    def shifted(self, x: float, y: float) -> "Laid":
        return replace(
            self,
            rectangles={key: replace(one, x=one.x + x, y=one.y + y) for key, one in self.rectangles.items()},
            routes=[
                replace(
                    one, stretches=tuple((left + x, right + x, height + y) for left, right, height in one.stretches)
                )
                for one in self.routes
            ],
        )
