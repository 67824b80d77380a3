"""Declarations of `tests/*.yaml`: sample events of a workflow, module or step, and what must come of them."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field

from gitopsd.model.names import Name, ParameterName

TESTS_FOLDER = "tests"
MAX_EVENTS = 10_000
"""Of one port: more is a measurement, not an example."""

MAX_CONTAINED = 500
"""Each is compared with each that came."""

TestName = Annotated[str, Meta(min_length=1, max_length=120)]
PortOrChannel = Annotated[str, Meta(min_length=1, max_length=400)]
Events = Annotated[list[Any], Meta(max_length=MAX_EVENTS)]


class Given(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Events that aren't written as YAML: one of the two."""

    lines: Annotated[
        Annotated[list[str], Meta(max_length=MAX_EVENTS)] | UnsetType,
        Meta(description="lines as they are, such as ones that aren't JSON"),
    ] = UNSET
    file: Annotated[str | UnsetType, Meta(description="a file of lines, by its path below tests/")] = UNSET


class Expected(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What must come out where a bare list says too much: one of `exactly`, `contains` and `count`."""

    exactly: Annotated[Events | UnsetType, Meta(description="these events and no others")] = UNSET
    contains: Annotated[
        Annotated[list[Any], Meta(max_length=MAX_CONTAINED)] | UnsetType,
        Meta(description="each matches another event; an object matches one that has its keys, and maybe more"),
    ] = UNSET
    count: Annotated[Annotated[int, Meta(ge=0)] | UnsetType, Meta(description="so many events, whatever they are")] = (
        UNSET
    )
    ordered: Annotated[bool, Meta(description="of `exactly`: whether they come in this order")] = True


class EventTest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One test: of a `workflow`, of one `step` of it, or of a `module`."""

    workflow: Annotated[Name | UnsetType, Meta(description="the workflow that is tested")] = UNSET
    step: Annotated[
        str | UnsetType, Meta(description="only this step of the workflow; inside a module: OUTER.INNER")
    ] = UNSET
    module: Annotated[Name | UnsetType, Meta(description="the module that is tested, by itself")] = UNSET
    environment: Annotated[
        Name | UnsetType, Meta(description="whose values count; by default the one chosen, else the first")
    ] = UNSET
    params: Annotated[
        dict[ParameterName, Any], Meta(description="values of the workflow's or module's parameters, before all others")
    ] = field(default_factory=dict)
    in_: Annotated[
        dict[PortOrChannel, Events | Given],
        Meta(min_length=1, description="port of the step or module, or channel of the workflow -> events"),
    ] = field(name="in")
    out: Annotated[
        dict[PortOrChannel, Events | Expected],
        Meta(min_length=1, description="port or channel -> what must come out there; a bare list: exactly these"),
    ]


class EventTests(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A file of tests."""

    tests: Annotated[dict[TestName, EventTest], Meta(min_length=1, description="what is tested, in words -> the test")]
