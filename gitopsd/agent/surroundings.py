from __future__ import annotations

from typing import TYPE_CHECKING

from .accounts import JOB_USER, find_account, make_job_user
from .directories import make_missing
from .durable import make_directory
from .errors import AgentError, from_os_error

if TYPE_CHECKING:
    from .layout import Layout
    from .release import Job, Release


def prepare(layout: Layout, release: Release) -> dict[str, str]:
    """Make the users and directories that the jobs need; the jobs that can't have theirs, and why.

    Such a job is left as it is, and the others go on.
    """
    if release.jobs:
        make_directory(layout.state, 0o755)
    problems = {job.name: _prepare(layout, job) for job in release.jobs.values()}
    return {job: problem for job, problem in problems.items() if problem is not None}


def _prepare(layout: Layout, job: Job) -> str | None:
    account = None
    try:
        if layout.service_manager == "systemd":
            ours = make_job_user()  # whoever a job runs as, sockets belong to this group
            account = ours if job.user == JOB_USER else find_account(job.user)
            if account is None:
                return f"its user {job.user} does not exist on this worker: make it there"
        for path in job.directories:
            make_missing(path, account, layout)
    except AgentError as error:
        return error.message
    except OSError as error:
        return from_os_error(error).message
    return None
