"""Says on a fork's pull request, once, that it isn't planned, and what can be done about it."""

import hashlib

from gitopsd.daemon.configuration.configuration import ForgeConfiguration
from gitopsd.daemon.controller.pull_requests.reach import Reach
from gitopsd.daemon.controller.pull_requests.situation import Situation
from gitopsd.daemon.pull_requests.shown import Shown
from gitopsd.forge.forge import PullRequest
from gitopsd.planner.comment.comment import marker

_WHY = """\
### Not planned

This pull request comes from a fork, and what forks propose is not planned here: nothing of it was fetched or read.

To have it planned, somebody who may push to this repository pushes its commits to a branch here and opens a pull
request from that one; or the operator allows it for all forks, with `forks: plan` under `forge`.

To see what it would do without that, run in a clone:

```sh
git fetch origin {ref}
gitopsd comment --head FETCH_HEAD --dry-run
```
"""
_NO_LONGER = "### Not planned any more\n\nWhat forks propose is not planned here.\n"


def is_refused(pull_request: PullRequest, branch: str, settings: ForgeConfiguration) -> bool:
    """Whether it would be planned if it came from the repository itself."""
    return pull_request.base_ref == branch and pull_request.from_fork and settings.forks == "refuse"


def refuse(reach: Reach, pull_request: PullRequest, situation: Situation) -> bool:
    """Whether anything had to be said. It stands where the plan of the first environment would, which takes its place
    once forks are planned; what was shown of others is taken back. Raises ForgeError.
    """
    first = reach.only or min(situation.environments, default="")
    if not first:
        return False
    number, known = pull_request.number, reach.memory.shown(pull_request.number)
    text = _WHY.format(ref=reach.forge.head_ref(number))
    token = hashlib.sha256(text.encode()).hexdigest()[:40]
    others = sorted(known.keys() - {first})
    if not others and first in known and known[first].text == token:
        return False
    for name in others:
        reach.forge.upsert_comment(number, marker(name), f"{marker(name)}\n{_NO_LONGER}")
        reach.memory.forget(number, [name])
    reach.forge.upsert_comment(number, marker(first), f"{marker(first)}\n{text}")
    reach.memory.show(number, first, Shown(head="", text=token))
    return True
