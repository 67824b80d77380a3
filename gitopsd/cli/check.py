from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import click

from gitopsd.cli import exit_codes
from gitopsd.cli.diagnostic_formats import Format, encode_diagnostics
from gitopsd.cli.failure import show_diagnostics
from gitopsd.cli.session import Session
from gitopsd.daemon.local_run.event_testing import TestedVersion, TestFailure, find_tests, run_tests
from gitopsd.daemon.planning.checking import check_version
from gitopsd.model.diagnostic import Diagnostic, has_errors, in_order
from gitopsd.model.excerpt import Sources, format_diagnostic, printable
from gitopsd.repo.source import FileContents, SourceTree

_MOST_LINES = 60
"""Of the difference of one expectation that people are shown; the other formats have all of it."""


@click.command()
@click.argument("revision", metavar="[REV]", required=False)
@click.option("--test", is_flag=True, help="Also run the tests in tests/. This runs the repository's programs as you.")
@click.option(
    "--timeout", metavar="SECONDS", type=click.FloatRange(min=0.1, max=86_400), default=30.0, show_default=True,
    help="With --test: end a test after this long.",
)  # fmt: skip
@click.option(
    "--format", "style", type=click.Choice(["text", "json", "github", "sarif"]), default="text", show_default=True
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.pass_obj
def check(
    session: Session,
    revision: str | None,
    style: Literal["text"] | Format,
    *,
    test: bool,
    timeout: float,
    as_json: bool,
) -> int:
    """Check the work tree as it is, or the version REV, without planning against what is deployed.

    Without --env every environment is checked.

    Exit code 0: clean; 1: errors, or a test failed.
    """
    workspace = session.workspace()
    source = workspace.source(revision)
    tests = workspace.tests(revision, source)
    diagnostics, contents = check_version(workspace, source)
    tested = TestedVersion(cases=(), diagnostics=())
    if not has_errors(diagnostics):
        tested = find_tests(workspace, source, tests)
        diagnostics = in_order([*diagnostics, *tested.diagnostics])
        contents = {**contents, **_quoted(tests, tested.diagnostics)}
    results: list[list[TestFailure]] = []
    if test and not has_errors(diagnostics):
        results = [found for _, found in run_tests(tested.cases, timeout)]
    failures = [failure for found in results for failure in found]
    chosen = "json" if as_json else style
    if chosen != "text":
        failed = [_whole(failure) for failure in failures]
        click.echo(encode_diagnostics(in_order([*diagnostics, *failed]), chosen), nl=False)
    else:
        if diagnostics:
            show_diagnostics(diagnostics, contents)
        _show_failures(failures, FileContents({**source.files, **tests.files}))
        if not has_errors(diagnostics):
            click.echo(_summary(source, tested, sum(bool(found) for found in results), was_run=test))
    return exit_codes.FAILED if failures or has_errors(diagnostics) else 0


def _quoted(tests: SourceTree, diagnostics: Sequence[Diagnostic]) -> Mapping[str, bytes]:
    paths = {one.location.path for one in diagnostics} & tests.files.keys()
    return {path: tests.files[path].data for path in sorted(paths)}


def _whole(failure: TestFailure) -> Diagnostic:
    """With the difference in its message, for programs that show nothing else."""
    return replace(failure.diagnostic, message="\n".join([failure.diagnostic.message, *failure.difference]))


def _show_failures(failures: Sequence[TestFailure], contents: Sources) -> None:
    for failure in failures:
        click.echo(format_diagnostic(failure.diagnostic, contents), err=True)
        for line in failure.difference[:_MOST_LINES]:
            click.echo(f"    {printable(line)}", err=True)
        if len(failure.difference) > _MOST_LINES:
            click.echo(f"    … {len(failure.difference) - _MOST_LINES} more lines: see `--json`", err=True)
        click.echo(err=True)


def _summary(source: SourceTree, tested: TestedVersion, failed: int, *, was_run: bool) -> str:
    clean = f"no errors in {len(source.files)} files"
    count = len(tested.cases)
    if not was_run:
        return clean + (f"; `--test` runs {_tests(count)}" if count else "")
    if not count:
        return f"{clean}, and there are no tests: they go to tests/"
    return f"{clean}; {_tests(count)}: {count - failed} passed" + (f", {failed} failed" if failed else "")


def _tests(count: int) -> str:
    return f"{count} test{'' if count == 1 else 's'}"
