"""What `gitopsd audit` finds, deployment by deployment."""

from dataclasses import replace
from pathlib import Path

import pytest

from gitopsd.daemon.configuration.configuration import Configuration, PolicyConfiguration
from gitopsd.daemon.planning.deployed import Deployed
from gitopsd.daemon.trust.audit import AuditedCommit, audit
from gitopsd.daemon.workers.cordons import cordon_worker
from gitopsd.daemon.workspace import Workspace
from tests.daemon.deployments import Deployments, environments, workflow
from tests.daemon.three_machines import BRANCH, machines
from tests.daemon.trust.forgery import content, forge
from tests.daemon.two_workflows import head_of, two_workflows
from tests.ssh_keys import allow, make_key


@pytest.fixture
def repository(tmp_path: Path) -> Deployments:
    """Three deployments: a workflow changed, a machine left."""
    found = two_workflows(tmp_path / "repository")
    found.deploy()
    found.commit({"workflows/orders.yaml": workflow("orders", 4, path="more")})
    found.deploy()
    cordon_worker(found.workspace(), "edge-1", reason="looked at", until="", drained=True)
    found.commit({"fleets/production.yaml": machines(1, 2)})
    found.deploy()
    return found


def audited(
    repository: Deployments, *names: str, everything: bool = False, workspace: Workspace | None = None
) -> list[AuditedCommit]:
    workspace = workspace or repository.workspace()
    return list(audit(workspace, Deployed(branch=BRANCH, head=head_of(repository)), names, everything=everything))


def findings(found: list[AuditedCommit]) -> list[tuple[int, str]]:
    return [(one.deployment, one.finding) for one in found]


def test_every_commit_of_an_honest_branch_is_made_again_and_equal(repository: Deployments) -> None:
    assert findings(audited(repository, everything=True)) == [(3, "equal"), (0, "equal"), (2, "equal"), (1, "equal")]
    assert findings(audited(repository)) == [(3, "equal")]
    assert findings(audited(repository, "1", "2")) == [(1, "equal"), (2, "equal")]


def test_a_past_deployment_that_differs_is_found_with_its_paths_and_the_first_difference(
    repository: Deployments,
) -> None:
    worker = repository.placement()["orders.write.0"]
    path = f"workers/{worker}/jobs/orders.write.0/job.json"
    message = repository.repo.git("log", "-1", "--format=%B", "rendered/production").replace("loyment: 3", "loyment: 4")
    edit = {path: content(repository.repo.path, path).replace(b"/srv/more", b"/etc")}
    forged = forge(repository.repo.path, edit, message=message)
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="next")})
    repository.deploy()
    found = audited(repository, everything=True)
    assert findings(found)[:2] == [(5, "equal"), (4, "differs")]
    assert (found[1].commit, found[1].paths) == (forged, (path,))
    assert "-" in found[1].diff
    assert "/srv/more" in found[1].diff
    assert "+" in found[1].diff
    assert "/etc" in found[1].diff


def test_what_cannot_be_known_here_is_told_apart(repository: Deployments) -> None:
    message = repository.repo.git("log", "-1", "--format=%B", "rendered/production")
    source = repository.repo.git("rev-parse", "main")
    repository.repo.git("branch", "base", "rendered/production")
    gone = message.replace("loyment: 3", "loyment: 4").replace(source, "1" * 40)
    forge(repository.repo.path, {}, message=gone)
    (missing,) = audited(repository)
    assert missing.finding == "no-source"
    repository.repo.git("update-ref", "refs/heads/rendered/production", "base")
    older = message.replace("loyment: 3", "loyment: 4").replace("0.1.0", "0.0.9")
    forge(repository.repo.path, {"workers/edge-1/units/more.service": b""}, message=older)
    (other,) = audited(repository)
    assert (other.finding, other.renderer) == ("other-renderer", "0.0.9")


def test_a_pin_that_leads_elsewhere_by_now_is_the_reason(repository: Deployments) -> None:
    repository.repo.git("tag", "v1")
    repository.commit({"gitopsd.yaml": environments(production="v1")})
    repository.deploy()
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="later")})
    repository.repo.git("tag", "-f", "v1")
    (found,) = audited(repository, "3") if not repository.plan().plan.is_empty else audited(repository)
    assert found.finding == "equal", "it was made without a pin"
    repository.deploy()
    repository.repo.git("tag", "-f", "v1", "main~2")
    (found,) = audited(repository)
    assert found.finding == "differs"
    assert "which comes to something else, for its pin is commit" in found.why


def test_signatures_are_told_beside(repository: Deployments, tmp_path: Path) -> None:
    key = make_key(tmp_path, "controller")
    lists = allow(tmp_path / "controllers", ("control@example.org", "", key))
    configuration = Configuration(policy=PolicyConfiguration(controllers=(str(lists),)))
    workspace = replace(repository.workspace(), configuration=configuration)
    forge(repository.repo.path, {}, key=key)
    signed, unsigned = audited(repository, workspace=workspace)
    assert (signed.signed_by, signed.signature) == ("control@example.org", "")
    assert (unsigned.signed_by, unsigned.signature) == ("", "is not signed")
    assert "doesn't say by whom" in audited(repository)[0].signature
