"""A version that comes to what was deployed before is a return to that, and says so; other triggers beside it."""

from pathlib import Path

import pytest

from gitopsd.daemon.holds.asked import Asked
from gitopsd.daemon.reverting.rollback import carry_out, prepare_rollback
from gitopsd.daemon.workers.cordons import cordon_worker
from gitopsd.model.plan import Returns
from gitopsd.repo.artifacts import ArtifactCommit, deployments
from tests.daemon.deployments import Deployments, workflow
from tests.daemon.two_workflows import head_of, of_workflow, revert, tree_at, two_workflows, went

PUSHED = Asked(trigger="push")


@pytest.fixture
def repository(tmp_path: Path) -> Deployments:
    """Deployment 1, pushed."""
    found = two_workflows(tmp_path / "repository")
    found.deploy(asked=PUSHED)
    return found


def push(repository: Deployments, message: str, **paths: str) -> None:
    """Commits and deploys workflows that write elsewhere: by name, where to."""
    repository.commit(
        {f"workflows/{name}.yaml": workflow(name, 4 if name == "orders" else 3, path=to) for name, to in paths.items()},
        message,
    )
    repository.deploy(asked=PUSHED)


def newest(repository: Deployments) -> ArtifactCommit:
    deployment = head_of(repository).deployment
    assert deployment is not None
    return deployment


def said(repository: Deployments) -> tuple[int, str, Returns, str]:
    """Number, trigger and returns of the newest deployment, and the first words of its subject."""
    commit = newest(repository)
    assert commit.trailers is not None
    number = commit.trailers.deployment
    words = commit.subject.removeprefix(f"Deployment {number}: ").partition(": Revert")[0]
    return number, commit.trailers.trigger, commit.trailers.returns, words


def test_a_push_that_is_new_is_a_push(repository: Deployments) -> None:
    push(repository, "Elsewhere", orders="b")
    assert said(repository) == (2, "push", Returns(), "Elsewhere")


def test_a_revert_of_one_commit_returns_to_the_deployment_before_it(repository: Deployments) -> None:
    first = tree_at(repository)
    push(repository, "Elsewhere", orders="b")
    repository.repo.git("revert", "--no-edit", "HEAD")
    planned = repository.deploy(asked=PUSHED)
    assert planned.plan.returns == Returns(deployment=1)
    assert said(repository) == (3, "revert", Returns(deployment=1), "Return to deployment 1")
    assert tree_at(repository) == first
    assert repository.plan().plan.returns == Returns(), "it is there already"


def test_a_revert_of_several_commits_returns_to_before_them_all(repository: Deployments) -> None:
    push(repository, "Two", orders="b")
    second = tree_at(repository)
    push(repository, "Three", alerts="c")
    push(repository, "Four", orders="d")
    repository.repo.git("revert", "--no-edit", "HEAD~2..HEAD")
    repository.deploy(asked=PUSHED)
    assert said(repository) == (5, "revert", Returns(deployment=2), "Return to deployment 2")
    assert tree_at(repository) == second


def test_a_revert_of_a_merge_returns_to_before_it(repository: Deployments) -> None:
    first = tree_at(repository)
    repository.repo.git("checkout", "-q", "-b", "topic")
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="b")}, "One")
    repository.commit({"workflows/alerts.yaml": workflow("alerts", 5, path="c")}, "Two")
    repository.repo.git("checkout", "-q", "main")
    repository.repo.git("merge", "-q", "--no-ff", "--no-edit", "topic")
    repository.deploy(asked=PUSHED)
    assert tree_at(repository) != first
    repository.repo.git("revert", "--no-edit", "-m", "1", "HEAD")
    repository.deploy(asked=PUSHED)
    assert said(repository) == (3, "revert", Returns(deployment=1), "Return to deployment 1")
    assert tree_at(repository) == first


def test_a_revert_of_one_workflow_returns_to_its_earlier_form_and_leaves_the_others(repository: Deployments) -> None:
    first = of_workflow(tree_at(repository), "orders")
    push(repository, "Two", orders="b")
    repository.repo.git("tag", "bad")
    push(repository, "Three", alerts="c")
    alerts = of_workflow(tree_at(repository), "alerts")
    repository.repo.git("revert", "--no-edit", "bad")
    repository.deploy(asked=PUSHED)
    returns = Returns(workflows={"orders": 1})
    assert said(repository) == (4, "revert", returns, "orders: return to deployment 1")
    assert of_workflow(tree_at(repository), "orders") == first
    assert of_workflow(tree_at(repository), "alerts") == alerts


def test_a_version_that_also_has_something_new_names_what_returns_and_is_a_push(repository: Deployments) -> None:
    push(repository, "Two", orders="b")
    repository.write({"workflows/orders.yaml": workflow("orders", 4)})
    push(repository, "Orders as before, and alerts elsewhere", alerts="new")
    number, trigger, returns, words = said(repository)
    assert (number, trigger, returns) == (3, "push", Returns(workflows={"orders": 1}))
    assert words.startswith("orders: return to deployment 1: Orders as before")


def test_a_rollback_says_that_it_is_one_and_names_its_deployment_once(repository: Deployments) -> None:
    push(repository, "Two", orders="b")
    workspace = repository.workspace()
    carry_out(workspace, prepare_rollback(workspace, None, workflow=None, all_environments=False))
    repository.deploy(asked=PUSHED)
    number, trigger, returns, _ = said(repository)
    assert (number, trigger, returns) == (3, "rollback", Returns(deployment=1))
    assert newest(repository).subject == "Deployment 3: Return to deployment 1: change"


def test_an_older_commit_that_somebody_applies_is_no_revert_that_anybody_wrote(repository: Deployments) -> None:
    push(repository, "Two", orders="b")
    repository.deploy(revision="HEAD~1")
    assert said(repository)[:3] == (3, "manual", Returns(deployment=1))


def test_the_same_version_again_is_what_it_was_asked_as(repository: Deployments) -> None:
    """A commit that was a revert when it was deployed isn't one when other facts place it anew."""
    push(repository, "Two", orders="b")
    repository.repo.git("revert", "--no-edit", "HEAD")
    repository.deploy(asked=PUSHED)
    cordon_worker(repository.workspace(), "edge-1", reason="repairs", until="", drained=True)
    repository.deploy(asked=Asked(trigger="facts"))
    assert said(repository)[:2] == (4, "facts")


def test_an_automatic_revert_is_nothing_to_return_to(repository: Deployments) -> None:
    """Its commit is of the version that failed, and has something else in its place."""
    went(repository)
    push(repository, "Bad", orders="bad")
    head = went(repository, failed={"edge-1": ["orders.read.0"]})
    done, _ = revert(repository, head, "orders")
    assert done is not None
    push(repository, "Other", orders="other", alerts="other")
    repository.repo.git("revert", "--no-edit", "HEAD")
    assert repository.deploy(asked=PUSHED).plan.returns == Returns(deployment=2)


def test_who_wrote_the_version_is_the_author_and_who_deploys_it_the_committer(repository: Deployments) -> None:
    repository.write({"workflows/orders.yaml": workflow("orders", 4, path="b")})
    repository.repo.git("add", "-A")
    repository.repo.git("-c", "user.name=Grace", "-c", "user.email=grace@example.org", "commit", "-qm", "Two")
    repository.deploy()
    commit = newest(repository)
    assert (commit.author, commit.committer) == ("Grace <grace@example.org>", "Ada <ada@example.org>")


def test_returns_in_words() -> None:
    assert Returns().words == ""
    both = Returns(workflows={"b": 2, "a": 2, "c": 1})
    assert both.words == "a, b: return to deployment 2; c: return to deployment 1"
    many = Returns(workflows=dict.fromkeys("abcd", 1))
    assert many.words == "4 workflows: return to earlier deployments"


def test_the_trailer_reads_back(repository: Deployments) -> None:
    push(repository, "Two", orders="b", alerts="b")
    push(repository, "Three", orders="c", alerts="c")
    repository.write({"workflows/orders.yaml": workflow("orders", 4)})
    push(repository, "Both back, each to another", alerts="b")
    commits = deployments(repository.workspace().repository, head_of(repository).commit.id)
    found = [commit.trailers.returns for commit in commits if commit.trailers]
    assert found == [Returns(workflows={"alerts": 2, "orders": 1}), Returns(), Returns(), Returns()]
