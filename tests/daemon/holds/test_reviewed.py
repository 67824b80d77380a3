"""`policy.require_reviewed_plan`: what is deployed by itself is what a merged pull request showed."""

from pathlib import Path

import msgspec
import pytest

from gitopsd.daemon.deploying.committing import commit_version
from gitopsd.daemon.history.deployment_record import changes_of, deployment_before, read_record
from gitopsd.daemon.history.rollout_note import Reviewed, record_reviewed
from gitopsd.daemon.holds.asked import BY_A_PERSON, Asked
from gitopsd.daemon.holds.holds import HeldError
from gitopsd.daemon.holds.reviewed import what_differs
from gitopsd.daemon.pull_requests.shown import Review, ShownMemory
from gitopsd.planner.plan.effects import digest_of, effects_by_job, effects_digest
from tests.daemon.deployments import Deployments, workflow
from tests.daemon.holds.test_holds import Reporter, with_policy
from tests.daemon.three_machines import BRANCH, three_machines
from tests.daemon.two_workflows import head_of

PUSHED = Asked(trigger="push")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployments:
    """Deployed once, and then there is a newer version."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    found = three_machines(tmp_path / "repository")
    push(found, required=False)
    found.commit({"workflows/orders.yaml": workflow("orders", 3, path="b")}, "newer")
    return found


def push(
    repository: Deployments,
    *,
    asked: Asked = PUSHED,
    required: bool | tuple[str, ...] = True,
    approval: bool | tuple[str, ...] = False,
) -> None:
    """What the daemon does about the newest version."""
    workspace = with_policy(repository, require_reviewed_plan=required, require_approval=approval)
    commit_version(workspace, workspace.source_of_commit, named=False, asked=asked, reporter=Reporter())


def review(
    repository: Deployments,
    effects: str,
    jobs: dict[str, str] | None = None,
    number: int = 7,
    **more: tuple[str, ...] | str,
) -> None:
    memory = ShownMemory(repository.workspace().identity)
    source = repository.repo.git("rev-parse", "HEAD")
    made = msgspec.convert({"pull_request": number, "effects": effects, "jobs": jobs or {}, **more}, Review)
    memory.add_review("production", source, made)


def why_held(
    repository: Deployments, *, required: bool | tuple[str, ...] = True, approval: bool | tuple[str, ...] = False
) -> str:
    with pytest.raises(HeldError) as caught:
        push(repository, required=required, approval=approval)
    assert caught.value.hold.kind == "review"
    return caught.value.hold.reason


def test_what_was_shown_is_deployed(repository: Deployments) -> None:
    review(repository, effects_digest(repository.plan().plan))
    push(repository)
    assert repository.deployment() == 2


def test_anything_else_is_held_and_what_differs_is_named(repository: Deployments) -> None:
    assert "not asked yet" in why_held(repository)
    review(repository, "", number=0)
    assert "without a pull request" in why_held(repository)
    review(repository, "")
    assert "pull request 7 was merged before it showed a plan" in why_held(repository)
    plan = repository.plan().plan
    shown = dict(effects_by_job(plan.changes, plan.changed_workers))
    missing, other = sorted(shown)[:2]
    del shown[missing]
    shown[other] = "0" * 12
    shown["w-9 orders.gone.0"] = "1" * 12
    review(repository, "f" * 40, shown)
    why = why_held(repository)
    assert f"{missing} (not shown)" in why
    assert f"{other} (done differently)" in why
    assert "w-9 orders.gone.0 (shown, and not done)" in why
    assert repository.deployment() == 1


def test_where_approvals_are_asked_for_what_was_shown_is_held_until_there_is_one(repository: Deployments) -> None:
    effects = effects_digest(repository.plan().plan)
    review(repository, effects, void="linus approved it long ago")
    why = why_held(repository, required=False, approval=("production",))
    assert why == "nobody approved what pull request 7 showed last: linus approved it long ago"
    review(repository, "f" * 40, approved=("linus",))
    assert "something else than pull request 7 showed" in why_held(repository, required=False, approval=True)
    review(repository, effects, approved=("linus",))
    push(repository, required=False, approval=True)
    assert repository.deployment() == 2


def test_a_person_and_another_environment_and_a_version_that_is_deployed_need_none(repository: Deployments) -> None:
    push(repository, required=("staging",))
    assert repository.deployment() == 2
    push(repository)  # the same version, which is let through already
    repository.commit({"workflows/orders.yaml": workflow("orders", 2, path="c")})
    why_held(repository)
    push(repository, asked=BY_A_PERSON)
    assert repository.deployment() == 3
    repository.commit({"README.md": "of no release\n"})
    push(repository)


def test_what_is_committed_has_the_effects_of_its_plan_and_its_note_says_whether_they_were_shown(
    repository: Deployments,
) -> None:
    plan = repository.plan().plan
    push(repository, required=False)
    deployment = head_of(repository).deployment
    assert deployment is not None
    workspace = repository.workspace()
    found = changes_of(workspace.repository, deployment_before(workspace.repository, deployment), deployment)
    assert digest_of(found.changes, found.changed_workers) == effects_digest(plan)
    assert effects_by_job(found.changes, found.changed_workers) == effects_by_job(plan.changes, plan.changed_workers)
    reviewed = Reviewed(pull_request=7, shown="a" * 40, deployed=effects_digest(plan), same=False)
    record_reviewed(workspace, BRANCH, deployment, reviewed)
    assert read_record(workspace.repository, BRANCH, deployment).reviewed == reviewed


def test_many_differences_are_counted() -> None:
    shown = {f"w job.{number}": "1" for number in range(9)}
    assert what_differs(shown, {"w other": "1"}).endswith(" and 5 more")
    assert what_differs(shown, shown) == ""
    assert what_differs({}, shown) == "", "too many to be kept"
