"""Declaration of `gitopsd.yaml`: the environments of a repository."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct, UnsetType, field

from gitopsd.model.names import BranchName, Name


class Environment(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One environment: which fleet it runs on, which branch holds what was rendered for it."""

    fleet: str
    artifacts: BranchName | UnsetType = UNSET
    params: dict[Name, dict[str, Any]] = field(default_factory=dict)


class Environments(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    environments: Annotated[dict[Name, Environment], Meta(min_length=1)]


def artifact_branch(name: str, environment: Environment) -> str:
    """The branch that holds what was rendered for the environment, without `refs/heads/`."""
    return f"rendered/{name}" if isinstance(environment.artifacts, UnsetType) else environment.artifacts
