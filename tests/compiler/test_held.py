"""Which jobs of an earlier deployment may still run as they are; and what makes a form of a workflow another one."""

import json
from typing import Any

import pytest
from msgspec.structs import replace

from gitopsd.compiler.checks.held import why_left_out
from gitopsd.compiler.front import compile_front
from gitopsd.compiler.render.workflow import RenderedJob
from gitopsd.model.artifacts import PlacedWorker
from gitopsd.model.policy import PolicyRecord, SecretPolicy
from tests.compiler.cases import GOLDEN, Case
from tests.contents import in_memory

WORKER = PlacedWorker(name="edge-1", group="edge", connection="ssh", service_manager="systemd")
POLICY = PolicyRecord(secrets={"token": SecretPolicy()}, users=("gitopsd-job", "postgres"))


def left_out(
    *,
    now: PlacedWorker | None = WORKER,
    policy: PolicyRecord = POLICY,
    then: PolicyRecord | None = POLICY,
    clash: str = "",
    **entry: Any,
) -> str:
    record = {"user": "gitopsd-job", "secrets": [], **entry}
    job = RenderedJob(
        name="orders.read.0", workflow="orders", worker="edge-1", entry=json.dumps(record), tree="",
        units=(),
    )  # fmt: skip
    return why_left_out(job, then=WORKER, now=now, policy_then=then, policy=policy, clash=clash)


def test_what_is_still_allowed_is_had_back() -> None:
    assert left_out() == ""
    assert left_out(secrets=["token"], user="postgres") == ""
    assert left_out(then=None, policy=PolicyRecord()) == ""
    settings = ("CPUQuota", "User")
    assert left_out(then=PolicyRecord(unit_settings=settings), policy=PolicyRecord(unit_settings=settings)) == ""


def secrets_for(**who: tuple[str, ...]) -> PolicyRecord:
    return PolicyRecord(secrets={"token": SecretPolicy(**who)})


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"now": None}, "not in the fleet any more"),
        ({"now": replace(WORKER, leaving=True)}, "not in the fleet any more"),
        ({"now": replace(WORKER, service_manager="supervisor")}, "another service manager"),
        ({"clash": "its store lies elsewhere"}, "its store lies elsewhere"),
        ({"policy": PolicyRecord(groups=("core",))}, "allows no jobs on the group `edge`"),
        ({"user": "root"}, "allows no job to run as `root`"),
        ({"secrets": ["other"]}, "the secret `other`"),
        ({"secrets": ["token"], "policy": secrets_for(workflows=("alerts",))}, "the secret `token`"),
        ({"secrets": ["token"], "policy": secrets_for(groups=("core",))}, "the secret `token`"),
        ({"policy": PolicyRecord(entitlements=())}, "fewer entitlements"),
        ({"then": PolicyRecord(unit_settings=("DynamicUser", "AmbientCapabilities"))}, "less in units"),
        ({"policy": PolicyRecord(unit_settings=("CPUQuota",))}, "less in units"),
    ],
)
def test_what_is_not_allowed_any_more_is_left_out(changed: dict[str, Any], said: str) -> None:
    assert said in left_out(**changed)


def test_what_a_blueprint_ships_makes_another_form_of_a_workflow_and_other_files_do_not() -> None:
    files = Case(path=GOLDEN / "own-blueprint").source()
    shipped = "files/alerter.py"

    def form(**changed: bytes) -> str:
        [flow] = compile_front(in_memory({**files, **changed}), None).flows
        assert flow.summary is not None
        return flow.summary.digest

    assert form() == form(**{"files/unused": b"nobody ships it"})
    assert form() != form(**{shipped: files[shipped] + b"\n# mended\n"})
