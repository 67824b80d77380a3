"""What a blueprint must be beyond its declaration, whether a step uses it or not."""

from collections.abc import Collection, Iterator

from msgspec import UNSET, UnsetType

from gitopsd.compiler.checks.schedule import check_schedule
from gitopsd.compiler.expressions.diagnostics import expression_diagnostic
from gitopsd.compiler.expressions.texts import expression_mistakes, has_expression
from gitopsd.compiler.load import missing_path
from gitopsd.compiler.parameters import parameter_mistakes
from gitopsd.compiler.parse import Declared
from gitopsd.compiler.paths import is_below, path_outside
from gitopsd.compiler.placement.features import parse_requirement
from gitopsd.compiler.render.unit_settings import PRIVILEGES, SETTINGS, UnitValueError, setting_text
from gitopsd.compiler.yaml.places import Pointer
from gitopsd.compiler.yaml.reader import Document
from gitopsd.model.blueprint import Blueprint, Job, ReadyCheck, ShippedFile
from gitopsd.model.diagnostic import Diagnostic, Related
from gitopsd.model.names import did_you_mean

KINDS = ("service", "once", "schedule")
SCOPE = frozenset({"params", "worker", "step", "job", "environment"})
"""Names that expressions under `job:` may use."""


def check_blueprint(declared: Declared[Blueprint], shipped: Collection[str]) -> Iterator[Diagnostic]:
    document, job = declared.document, declared.value.job
    yield from parameter_mistakes(declared.value.params, document)
    yield from _check_requirements(declared)
    yield from _check_ports(declared)
    yield from _check_program(job, document)
    yield from _check_kind(job, document)
    yield from _check_unit(job, document)
    yield from _check_files(job, document, shipped)
    yield from check_schedule(declared.value, document)
    written = {"kind": job.kind, "schedule": job.schedule, "exec": job.exec, "with": job.with_}
    written["validate"] = job.validate
    for error in expression_mistakes({**written, "writes": job.writes, "unit": job.unit, "files": job.files}, SCOPE):
        yield expression_diagnostic(error, document, ("job",))


def _check_requirements(declared: Declared[Blueprint]) -> Iterator[Diagnostic]:
    for index, feature in enumerate(declared.value.requires.features):
        if parse_requirement(feature) is None:
            yield Diagnostic(
                code="bad-feature",
                message=f"the requirement `{feature[:60]}` can't be read",
                location=declared.document.locate("requires", "features", index),
                hint="write a name, or a name and a version, such as `python3>=3.9`",
            )


def _check_ports(declared: Declared[Blueprint]) -> Iterator[Diagnostic]:
    """A plain filter has one way in and one way out: the runner joins these two to its stdin and stdout."""
    for side, ports in (("in", declared.value.in_), ("out", declared.value.out)):
        for name, port in ports.items():
            if "stdio" in port.speaks and (name != "default" or declared.value.job.exec is UNSET):
                yield Diagnostic(
                    code="bad-port",
                    message=f"the port `{name}` can't speak stdio",
                    location=declared.document.locate_key(side, name),
                    hint="only the port `default` of a blueprint with `exec` can: it is the program's stdin or stdout",
                )
            if isinstance(port.named_by, str):
                yield from _check_naming(declared, side, name, port.named_by)


def _check_naming(declared: Declared[Blueprint], side: str, name: str, parameter: str) -> Iterator[Diagnostic]:
    params = declared.value.params
    if parameter not in params or params[parameter].type != "map":
        maps = [key for key, known in params.items() if known.type == "map"]
        yield Diagnostic(
            code="bad-port",
            message=f"`{parameter}` can't name ports: it isn't a parameter of the type map",
            location=declared.document.locate(side, name, "named_by"),
            hint=did_you_mean(parameter, maps) or f"declare it: `params: {{{parameter}: {{type: map}}}}`",
        )


def _check_program(job: Job, document: Document) -> Iterator[Diagnostic]:
    if job.exec is UNSET and job.runner is UNSET:
        yield Diagnostic(
            code="missing-key",
            message="the job says neither `exec` nor `runner`",
            location=document.locate_key("job"),
            hint="add `exec: [PROGRAM, ARGUMENT]`",
        )
    if job.exec is not UNSET and job.runner is not UNSET:
        yield _conflict("the job says both `exec` and `runner`", document, ("job", "runner"), ("job", "exec"))
    elif job.with_ and job.runner is UNSET:
        yield _conflict(
            "`with` is for a `runner`, and the job has none", document, ("job", "with"), ("job", "exec"),
            hint="pass what the program needs as arguments, or in a file under `files:`",
        )  # fmt: skip
    yield from _check_own_program(job, document)
    if isinstance(job.ready, ReadyCheck):
        given = [kind for kind in ("tcp", "http") if not isinstance(getattr(job.ready, kind), UnsetType)]
        if len(given) == 2:
            yield _conflict(
                "`ready` takes one of `tcp` and `http`", document, ("job", "ready", "http"), ("job", "ready", "tcp")
            )
        elif not given:
            yield Diagnostic(
                code="missing-key",
                message="`ready` says neither `tcp` nor `http`",
                location=document.locate_key("job", "ready"),
                hint="write `ready: {tcp: PORT}`, or `ready: none`",
            )


def _check_own_program(job: Job, document: Document) -> Iterator[Diagnostic]:
    """What only a program of the blueprint's own can be told."""
    given = {"validate": job.validate, "directory": job.directory, "input": job.input}
    for key in (key for key, value in given.items() if value is not UNSET and job.runner is not UNSET):
        yield _conflict(
            f"`{key}` is for an `exec`, and the job has none", document, ("job", key), ("job", "runner"),
            hint=f"remove `{key}`: the runner's roles need none",
        )  # fmt: skip


def _conflict(
    message: str, document: Document, second: Pointer, first: Pointer, hint: str = "keep one of the two"
) -> Diagnostic:
    return Diagnostic(
        code="conflicting-keys",
        message=message,
        location=document.locate_key(*second),
        related=(Related(message="the other one is here", location=document.locate_key(*first)),),
        hint=hint,
    )


def _check_kind(job: Job, document: Document) -> Iterator[Diagnostic]:
    if job.kind not in KINDS and not has_expression(job.kind):
        yield Diagnostic(
            code="wrong-value",
            message=f"a job's kind can't be `{job.kind[:40]}`",
            location=document.locate("job", "kind"),
            hint=did_you_mean(job.kind, KINDS),
        )


def _check_unit(job: Job, document: Document) -> Iterator[Diagnostic]:
    for name, value in job.unit.items():
        way = ("job", "unit", name)
        try:
            if name not in {**SETTINGS, **PRIVILEGES} or not has_expression(value):
                setting_text(name, value)
        except UnitValueError as error:
            known = name in {**SETTINGS, **PRIVILEGES}
            yield Diagnostic(
                code="bad-unit-setting",
                message=str(error),
                location=document.locate(*way) if known else document.locate_key(*way),
                hint=error.hint or did_you_mean(name, [*SETTINGS, *PRIVILEGES]),
            )


def _check_files(job: Job, document: Document, shipped: Collection[str]) -> Iterator[Diagnostic]:
    for name, content in job.files.items():
        place = document.locate_key("job", "files", name)
        if not is_below(name):
            yield path_outside(name, place)
        for folder in sorted(job.files.keys() & _folders(name)):
            yield Diagnostic(
                code="path-clash",
                message=f"`{folder}` is a file, and `{name}` needs it as a folder",
                location=place,
                related=(Related(message="the file is here", location=document.locate_key("job", "files", folder)),),
                hint="rename one of the two",
            )
        if isinstance(content, ShippedFile):
            source = document.locate("job", "files", name, "from")
            if not is_below(content.from_):
                yield path_outside(content.from_, source)
            elif content.from_ not in shipped:
                yield missing_path("the file", content.from_, source, shipped)


def _folders(path: str) -> set[str]:
    """`a` and `a/b` for `a/b/c`."""
    parts = path.split("/")
    return {"/".join(parts[:length]) for length in range(1, len(parts))}
