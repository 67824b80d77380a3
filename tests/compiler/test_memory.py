"""What is remembered is what would be worked out: the same tree, the same diagnostics, whatever was compiled before."""

from typing import Any, TypeVar

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from gitopsd.compiler.back import Compiled, compile_back
from gitopsd.compiler.front import compile_front
from gitopsd.model.artifacts import ArtifactState
from gitopsd.model.memory import Forgetful, Memory, memory_key
from tests.compiler.cases import GOLDEN, RUNTIME, Case, cases, library
from tests.compiler.repositories import REPOSITORIES, Repository
from tests.contents import in_memory

T = TypeVar("T")


class Remembering:
    """Keeps what a disk would: bytes. Counts what it could give back."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.hits: dict[str, int] = {}

    def recall(self, key: str, kind: type[T]) -> T | None:
        row = self.rows.get(key)
        if row is None:
            return None
        name = key.partition(":")[0]
        self.hits[name] = self.hits.get(name, 0) + 1
        return msgspec.msgpack.decode(row, type=kind)

    def keep(self, key: str, value: object) -> None:
        row = msgspec.msgpack.encode(value)
        assert self.rows.get(key, row) == row, f"{key} stands for two values"
        self.rows[key] = row


def compiled_with(memory: Memory, source: dict[str, bytes], state: ArtifactState) -> Compiled:
    front = compile_front(in_memory(source), None, memory)
    return compile_back(front, state, RUNTIME, {}, memory, library=library)


def outcome(compiled: Compiled) -> Any:
    return compiled.rendering.id if compiled.rendering else [str(one) for one in compiled.diagnostics]


@settings(max_examples=40)
@given(repositories=st.lists(REPOSITORIES, min_size=2, max_size=4))
def test_a_memory_of_other_versions_changes_nothing(repositories: list[Repository]) -> None:
    memory = Remembering()
    state = ArtifactState()
    for repository in (*repositories, *repositories):
        source = repository.source()
        with_memory, without = compiled_with(memory, source, state), compiled_with(Forgetful(), source, state)
        assert outcome(with_memory) == outcome(without)
        if with_memory.rendering and without.rendering:
            assert with_memory.rendering.tree() == without.rendering.tree()
            assert with_memory.placement is not None
            state = ArtifactState(placement=with_memory.placement.jobs)


def test_every_golden_case_says_the_same_from_memory() -> None:
    memory = Remembering()
    for case in cases():
        if case.settings.get("environment"):
            continue
        source = case.source()
        first = compiled_with(memory, source, ArtifactState())
        again = compiled_with(memory, source, ArtifactState())
        assert outcome(again) == outcome(first) == outcome(compiled_with(Forgetful(), source, ArtifactState())), (
            case.path
        )


def test_a_changed_workflow_is_the_only_one_that_is_compiled_again() -> None:
    source = {
        f"workflows/{name}.yaml": b"""\
workflow: %s
steps:
  collect: {use: std/read-files, with: {glob: /srv/in/*}, out: raw, place: {group: edge}}
  deliver: {use: std/write-files, in: raw, with: {path: /srv/%s}, place: {group: edge}}
channels: {raw: {transport: worker}}
"""
        % (name.encode(), name.encode())
        for name in ("one", "two", "three")
    }
    fleet = b"groups: {edge: {workers: {edge-1: {connection: local, service_manager: supervisor}}}}"
    source |= {
        "gitopsd.yaml": b"environments: {production: {fleet: fleets/production.yaml}}",
        "fleets/production.yaml": fleet,
    }
    memory = Remembering()
    assert compiled_with(memory, source, ArtifactState()).rendering is not None
    before = set(memory.rows)
    source["workflows/two.yaml"] = source["workflows/two.yaml"].replace(b"/srv/in/*", b"/srv/in/*.jsonl")
    compiled = compiled_with(memory, source, ArtifactState())
    assert compiled.rendering is not None
    new = sorted(key.partition(":")[0] for key in set(memory.rows) - before)
    assert new == ["declaration", "flow", "outline", "release", "rendered", "sound"]
    assert memory.hits["flow"] == 2


def test_an_edit_of_a_module_reaches_the_workflows_that_use_it() -> None:
    case = Case(path=GOLDEN / "the-example-of-the-design")
    source = case.source()
    memory = Remembering()
    first = compile_front(in_memory(source), None, memory).flows[0]
    assert first.summary
    source["modules/mark.yaml"] = (
        source["modules/mark.yaml"]
        .replace(b"level:", b"loud:", 1)
        .replace(b"params.level", b"params.loud")
        .replace(b"{level: {type", b"{loud: {type")
    )
    changed = compile_front(in_memory(source), None, memory)
    assert {diagnostic.code for diagnostic in changed.diagnostics} <= {"unknown-parameter", "missing-parameter"}
    assert changed.diagnostics, "the module's user gives it a value by the old name"
    source["modules/mark.yaml"] = case.source()["modules/mark.yaml"] + b"\n# a comment\n"
    commented = compile_front(in_memory(source), None, memory).flows[0]
    assert commented.summary
    assert commented.key != first.key
    assert commented.summary.digest == first.summary.digest, "a comment compiles to the same"


def test_where_one_part_of_a_key_ends_counts() -> None:
    assert memory_key("a", "bc", "d") != memory_key("a", "b", "cd")
    assert memory_key("a", ["b", "c"]) != memory_key("a", ["b"], ["c"])
    assert memory_key("a", ["b"]) != memory_key("a", "b")


def test_a_change_of_a_file_that_a_parameter_comes_from_is_compiled() -> None:
    case = Case(path=GOLDEN / "engines")
    source = case.source()
    memory = Remembering()
    first = compiled_with(memory, source, ArtifactState())
    source["files/large-orders.conf"] += b"# a comment\n"
    changed = compiled_with(memory, source, ArtifactState())
    assert first.rendering
    assert changed.rendering
    assert changed.rendering.id != first.rendering.id
    assert outcome(changed) == outcome(compiled_with(Forgetful(), source, ArtifactState()))
