"""What a blueprint of kind `schedule` must be, whether a step uses it or not; expressions are left to rendering."""

from collections.abc import Iterator

from msgspec import UNSET, UnsetType

from gitopsd.compiler.calendar import CalendarError, check_calendar
from gitopsd.compiler.expressions.texts import has_expression
from gitopsd.compiler.yaml.reader import Document
from gitopsd.model.blueprint import Blueprint, Job
from gitopsd.model.diagnostic import Diagnostic, Location, Related

BAD_SCHEDULE_HINT = "write a calendar event such as `*-*-* 02:00:00`, `Mon..Fri 08:30` or `hourly`: systemd.time(7)"
READS_HINT = "let a service read the channel, or remove the port: events never end, and a scheduled job must"


def check_schedule(blueprint: Blueprint, document: Document) -> Iterator[Diagnostic]:
    job = blueprint.job
    yield from _check_text(job, document)
    if has_expression(job.kind):
        return
    if job.kind == "schedule":
        yield from _check_scheduled(blueprint, document)
    elif job.schedule is not UNSET:
        message = f"`schedule` is for a job of kind `schedule`, and this one's kind is `{job.kind[:40]}`"
        hint = "write `kind: schedule`, or remove `schedule`"
        yield _conflict(message, document.locate_key("job", "schedule"), _kind(document), hint)


def _check_scheduled(blueprint: Blueprint, document: Document) -> Iterator[Diagnostic]:
    job = blueprint.job
    if job.schedule is UNSET:
        yield Diagnostic(
            code="missing-key",
            message="the job's kind is `schedule`, and it doesn't say when it runs",
            location=document.locate("job", "kind"),
            hint='add `schedule: "*-*-* 02:00:00"`',
        )
    for port in blueprint.in_:
        yield Diagnostic(
            code="schedule-reads",
            message="a scheduled job can't read a channel",
            location=document.locate_key("in", port),
            related=(Related(message="it is scheduled here", location=_kind(document)),),
            hint=READS_HINT,
        )
    hint = "remove it: a run that is under way ends by itself, and the next one is of the new version"
    if job.on_change != "restart":
        message = "`on_change` is for what is kept running, and a scheduled job isn't"
        yield _conflict(message, document.locate_key("job", "on_change"), _kind(document), hint)
    if not isinstance(job.ready, UnsetType) and job.ready != "none":
        message = "`ready` is for what is kept running, and a scheduled job isn't"
        yield _conflict(message, document.locate_key("job", "ready"), _kind(document), "remove it")


def _check_text(job: Job, document: Document) -> Iterator[Diagnostic]:
    if isinstance(job.schedule, UnsetType) or has_expression(job.schedule):
        return
    try:
        check_calendar(job.schedule)
    except CalendarError as error:
        yield Diagnostic(
            code="bad-schedule",
            message=bad_schedule(job.schedule, error),
            location=document.locate_within(("job", "schedule"), *error.within),
            hint=BAD_SCHEDULE_HINT,
        )


def bad_schedule(text: str, error: CalendarError) -> str:
    return f"the schedule `{text[:60]}` can't be read: {error}"


def _kind(document: Document) -> Location:
    """Where the kind is written; the job where it is left to its default."""
    return document.locate_key("job", "kind")


def _conflict(message: str, second: Location, first: Location, hint: str) -> Diagnostic:
    return Diagnostic(
        code="conflicting-keys",
        message=message,
        location=second,
        related=(Related(message="the other one is here", location=first),),
        hint=hint,
    )
