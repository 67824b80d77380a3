"""What a job of kind `schedule` must be, as far as only its own worker and its evaluated blueprint can tell."""

from gitopsd.compiler.calendar import CalendarError, check_calendar
from gitopsd.compiler.checks.schedule import BAD_SCHEDULE_HINT, READS_HINT, bad_schedule
from gitopsd.compiler.render.job_error import JobError
from gitopsd.compiler.route import RoutedJob


def schedule_of(kind: str, given: str) -> str:
    """When a job runs: empty for one of another kind. `given` is what `schedule` came to. Raises JobError."""
    if kind != "schedule":
        if given:
            message = f"`schedule` is for a job of kind `schedule`, and this one's kind is `{kind}`"
            raise JobError("conflicting-keys", message, ("schedule",), "let it come to empty text for that kind")
        return ""
    if not given:
        message = "the job's kind is `schedule`, and it doesn't say when it runs"
        raise JobError("missing-key", message, ("kind",), 'add `schedule: "*-*-* 02:00:00"`')
    try:
        check_calendar(given)
    except CalendarError as error:
        raise JobError("bad-schedule", bad_schedule(given, error), ("schedule",), BAD_SCHEDULE_HINT) from error
    return given


def check_scheduled(routed: RoutedJob) -> None:
    """Raises JobError for one that reads a channel, and where no systemd could start it."""
    if routed.inputs:
        raise JobError("schedule-reads", "a scheduled job can't read a channel", hint=READS_HINT)
    if routed.worker.service_manager != "systemd":
        raise JobError(
            "schedule-needs-systemd",
            f"a scheduled job needs systemd, and `{routed.worker.name}` has `service_manager: supervisor`",
            hint="place the step in a group whose workers have systemd; supervisor runs `service` and `once`",
        )
