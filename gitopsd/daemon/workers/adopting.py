"""Making a worker this repository's, that another artifact branch or an older controller managed: first a look."""

from dataclasses import dataclass

from msgspec.structs import replace

from gitopsd.daemon.artifacts.releases import desired_release, target_of
from gitopsd.daemon.artifacts.state import read_fleet
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.fleet_access import reach
from gitopsd.daemon.planning.deployed import open_deployed
from gitopsd.daemon.workspace import Workspace
from gitopsd.fleet import adopt_verbs, verbs
from gitopsd.fleet.protocol import Adopted, Ownership
from gitopsd.fleet.target import Target
from gitopsd.model.artifacts import PlacedWorker
from gitopsd.model.facts import Observation, Owner
from gitopsd.model.names import did_you_mean
from gitopsd.planner.adoption import Takeover, takeover
from gitopsd.repo.lock import host_lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Adoption:
    """Whom a worker belongs to, what it runs, and what the next activation would do there once it is `owner`'s."""

    worker: PlacedWorker
    owner: Owner
    deployment: int
    target: Target
    before: Ownership
    observed: Observation
    takeover: Takeover

    @property
    def is_ours(self) -> bool:
        return self.before.owner == self.owner

    @property
    def is_needed(self) -> bool:
        """Also for a worker that is ours, where it was activated for a deployment later than the newest one."""
        return not self.is_ours or self.before.deployment > self.deployment

    @property
    def is_empty(self) -> bool:
        """Nothing of anybody is there: the next activation takes it as it takes a new machine."""
        return self.before.owner is None and self.observed.release is None and not self.observed.units


def look(workspace: Workspace, name: str) -> Adoption:
    """Changes nothing. Raises ControllerError, WorkerError."""
    deployed = open_deployed(workspace)
    environment = deployed.branch.environment
    if deployed.head is None:
        raise ControllerError(
            f"nothing is deployed to {environment} from this repository yet, so no worker can be its own",
            "`gitopsd apply` first: it commits what each worker should hold, and leaves those of others as they are",
        )
    head = deployed.head
    fleet = read_fleet(workspace.repository, head.commit.tree)
    if name not in fleet:
        raise ControllerError(
            f"nothing is deployed to a worker `{name}`",
            did_you_mean(name, fleet) or "put it into the fleet file and `gitopsd apply` first",
        )
    target = target_of(fleet[name], head.root_commit, environment)
    # a built-in worker under supervisor lies in a place of its owner's: there is no other's to be seen
    anybodys = target if target.service_manager == "supervisor" else replace(target, owner=None)
    with reach(workspace, anybodys) as connection:
        before = adopt_verbs.ownership(connection)
        observed = verbs.observe(connection)
    desired = desired_release(workspace.repository, head.commit.tree, name)
    trailers = head.deployment.trailers if head.deployment else None
    return Adoption(
        worker=fleet[name],
        owner=Owner(root_commit=head.root_commit, environment=environment),
        deployment=trailers.deployment if trailers else 0,
        target=target,
        before=before,
        observed=observed,
        takeover=takeover(desired, observed, target.service_manager),
    )


def adopt(workspace: Workspace, adoption: Adoption) -> Adopted:
    """Nothing that runs is touched. Raises WorkerError: `owner-changed` where it isn't as it was looked at any more."""
    with host_lock(workspace.identity, adoption.owner.environment), reach(workspace, adoption.target) as connection:
        return adopt_verbs.adopt(connection, adoption.owner, adoption.before)
