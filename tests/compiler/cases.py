"""The golden cases: `source/` beside `diagnostics.txt` or `rendered/`, with what else a case is compiled with."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from gitopsd.compiler.back import MAX_RENDERED_BYTES, Compiled, compile_back
from gitopsd.compiler.event_tests import prepare_test, read_tests
from gitopsd.compiler.front import Front, compile_front
from gitopsd.compiler.pins import find_pin, pin_is_a_branch, unknown_pin
from gitopsd.compiler.render.draining import Departures
from gitopsd.model.artifacts import ArtifactState, PlacedWorker
from gitopsd.model.diagnostic import Diagnostic, in_order
from gitopsd.model.excerpt import format_diagnostics
from gitopsd.model.policy import PolicyRecord
from gitopsd.model.trees import BuiltTree, build_tree
from tests.contents import in_memory

GOLDEN = Path(__file__).parents[1] / "golden"
RUNTIME = {"launch.py": (b"# the launcher\n", False), "runner/__main__.py": (b"# the runner\n", False)}
"""Stands in for the runtime, which changes for reasons of its own."""

LIBRARIES = {name: {f"{name}/__init__.py": (b"# a library\n", False)} for name in ("botocore", "nats")}


def library(name: str) -> BuiltTree:
    """Stands in for those that ship beside the runtime."""
    return build_tree(LIBRARIES[name])


Files = dict[str, tuple[bytes, bool]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """`case.json` may hold: environment, cordoned, drained, lost, placement, policy, facts, max_bytes, and `repeat`,
    which is {path, line, times}.

    And `pin`, what the repository has that the pin of the only environment may mean: {tags} or {branch}.
    """

    path: Path

    @property
    def settings(self) -> dict[str, Any]:
        file = self.path / "case.json"
        return dict(json.loads(file.read_text())) if file.exists() else {}

    def source(self) -> dict[str, bytes]:
        root = self.path / "source"
        files = {str(path.relative_to(root)): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}
        repeat = self.settings.get("repeat")
        if repeat:
            files[repeat["path"]] += repeat["line"].encode() * repeat["times"]
        return files

    def compile(self) -> Compiled:
        if "pin" in self.settings:
            return Compiled(diagnostics=(pin_mistake(self.source(), **self.settings["pin"]),))
        return compile_with(self.source(), self.settings)

    def diagnostics(self, compiled: Compiled) -> str:
        text = format_diagnostics(compiled.diagnostics, self.source())
        return f"{text}\n" if text else ""


def pin_mistake(files: dict[str, bytes], *, tags: Sequence[str] = (), branch: str = "") -> Diagnostic:
    """What is said of a pin where the repository has these tags, or a branch of that name at that commit."""
    pin = find_pin(files["gitopsd.yaml"], None)
    assert pin is not None
    return pin_is_a_branch(pin, branch) if branch else unknown_pin(pin, tags)


def compile_with(
    files: dict[str, bytes], settings: dict[str, Any] | None = None, departures: Departures | None = None
) -> Compiled:
    given = settings or {}
    front = compile_front(in_memory(files), given.get("environment"))
    mistakes = mistakes_in_tests(front, files)
    if mistakes:
        return Compiled(diagnostics=mistakes)
    state = ArtifactState(
        placement=given.get("placement", {}),
        cordoned=frozenset(given.get("cordoned", ())),
        drained=frozenset(given.get("drained", ())),
        facts=given.get("facts", {}),
        lost=frozenset(given.get("lost", ())),
        policy=msgspec.convert(given["policy"], PolicyRecord) if "policy" in given else None,
        fleet=msgspec.convert(given.get("fleet", {}), dict[str, PlacedWorker]),
    )
    most = given.get("max_bytes", MAX_RENDERED_BYTES)
    return compile_back(front, state, RUNTIME, {}, library=library, departures=departures, max_bytes=most)


def mistakes_in_tests(front: Front, files: dict[str, bytes]) -> tuple[Diagnostic, ...]:
    """What `check` says of a version's tests beside what compiling says."""
    tests = in_memory({path: data for path, data in files.items() if path.startswith("tests/")})
    declared, found = read_tests(tests)
    for one in declared if front.linked else ():
        assert front.linked is not None
        found += prepare_test(front.linked, one, tests)[1]
    return in_order(found)


def cases() -> list[Case]:
    return [Case(path=path) for path in sorted(GOLDEN.iterdir()) if (path / "source").is_dir()]


def rendered_files(compiled: Compiled) -> Files:
    """The artifact tree as files, without what lies below `runtime/` and `libraries/`."""
    assert compiled.rendering is not None
    tree = compiled.rendering.tree()
    return {
        path: (tree.objects[entry.id].data, entry.mode == 0o100755)
        for path, entry in tree.entries.items()
        if entry.id in tree.objects
        and tree.objects[entry.id].kind == "blob"
        and not {"runtime", "libraries"} & set(path.split("/")[2:3])
    }


def read_rendered(folder: Path) -> Files:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), bool(path.stat().st_mode & 0o100))
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
