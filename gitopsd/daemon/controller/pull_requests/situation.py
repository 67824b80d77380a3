"""What every plan of a pull request follows from, besides its head: where that moves, they are planned again."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import msgspec

from gitopsd import __version__
from gitopsd.daemon.configuration.policy import published_policy
from gitopsd.daemon.controller.looker import Seen
from gitopsd.daemon.convergence.attempts import attempts_of
from gitopsd.daemon.holds.holds import hold_lines, holds_of
from gitopsd.daemon.workspace import Workspace
from gitopsd.repo.artifacts import ArtifactBranch, ArtifactHead, read_head


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """`base` is the source branch's commit and `branch` its name; `digests` stand for each environment's own part."""

    base: str
    branch: str
    environments: Mapping[str, ArtifactBranch]
    heads: Mapping[str, ArtifactHead | None]
    digests: Mapping[str, str]

    def key(self, environment: str, head: str) -> str:
        """What stands for all that the plan of that head follows from."""
        return _digest([head, self.base, environment, self.digests.get(environment, "")])


def situation_of(workspace: Workspace, seen: Seen, branch: str) -> Situation:
    """As it is here by now. Raises RepositoryError."""
    heads = {name: read_head(workspace.repository, one) for name, one in seen.environments.items()}
    digests = {
        name: _digest(
            [
                __version__,
                head.commit.id if (head := heads[name]) else "",
                seen.pins.get(name, ""),
                workspace.configuration.policy,
                published_policy(workspace.configuration),
                attempts_of(workspace, one).drift(),
                hold_lines(holds_of(replace(workspace, environment=name, branch=one), head, datetime.now(UTC))),
            ]
        )
        for name, one in seen.environments.items()
    }
    return Situation(base=seen.source, branch=branch, environments=seen.environments, heads=heads, digests=digests)


def _digest(parts: list[object]) -> str:
    encoded = msgspec.json.encode([None if one is msgspec.UNSET else one for one in parts], order="sorted")
    return hashlib.sha256(encoded).hexdigest()[:40]
