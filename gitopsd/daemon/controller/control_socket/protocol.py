"""What goes over the control socket: one request as a line of JSON, then lines of answers until the last one.

The socket is a Unix stream socket that the leading controller listens on; who may connect is up to its permissions.
"""

from msgspec import Struct

from gitopsd.daemon.controller.events import Committed, Event, Held, Refused, Settled

FORMAT = 1
LONGEST_LINE = 16 << 20


class Who(Struct, frozen=True, kw_only=True, tag_field="request", tag="who"):
    """Which repository does it lead, and since when."""

    format: int = FORMAT


class Look(Struct, frozen=True, kw_only=True, tag_field="request", tag="look"):
    """Something was pushed: look at once. Answered when that is noted, not when it is done."""

    format: int = FORMAT
    repository: str = ""


class FollowVersion(Struct, frozen=True, kw_only=True, tag_field="request", tag="follow-version"):
    """Look at once, and tell all that happens in the environments until the version `source` has come to its end in
    each: deployed and rolled out, refused, held, settled, or superseded by a newer one.
    """

    repository: str
    source: str
    format: int = FORMAT


class Converge(Struct, frozen=True, kw_only=True, tag_field="request", tag="converge"):
    """Make the workers equal to the artifact head, which is `head` or newer; tell all that happens until that is done.

    `workers` empty means all. `at_once`: also those that were tried in vain a short while ago.
    """

    repository: str
    environment: str
    head: str = ""
    workers: tuple[str, ...] = ()
    at_once: bool = False
    format: int = FORMAT


class AskState(Struct, frozen=True, kw_only=True, tag_field="request", tag="state"):
    """How are things going?"""

    format: int = FORMAT


Request = Who | AskState | Look | FollowVersion | Converge


class Leader(Struct, frozen=True, kw_only=True, tag_field="answer", tag="leader"):
    """Who leads: the identity of the repository, the environments by now, its process, and where it listens."""

    repository: str
    socket: str
    environments: tuple[str, ...]
    pid: int
    version: str
    since: str
    format: int = FORMAT


class EnvironmentState(Struct, frozen=True, kw_only=True):
    """How far the newest version came, and what keeps workers from being made equal to what is deployed, or empty.

    `outcome` is None while nothing came of it yet. `cycles` counts how often workers were looked at.
    """

    outcome: Refused | Held | Settled | Committed | None = None
    problem: str = ""
    hint: str = ""
    cycles: int = 0


class State(Struct, frozen=True, kw_only=True, tag_field="answer", tag="state"):
    """`looked`: when the branches could be seen last, in seconds since the epoch, 0 before the first time.

    `problem`: what keeps them from being seen since then, or empty. `source` is the version that was seen.
    """

    leader: Leader
    source: str
    looked: float
    problem: str
    environments: dict[str, EnvironmentState]


class Told(Struct, frozen=True, kw_only=True, tag_field="answer", tag="told"):
    event: Event


class Done(Struct, frozen=True, kw_only=True, tag_field="answer", tag="done"):
    """The last answer. `problem` is what kept the request from being followed to its end, or empty."""

    problem: str = ""
    hint: str = ""


Answer = Leader | State | Told | Done
