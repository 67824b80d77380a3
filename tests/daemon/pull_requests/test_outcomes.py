"""A pull request planned in a process of its own: on the merge, by the base's policy, and by nothing of its own."""

import os
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gitopsd.daemon.configuration.configuration import Configuration, PolicyConfiguration
from gitopsd.daemon.convergence.attempts import attempts_of
from gitopsd.daemon.convergence.result import WorkerResult
from gitopsd.daemon.deploying.writing import write_version
from gitopsd.daemon.errors import ControllerError
from gitopsd.daemon.holds.pausing import pause_environment
from gitopsd.daemon.planning.plan import plan_version
from gitopsd.daemon.pull_requests.exchange import Limits, Links, Outcome
from gitopsd.daemon.pull_requests.outcomes import outcomes_of
from gitopsd.daemon.workspace import Workspace
from gitopsd.planner.drift import Drift
from gitopsd.planner.plan.effects import effects_digest
from tests.daemon.deployments import BY_A_PERSON, Deployments, environments, workflow
from tests.daemon.three_machines import BRANCH
from tests.daemon.two_workflows import two_workflows

USUAL = Limits()
LINKS = Links(file="https://forge.example/acme/fleet/blob/abc/{path}#L{line}", rest="https://forge.example/run/1")


@pytest.fixture(autouse=True)
def _own_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def repository(tmp_path: Path) -> Deployments:
    """Two workflows, deployed, and a branch for the pull request checked out."""
    found = two_workflows(tmp_path / "repository")
    found.deploy()
    found.repo.git("checkout", "-q", "-b", "feature")
    return found


def outcomes(
    repository: Deployments, workspace: Workspace | None = None, limits: Limits = USUAL
) -> tuple[Outcome, ...]:
    """Of `feature` into `main`."""
    head, base = (repository.repo.git("rev-parse", name) for name in ("feature", "main"))
    return outcomes_of(workspace or repository.workspace(), head, base, links=LINKS, limits=limits)


def only(found: tuple[Outcome, ...]) -> Outcome:
    (outcome,) = found
    return outcome


def test_the_merge_is_planned_and_not_the_head_alone(repository: Deployments) -> None:
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="b")})
    repository.repo.git("checkout", "-q", "main")
    repository.commit({"workflows/alerts.yaml": workflow("alerts", 3, path="b")}, "the base goes on")
    shown = only(outcomes(repository))
    assert shown.state == "planned"
    repository.repo.git("merge", "-q", "--no-edit", "feature")
    merged = repository.plan().plan
    assert (shown.plan, shown.effects) == (merged.digest, effects_digest(merged))
    assert shown.merged == repository.repo.git("rev-parse", "HEAD^{tree}")
    for job in ("orders.write.0", "alerts.write.0"):
        assert f"| `{job}` | update |" in shown.comment


def test_what_is_deployed_after_the_merge_has_the_effects_that_were_shown(repository: Deployments) -> None:
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="b")})
    shown = only(outcomes(repository))
    pause_environment(repository.workspace(), reason="the night", until="")  # moves the artifact branch
    repository.repo.git("checkout", "-q", "main")
    repository.repo.git("merge", "-q", "--no-ff", "--no-edit", "feature")
    merged = repository.plan().plan
    assert merged.digest != shown.plan
    assert effects_digest(merged) == shown.effects
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="c")})
    assert effects_digest(repository.plan().plan) != shown.effects


def test_the_same_plan_makes_the_same_comment(repository: Deployments) -> None:
    repository.commit({"workflows/orders.yaml": workflow("orders", 3)})
    assert outcomes(repository) == outcomes(repository)


def test_what_does_not_compile_is_shown_with_links_to_the_lines(repository: Deployments) -> None:
    repository.commit({"workflows/orders.yaml": "workflow: orders\nsteps: {a: {use: std/nothing}}\n"})
    refused = only(outcomes(repository))
    assert (refused.state, refused.plan) == ("refused", "")
    assert "(<https://forge.example/acme/fleet/blob/abc/workflows/orders.yaml#L2>)" in refused.comment
    assert refused.description.startswith("doesn't compile: ")


def test_a_conflict_is_said_with_its_files(repository: Deployments) -> None:
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="b")})
    repository.repo.git("checkout", "-q", "main")
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="c")})
    conflict = only(outcomes(repository))
    assert conflict.state == "conflicts"
    assert "- workflows/orders.yaml" in conflict.comment


def test_a_gitopsd_yaml_that_is_broken_is_a_mistake_in_every_environment_of_the_base(repository: Deployments) -> None:
    repository.commit({"gitopsd.yaml": "environments: ["})
    assert [(one.environment, one.state) for one in outcomes(repository)] == [("production", "refused")]


def test_without_any_environment_that_is_said(repository: Deployments) -> None:
    repository.repo.git("checkout", "-q", "--orphan", "bare")
    repository.repo.git("rm", "-rqf", ".")
    repository.repo.write("README.md", "nothing yet\n")
    repository.repo.commit()
    repository.repo.git("branch", "-qf", "main")
    repository.repo.git("checkout", "-q", "-B", "feature")
    repository.commit({"gitopsd.yaml": "environments: ["})
    with pytest.raises(ControllerError, match="declares no environment"):
        outcomes(repository)


def test_only_a_few_of_many_new_environments_are_planned(repository: Deployments) -> None:
    names = {f"new-{number}": "" for number in range(50)}
    repository.commit({"gitopsd.yaml": environments(production="", **names)})
    assert [one.environment for one in outcomes(repository)] == ["production", "new-0", "new-1", "new-10"]


def test_a_pause_is_part_of_the_comment(repository: Deployments) -> None:
    pause_environment(repository.workspace(), reason="the night", until="")
    repository.commit({"workflows/orders.yaml": workflow("orders", 3)})
    shown = only(outcomes(repository))
    assert "production is paused by Ada" in shown.comment
    assert shown.description.endswith("; held")


def test_what_was_last_seen_on_workers_is_told_as_overwritten(repository: Deployments) -> None:
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="b")})
    assert "Overwritten" not in only(outcomes(repository)).comment
    drift = Drift(kind="changed-file", subject="jobs/orders.write.0/job.json", detail="the file was edited")
    found = WorkerResult(worker="edge-1", state="drift", drift=(drift,))
    attempts_of(repository.workspace(), BRANCH).record_drift({"edge-1": found})
    assert "- `edge-1`: jobs/orders.write.0/job.json: the file was edited" in only(outcomes(repository)).comment


# What a hostile pull request could try ----------------------------------------------------------------------------


def test_policy_is_that_of_the_base_and_not_of_a_branch_that_the_pull_request_names(repository: Deployments) -> None:
    strict = Configuration(policy=PolicyConfiguration(groups=("core",)))
    assert only(outcomes(repository, replace(repository.workspace(), configuration=strict))).state == "refused"
    workspace = replace(
        repository.workspace(), configuration=Configuration(policy=PolicyConfiguration(max_jobs=20, groups=("edge",)))
    )  # fmt: skip
    repository.repo.git("checkout", "-q", "main")
    write_version(workspace, plan_version(workspace, workspace.source()), BY_A_PERSON)  # publishes the policy
    repository.repo.git("checkout", "-q", "-B", "feature")
    repository.repo.git("branch", "evil", "rendered/production~1")  # has no policy
    production = {"fleet": "fleets/production.yaml", "artifacts": "evil"}
    repository.commit(
        {"gitopsd.yaml": {"environments": {"production": production}}, "workflows/orders.yaml": workflow("orders", 20)}
    )
    assert repository.plan().plan.counts()["create"] > 0, "by the branch's own policy it would pass"
    refused = only(outcomes(repository))
    assert refused.state == "refused"
    assert "all steps together come to 46 jobs" in refused.comment


def test_nothing_of_the_pull_requests_checkout_is_imported(
    repository: Deployments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    for name in ("gitopsd/__init__.py", "pygit2.py", "msgspec.py", "sitecustomize.py", "json.py"):
        repository.repo.write(name, f"open({str(ran)!r}, 'w').close()\n")
    repository.repo.commit("hostile modules")
    monkeypatch.chdir(repository.repo.path)
    assert only(outcomes(repository)).state == "planned"
    assert not ran.exists()


def test_the_process_knows_no_token(repository: Deployments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "environment"
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(
        f"import os, pathlib\npathlib.Path({str(told)!r}).write_text(str(os.environ))\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    for name in ("GITHUB_TOKEN", "CI_JOB_TOKEN", "GITEA_TOKEN", "SOPS_AGE_KEY", "SSH_AUTH_SOCK"):
        monkeypatch.setenv(name, "hidden-value")
    assert only(outcomes(repository)).state == "planned"
    assert "hidden-value" not in told.read_text()


def test_a_plan_that_takes_too_long_is_ended(repository: Deployments) -> None:
    started = time.monotonic()
    late = only(outcomes(repository, limits=Limits(deadline=0.05)))
    assert time.monotonic() - started < 30
    assert (late.environment, late.state) == ("production", "unknown")
    assert "more than 0.05 s" in late.comment.replace("&#46;", ".")


def test_a_plan_that_takes_too_much_memory_is_ended(repository: Deployments) -> None:
    greedy = only(outcomes(repository, limits=Limits(memory=24 << 20)))
    assert greedy.state == "unknown"
    assert "planning took more than 24 MiB of memory" in greedy.comment


def test_no_comment_is_longer_than_its_limit(repository: Deployments) -> None:
    many = {f"workflows/w{number}.yaml": workflow(f"w{number}", 3) for number in range(40)}
    repository.commit(many)
    shown = only(outcomes(repository, limits=Limits(comment=8_000)))
    assert len(shown.comment.encode()) <= 8_000
    assert "> Not shown, for length: " in shown.comment
    assert "(<https://forge.example/run/1>)" in shown.comment


def test_nothing_is_written_to_the_repository(repository: Deployments) -> None:
    repository.commit({"workflows/orders.yaml": workflow("orders", 3)})
    repository.repo.git("checkout", "-q", "main")
    repository.commit({"workflows/alerts.yaml": workflow("alerts", 2)})
    before = {str(path): path.read_bytes() for path in repository.repo.path.rglob("*") if path.is_file()}
    only(outcomes(repository))
    assert {str(path): path.read_bytes() for path in repository.repo.path.rglob("*") if path.is_file()} == before
