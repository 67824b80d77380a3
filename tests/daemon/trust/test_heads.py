"""Heads of the artifact branch: honest ones are good, on a new disk too; forged ones are held. Nobody is reached."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from gitopsd.daemon.configuration.configuration import Configuration, PolicyConfiguration, SigningConfiguration
from gitopsd.daemon.holds.pausing import pause_environment
from gitopsd.daemon.reverting.quarantine import quarantine_workflow
from gitopsd.daemon.reverting.revert_commit import commit_revert
from gitopsd.daemon.secrets.signing import signer_of
from gitopsd.daemon.trust import heads, recompute
from gitopsd.daemon.trust.heads import HeldHeadError, find_held, remember_rendered, require_good
from gitopsd.daemon.trust.remembered import trust_memory
from gitopsd.daemon.workers.cordons import cordon_worker
from gitopsd.daemon.workers.forgetting import forget, forgettable
from gitopsd.daemon.workers.lost import give_up, note_returned
from gitopsd.daemon.workspace import Workspace
from gitopsd.model.artifacts import LostWorker
from gitopsd.repo.artifacts import read_head
from gitopsd.repo.publish import fetch_artifacts
from gitopsd.repo.remote import find_remote
from gitopsd.repo.repository import open_at
from tests.daemon.deployments import Deployments, workflow
from tests.daemon.three_machines import BRANCH, machines
from tests.daemon.trust.forgery import content, edited, forge
from tests.daemon.two_workflows import head_of, two_workflows, went
from tests.repo.gitrepo import git
from tests.ssh_keys import allow, make_key

JOB = "jobs/orders.write.0/job.json"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this controller remembers what it found."""
    folder = tmp_path / "state"
    monkeypatch.setenv("XDG_STATE_HOME", str(folder))
    return folder / "gitopsd/controller/trust.sqlite"


@pytest.fixture
def repository(tmp_path: Path, state: Path) -> Deployments:
    """Two deployments; nothing is remembered of them."""
    del state
    found = two_workflows(tmp_path / "repository")
    found.deploy()
    found.commit({"workflows/orders.yaml": workflow("orders", 4, path="more")})
    found.deploy()
    return found


def configured(repository: Deployments, **settings: Any) -> Workspace:
    policy = PolicyConfiguration(**{key: settings.pop(key) for key in ("signers", "controllers") if key in settings})
    configuration = Configuration(**settings)
    if structs.asdict(policy) != structs.asdict(PolicyConfiguration()):
        configuration = structs.replace(configuration, policy=policy)
    return replace(repository.workspace(), configuration=configuration)


def judged(repository: Deployments, workspace: Workspace | None = None) -> heads.Held | None:
    return find_held(workspace or repository.workspace(), BRANCH, head_of(repository).commit.id)


def held(repository: Deployments, workspace: Workspace | None = None) -> HeldHeadError:
    with pytest.raises(HeldHeadError) as raised:
        require_good(workspace or repository.workspace(), BRANCH, head_of(repository))
    return raised.value


def on(repository: Deployments) -> str:
    """The worker of the job that is forged."""
    return f"workers/{repository.placement()['orders.write.0']}"


def counted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The commits that are made again from now on."""
    made: list[str] = []
    real = recompute.recompute

    def counting(*given: Any, **more: Any) -> recompute.Recomputed:
        made.append(given[2].id)
        return real(*given, **more)

    monkeypatch.setattr("gitopsd.daemon.trust.heads.recompute", counting)
    return made


Honest = Callable[[Deployments], object]


def _cordoned(repository: Deployments) -> None:
    cordon_worker(repository.workspace(), "edge-1", reason="looked at", until="", drained=True)
    pause_environment(repository.workspace(), reason="a holiday", until="")
    repository.deploy()


def _left(repository: Deployments) -> None:
    repository.commit({"fleets/production.yaml": machines(1, 2)})
    repository.deploy()


def _forgotten(repository: Deployments) -> None:
    _left(repository)
    forget(repository.workspace(), forgettable(repository.workspace(), "edge-3"))


def _lost(repository: Deployments) -> None:
    give_up(repository.workspace(), BRANCH, {"edge-2": LostWorker(since="2026-05-01T08:00:00Z")})


def _returned(repository: Deployments) -> None:
    _lost(repository)
    note_returned(repository.workspace(), BRANCH, ["edge-2"])


def _reverted(repository: Deployments) -> None:
    went(repository)
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="bad")})
    repository.deploy()
    failed = {"orders": "orders.write.0 on edge-1: it died"}
    assert commit_revert(repository.workspace(), BRANCH, head_of(repository), failed, note=print)


def _held_since(repository: Deployments) -> None:
    """Another deployment with the quarantined workflow as it was."""
    _reverted(repository)
    repository.commit({"workflows/alerts.yaml": workflow("alerts", 2)})
    repository.deploy()


def _released(repository: Deployments) -> None:
    _held_since(repository)
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="mended")})
    repository.deploy()


def _back(repository: Deployments) -> None:
    repository.commit({"workflows/orders.yaml": workflow("orders", 4)})
    repository.deploy()


HONEST: Mapping[str, Honest] = {
    "nothing": lambda _: None,
    "records": _cordoned,
    "a worker that is leaving": _left,
    "a worker that left": _forgotten,
    "a lost worker": _lost,
    "a lost worker that is back": _returned,
    "an automatic revert": _reverted,
    "a deployment with a held workflow": _held_since,
    "the end of a quarantine": _released,
    "a return to what was": _back,
}


@pytest.mark.parametrize("done", HONEST.values(), ids=HONEST)
def test_what_gitopsd_commits_is_good_on_a_disk_that_knows_nothing(repository: Deployments, done: Honest) -> None:
    done(repository)
    assert judged(repository) is None


def test_only_what_is_new_is_made_again(repository: Deployments, state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = counted(monkeypatch)
    assert judged(repository) is None
    assert made == [head_of(repository).commit.id], "a deployment stands alone: those before it don't matter"
    made.clear()
    assert judged(repository) is None
    assert made == []
    cordon_worker(repository.workspace(), "edge-1", reason="looked at", until="", drained=False)
    assert judged(repository) is None
    assert made == [head_of(repository).commit.id]
    state.unlink()
    made.clear()
    assert judged(repository) is None
    assert len(made) == 2


def test_what_was_just_rendered_here_is_not_rendered_again(
    repository: Deployments, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = counted(monkeypatch)
    remember_rendered(repository.workspace(), BRANCH, head_of(repository).commit)
    assert judged(repository) is None
    assert made == []


Forgery = Callable[[Deployments], dict[str, bytes | None]]


def _address(repository: Deployments) -> dict[str, bytes | None]:
    return {
        **edited(
            repository.repo.path, "fleet.json", lambda fleet: fleet["workers"]["edge-1"].update(address="10.6.6.6")
        )
    }


def _host_key(repository: Deployments) -> dict[str, bytes | None]:
    return {
        **edited(
            repository.repo.path,
            "fleet.json",
            lambda fleet: fleet["workers"]["edge-1"].update(host_key="ssh-ed25519 AAAA"),
        )
    }


def _job_file(repository: Deployments) -> dict[str, bytes | None]:
    path = f"{on(repository)}/{JOB}"
    return {path: content(repository.repo.path, path).replace(b"/srv/more", b"/etc")}


def _unit(repository: Deployments) -> dict[str, bytes | None]:
    path = f"{on(repository)}/units/gitopsd-orders.write.0.service"
    return {path: content(repository.repo.path, path) + b"[Service]\nUser=root\n"}


def _more_files(repository: Deployments) -> dict[str, bytes | None]:
    return {f"{on(repository)}/jobs/orders.write.0/more": b"more"}


def _placement(repository: Deployments) -> dict[str, bytes | None]:
    del repository
    return {"placement/orders.json": None}


def _policy(repository: Deployments) -> dict[str, bytes | None]:
    del repository
    return {"policy.json": b'{"users": ["root"]}\n'}


def _gone(repository: Deployments) -> dict[str, bytes | None]:
    """A worker dropped as if it had left."""
    edits: dict[str, bytes | None] = {
        **edited(repository.repo.path, "fleet.json", lambda fleet: fleet["workers"].pop("edge-1"))
    }
    listed = repository.repo.git("ls-tree", "-r", "--name-only", "rendered/production", "workers/edge-1/").split()
    return edits | dict.fromkeys(listed)


def _leaving(repository: Deployments) -> dict[str, bytes | None]:
    return {**edited(repository.repo.path, "fleet.json", lambda fleet: fleet["workers"]["edge-1"].update(leaving=True))}


def _unreadable(repository: Deployments) -> dict[str, bytes | None]:
    del repository
    return {"control.json": b"{"}


FORGED: Mapping[str, tuple[Forgery, str]] = {
    "an address": (_address, "fleet.json"),
    "a host key": (_host_key, "fleet.json"),
    "a job's file": (_job_file, JOB),
    "a unit": (_unit, "units/gitopsd-orders.write.0.service"),
    "one file more": (_more_files, "jobs/orders.write.0/more"),
    "a placement": (_placement, "placement/orders.json"),
    "the policy": (_policy, "policy.json"),
    "a worker less": (_gone, "fleet.json"),
    "a worker that leaves": (_leaving, "fleet.json"),
    "records that nobody can read": (_unreadable, ""),
}


@pytest.mark.parametrize("as_deployment", [False, True], ids=["as records", "as a deployment"])
@pytest.mark.parametrize(("forgery", "path"), FORGED.values(), ids=FORGED)
def test_a_forged_head_is_held_and_said_and_the_next_apply_heals_it(
    repository: Deployments, forgery: Forgery, path: str, *, as_deployment: bool
) -> None:
    edits = forgery(repository)
    message = "Cordon edge-1: it smells"
    if as_deployment:
        message = repository.repo.git("log", "-1", "--format=%B", "rendered/production").replace(
            "loyment: 2", "loyment: 3"
        )
    forged = forge(repository.repo.path, edits, message=message)
    said = held(repository)
    assert said.commit == forged
    assert f"commit {forged[:12]} by Eve <eve@example.org>" in said.message
    assert path in ", ".join(said.paths)
    assert "gitopsd apply" in said.hint
    if forgery is _unreadable:
        return  # planning says whom to ask
    cordon_worker(repository.workspace(), "edge-2", reason="on top of it", until="", drained=False)
    assert held(repository).commit == forged, "an honest commit on top makes nothing good"
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="next")})
    repository.deploy()
    assert judged(repository) is None


def test_a_worker_that_a_forger_has_leave_is_held_through_later_deployments(repository: Deployments) -> None:
    def add(fleet: Any) -> None:
        fleet["workers"]["spy"] = {**fleet["workers"]["edge-1"], "address": "10.6.6.6", "leaving": True}

    empty = b'{"format": 1, "worker": "spy", "environment": "production", "runtime": null, "jobs": {}}\n'
    edits = {**edited(repository.repo.path, "fleet.json", add), "workers/spy/release.json": empty}
    forged = forge(repository.repo.path, edits)
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="next")})
    repository.deploy()
    assert held(repository).commit == forged
    remember_rendered(repository.workspace(), BRANCH, head_of(repository).commit)
    assert held(repository).commit == forged, "that we rendered it ourselves doesn't make it good"
    forget(repository.workspace(), forgettable(repository.workspace(), "spy"))
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="last")})
    repository.deploy()
    assert judged(repository) is None


def test_a_quarantine_that_returns_to_a_forged_deployment_is_held(repository: Deployments) -> None:
    message = repository.repo.git("log", "-1", "--format=%B", "rendered/production").replace("loyment: 2", "loyment: 3")
    forged = forge(repository.repo.path, _job_file(repository), message=message)
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="next")})
    repository.deploy()
    assert judged(repository) is None
    quarantine_workflow(repository.workspace(), "orders", reason="bad", until="")
    returns = edited(
        repository.repo.path, "control.json", lambda control: control["quarantines"]["orders"].update(returns_to=3)
    )
    forge(repository.repo.path, {**returns})
    assert judged(repository) is None, "no worker is changed by that"
    repository.deploy()
    assert held(repository).commit == forged


def test_an_automatic_revert_is_good_only_as_it_is_made(repository: Deployments) -> None:
    _reverted(repository)
    message = repository.repo.git("log", "-1", "--format=%B", "rendered/production")
    edits = _job_file(repository)
    path = next(iter(edits))
    repository.repo.git("branch", "-f", "honest", "rendered/production")
    before = content(repository.repo.path, path)
    edits = {path: before.replace(b"/srv/", b"/etc/")}
    assert edits[path] != before
    tree = {
        name: content(repository.repo.path, name, branch="honest")
        for name in repository.repo.git("diff", "--name-only", "honest~1", "honest").split()
    }
    repository.repo.git("update-ref", "refs/heads/rendered/production", "honest~1")
    forge(repository.repo.path, tree, message=message)
    assert judged(repository) is None, "made by hand, but the very same"
    repository.repo.git("update-ref", "refs/heads/rendered/production", "honest~1")
    forge(repository.repo.path, tree | edits, message=message)
    assert path in held(repository).paths


def test_a_number_that_would_lock_later_deployments_out_is_held(repository: Deployments) -> None:
    message = repository.repo.git("log", "-1", "--format=%B", "rendered/production")
    forge(repository.repo.path, {}, message=message.replace("Deployment: 2", "Deployment: 4000000000"))
    assert "is numbered 4000000000, after 2" in held(repository).message


def test_what_another_version_rendered_is_held_unless_it_is_known_or_the_same(
    repository: Deployments, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    message = repository.repo.git("log", "-1", "--format=%B", "rendered/production").replace("loyment: 2", "loyment: 3")
    older = forge(repository.repo.path, _unit(repository), message=message.replace("0.1.0", "0.0.9"))
    said = held(repository)
    assert "was rendered by gitopsd 0.0.9" in said.message
    assert "gitopsd apply" in said.hint
    assert "policy.controllers" in said.hint
    trust_memory(repository.workspace(), BRANCH).keep(older, "rendered")  # as that version found it
    assert judged(repository) is None
    repository.deploy()  # the same source by this version: another deployment, and our own
    assert head_of(repository).commit.id != older
    assert judged(repository) is None
    monkeypatch.setattr(recompute, "__version__", "0.2.0")
    state.unlink()
    assert judged(repository) is None, "a version that renders the same finds so"


def test_a_source_that_is_on_no_branch_is_nobodys(repository: Deployments) -> None:
    repository.repo.git("checkout", "-q", "--detach")
    commit = repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="hidden")})
    repository.deploy()
    repository.repo.git("checkout", "-q", "main")
    said = held(repository)
    assert f"came from commit {commit[:12]}, which is not on any branch" in said.message
    repository.repo.git("branch", "topic", commit)
    strict = configured(repository, source_branch="main")
    assert "which is not on main" in held(repository, strict).message
    assert judged(repository) is None
    assert judged(repository, strict) is None, "known by now"


def test_what_a_person_named_and_was_committed_here_is_good_here(repository: Deployments) -> None:
    """Also where it has a worker that is leaving, for which the commits before it are looked at."""
    strict = configured(repository, source_branch="main")
    repository.commit({"fleets/production.yaml": machines(1, 2)})
    repository.deploy()
    repository.repo.git("checkout", "-q", "-b", "topic")
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="topic")})
    repository.deploy()
    assert "which is not on main" in held(repository, strict).message
    remember_rendered(strict, BRANCH, head_of(repository).commit)
    assert judged(repository, strict) is None
    repository.deploy(revision="topic~1")
    _reverted(repository)
    assert "which is not on main" in held(repository, strict).message, "not of the revert, but of what it is on"


def test_a_source_that_only_the_remote_has_is_fetched(repository: Deployments, tmp_path: Path) -> None:
    bare, behind = tmp_path / "fleet.git", tmp_path / "behind"
    repository.repo.git("clone", "-q", "--bare", ".", str(bare))
    git(tmp_path, "clone", "-q", str(bare), str(behind))
    repository.repo.git("remote", "add", "origin", str(bare))
    commit = repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="next")})
    repository.deploy()
    repository.repo.git("push", "-q", "origin", "rendered/production")
    opened = open_at(behind)
    remote = find_remote(opened)
    other = replace(repository.workspace(), repository=opened, remote=remote)
    fetch_artifacts(opened, BRANCH, remote)
    head = read_head(opened, BRANCH)
    assert head is not None
    with pytest.raises(HeldHeadError, match=f"{commit[:12]}, which is not on any branch") as raised:
        require_good(other, BRANCH, head)
    assert "push that commit" in raised.value.hint
    repository.repo.git("push", "-q", "origin", "main")
    require_good(other, BRANCH, head)


def test_a_source_that_is_not_here_is_held_and_the_way_out_is_to_push_it(repository: Deployments) -> None:
    message = repository.repo.git("log", "-1", "--format=%B", "rendered/production").replace("loyment: 2", "loyment: 3")
    known = repository.repo.git("rev-parse", "main")
    forge(repository.repo.path, {}, message=message.replace(known, "1" * 40))
    said = held(repository)
    assert "111111111111" in said.message
    assert "push that commit" in said.hint


def test_a_source_must_be_signed_where_versions_must_be(repository: Deployments, tmp_path: Path) -> None:
    signers = (str(allow(tmp_path / "signers", ("ada", "", make_key(tmp_path, "ada")))),)
    assert "which is not signed" in held(repository, configured(repository, signers=signers)).message


def test_what_a_listed_controller_signed_is_believed_and_nothing_else_that_differs(
    repository: Deployments, tmp_path: Path
) -> None:
    key, other = make_key(tmp_path, "controller"), make_key(tmp_path, "eve")
    lists = allow(tmp_path / "controllers", ("controller", "", key))
    trusting = configured(repository, controllers=(str(lists),))
    assert judged(repository, trusting) is None, "not signed, and our own"
    forge(repository.repo.path, _unit(repository), key=other)
    assert "and is signed with the ED25519 key" in held(repository, trusting).message
    forge(repository.repo.path, {}, message="Signed", key=key)
    assert judged(repository, trusting) is None
    cordon_worker(repository.workspace(), "edge-2", reason="on top of it", until="", drained=False)
    assert judged(repository, trusting) is None
    held(repository)  # without the list the signature says nothing
    allow(lists, ("controller", "", make_key(tmp_path, "next")))
    assert "which is not listed" in held(repository, trusting).message, "what rests on a key ends with it"


def test_what_this_controller_signs_others_believe_without_rendering_it(
    repository: Deployments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key(tmp_path, "controller")
    lists = allow(tmp_path / "controllers", ("controller", "", key))
    workspace = repository.workspace()
    signer = signer_of(Configuration(signing=SigningConfiguration(key=str(key.path))))
    signing = replace(workspace, repository=replace(workspace.repository, signer=signer))
    cordon_worker(signing, "edge-2", reason="signed", until="", drained=False)
    made = counted(monkeypatch)
    assert judged(repository, configured(repository, controllers=(str(lists),))) is None
    assert made == []


def test_a_version_must_render_to_the_same_by_this_controllers_own_policy(repository: Deployments) -> None:
    repository.commit({"workflows/orders.yaml": workflow("orders", 4, path="next")})
    repository.deploy()
    limited = configured(repository)
    limited = replace(limited, configuration=Configuration(policy=PolicyConfiguration(max_jobs=3)))
    assert "doesn't compile" in held(repository, limited).message
    roomy = replace(limited, configuration=Configuration(policy=PolicyConfiguration(max_jobs=3000)))
    assert judged(repository, roomy) is None
