"""The tests of a repository: `tests/*.yaml`, each test bound to what it tests and rendered as far as it runs.

No part of compiling a version: a test that is wrong keeps nothing from being deployed.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgspec
from msgspec import UNSET, UnsetType

from gitopsd.compiler.declarations.decode import decode
from gitopsd.compiler.link import Linked
from gitopsd.compiler.load import missing_path
from gitopsd.compiler.local.entrances import entrances
from gitopsd.compiler.local.run import LocalRun, Wishes
from gitopsd.compiler.local.subject import Name, NoSubject, Subject, bind_subject
from gitopsd.compiler.local.wiring import wire
from gitopsd.compiler.yaml.reader import Document, read_yaml
from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.event_tests import TESTS_FOLDER, EventTest, EventTests, Expected, Given
from gitopsd.model.names import did_you_mean
from gitopsd.model.source import Files


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What must come to a channel: `is_exact` and in order where a bare list was written."""

    channel: str
    label: str
    place: Location
    expected: Expected


@dataclass(frozen=True, slots=True, kw_only=True)
class EventCase:
    """One test, ready to be run. `given`: channel -> lines with their ends."""

    name: str
    place: Location
    run: LocalRun
    given: Mapping[str, bytes]
    expectations: tuple[Expectation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredTest:
    """One test as it was read. `way` leads to it in its document."""

    name: str
    test: EventTest
    document: Document

    @property
    def way(self) -> tuple[str, str]:
        return ("tests", self.name)

    @property
    def place(self) -> Location:
        return self.document.locate_key(*self.way)


def read_tests(files: Files) -> tuple[tuple[DeclaredTest, ...], list[Diagnostic]]:
    """Every test in the files directly in `tests/`; what lies deeper are files of events, and the tests' own affair."""
    found: list[DeclaredTest] = []
    diagnostics: list[Diagnostic] = []
    for path in sorted(files):
        name = path.removeprefix(f"{TESTS_FOLDER}/")
        if "/" in name or name.startswith("."):
            continue
        if name.endswith(".yml"):
            diagnostics.append(_misnamed(path))
        if not name.endswith(".yaml"):
            continue
        document, mistakes = read_yaml(path, files[path].data)
        diagnostics += mistakes
        if mistakes and document.value is None:
            continue
        declared, more = decode(document, EventTests)
        diagnostics += more
        if declared is not None and not mistakes:
            found += [DeclaredTest(name=test, test=one, document=document) for test, one in declared.tests.items()]
    return tuple(found), diagnostics


def _misnamed(path: str) -> Diagnostic:
    return Diagnostic(
        code="misplaced-file",
        message=f"{TESTS_FOLDER}/ holds .yaml files, and this is not one",
        location=Location(path=path),
        hint=f"rename it to {path.removesuffix('.yml')}.yaml",
    )


def prepare_test(linked: Linked, declared: DeclaredTest, files: Files) -> tuple[EventCase | None, list[Diagnostic]]:
    """`files` are those of `tests/`: events may come from one of them. The test is for the environment that is linked.

    What is wrong with the version itself has been said before.
    """
    preparing = _Preparing(linked, declared, files)
    case = preparing.case()
    return (None if preparing.diagnostics else case), preparing.diagnostics


class _Preparing:
    def __init__(self, linked: Linked, declared: DeclaredTest, files: Files) -> None:
        self._linked = linked
        self._declared = declared
        self._test = declared.test
        self._files = files
        self.diagnostics: list[Diagnostic] = []

    def case(self) -> EventCase | None:
        subject = self._subject()
        if subject is None:
            return None
        given, contents = self._given(subject)
        run, mistakes = wire(subject, Wishes(given=[*given], contents=contents))
        self.diagnostics += mistakes
        if run is None:
            return None
        return EventCase(
            name=self._declared.name,
            place=self._declared.place,
            run=run,
            given=given,
            expectations=tuple(self._expectations(subject, run)),
        )

    def _subject(self) -> Subject | None:
        name = self._name()
        if name is None:
            return None
        try:
            subject, mistakes = bind_subject(self._linked, name, self._test.params)
        except NoSubject as unknown:
            way = ("params", unknown.at) if unknown.at in self._test.params else (unknown.at,)
            self._report(unknown.code, str(unknown), *way, hint=unknown.hint)
            return None
        self.diagnostics += mistakes
        return subject

    def _name(self) -> Name | None:
        test = self._test
        workflow, step, module = (
            "" if isinstance(one, UnsetType) else one for one in (test.workflow, test.step, test.module)
        )
        if workflow and module:
            message = "a test is of a `workflow` or of a `module`, and this one names both"
            self._report("conflicting-keys", message, "module", hint="remove one of them")
        elif not workflow and not module:
            message = f"the test `{self._declared.name}` names neither a `workflow` nor a `module`"
            self._report("missing-key", message, hint="add `workflow: NAME` or `module: NAME`")
        elif step and module:
            message = "`step` names a step of a workflow, and this is a test of a module"
            self._report("conflicting-keys", message, "step", hint="remove it: a module is tested as a whole")
        else:
            return Name(workflow=workflow, step=step, module=module)
        return None

    def _given(self, subject: Subject) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """Channel -> lines, and reading step -> the content of its file."""
        given: dict[str, bytes] = {}
        contents: dict[str, bytes] = {}
        known = entrances(subject)
        for port, events in self._test.in_.items():
            if port not in known:
                self._unknown_port(subject, "in", port, known)
                continue
            lines = self._lines(port, events, is_file=bool(known[port].reader))
            if lines is not None and known[port].reader:
                contents[known[port].reader] = lines
            elif lines is not None:
                given[known[port].channel] = lines
        return given, contents

    def _lines(self, port: str, events: list[object] | Given, *, is_file: bool) -> bytes | None:
        """`is_file`: for a step that reads files, where a line may be blank."""
        if not isinstance(events, Given):
            return b"".join(msgspec.json.encode(event) + b"\n" for event in events)
        if (events.lines is UNSET) == (events.file is UNSET):
            message = "events are given as `lines` or as a `file`, one of the two"
            self._report("conflicting-keys", message, "in", port, hint="or write a list of events")
            return None
        if isinstance(events.lines, UnsetType):
            return self._file(port, str(events.file), is_file=is_file)
        for number, line in enumerate(events.lines):
            if "\n" in line or "\r" in line or not (line or is_file):
                message = "an event is one line, and this text is not"
                self._report("wrong-value", message, "in", port, "lines", number, hint="make several lines of it")
                return None
        return b"".join(line.encode("utf-8", "surrogatepass") + b"\n" for line in events.lines)

    def _file(self, port: str, name: str, *, is_file: bool) -> bytes | None:
        path = f"{TESTS_FOLDER}/{name}"
        if path not in self._files:
            others = (known.removeprefix(f"{TESTS_FOLDER}/") for known in self._files)
            below = [other for other in others if "/" in other or not other.endswith(".yaml")]
            place = self._declared.document.locate(*self._declared.way, "in", port, "file")
            self.diagnostics.append(missing_path("the file of events, below tests/,", name, place, below))
            return None
        data = self._files[path].data
        if is_file:
            return data
        lines = [line.rstrip(b"\r") for line in data.split(b"\n")]
        return b"".join(line + b"\n" for line in lines if line)

    def _expectations(self, subject: Subject, run: LocalRun) -> Iterator[Expectation]:
        places = {channel.label: channel.name for channel in run.channels.values()}
        places = {**places, **subject.outputs}
        if subject.name.step or subject.name.module:
            known = {**subject.outputs, **{one.label: one.name for one in run.channels.values() if not one.is_bound}}
        else:
            known = places
        for port, events in self._test.out.items():
            if port not in known:
                self._unknown_port(subject, "out", port, known)
                continue
            expected = events if isinstance(events, Expected) else Expected(exactly=events)
            kinds = [one for one in (expected.exactly, expected.contains, expected.count) if one is not UNSET]
            if len(kinds) != 1:
                message = "what must come out is said with one of `exactly`, `contains` and `count`"
                self._report("conflicting-keys", message, "out", port, hint="or write a list of events")
            elif not self._is_written(run, known[port], port):
                continue
            else:
                place = self._declared.document.locate_key(*self._declared.way, "out", port)
                yield Expectation(channel=known[port], label=port, place=place, expected=expected)

    def _is_written(self, run: LocalRun, channel: str, port: str) -> bool:
        """A channel that no step of the run writes to would be empty whatever the workflow does."""
        if self.diagnostics or any(step.is_run and channel in step.outputs.values() for step in run.steps):
            return True  # or what is given is wrong, and that has been said
        writers = [step for step in run.steps if channel in step.outputs.values()]
        why = f": `{writers[0].name}` isn't run, {writers[0].why or 'its events are given'}" if writers else ""
        message = f"nothing that the test runs writes to `{port}`{why}"
        self._report("wrong-value", message, "out", port, hint="give events further up, or expect something else")
        return False

    def _unknown_port(self, subject: Subject, side: str, port: str, known: Iterable[str]) -> None:
        whole = not (subject.name.step or subject.name.module)
        kind = "channel" if whole else "port"
        self._report(
            "unknown-channel" if whole else "unknown-port",
            f"`{subject.name}` has no {kind} `{port[:80]}`" + ("" if whole else f" on its `{side}` side"),
            side,
            port,
            hint=did_you_mean(port, known) or f"it has none: `{side}:` can't name any",
        )

    def _report(self, code: str, message: str, *way: str | int, hint: str = "") -> None:
        place = self._declared.document.locate_key(*self._declared.way, *way)
        self.diagnostics.append(Diagnostic(code=code, message=message, location=place, hint=hint))
