"""What the operator's policy forbids, whatever the repository says."""

from collections.abc import Mapping
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from gitopsd.compiler.back import compile_back
from gitopsd.compiler.checks.policy import check_fleet_policy, check_policy, refused_settings
from gitopsd.compiler.front import compile_front
from gitopsd.compiler.placement.colocate import company_of
from gitopsd.model.artifacts import ArtifactState, PlacedWorker
from gitopsd.model.diagnostic import Diagnostic, Location
from gitopsd.model.policy import PolicyRecord, SecretPolicy
from gitopsd.model.system import Origin, StepNeeds, WorkflowSummary
from tests.compiler.cases import GOLDEN, RUNTIME, Case, library
from tests.contents import in_memory

T = TypeVar("T")


def step(name: str, **needs: Any) -> StepNeeds:
    given = {"use": "blueprints/alert", "group": "core", "replicas": 1, **needs}
    origin = Origin(path="workflows/orders.yaml", pointer=("steps", name))
    return StepNeeds(name=name, origin=origin, placed_at=origin, **given)


def checked(policy: PolicyRecord, *steps: StepNeeds) -> list[Diagnostic]:
    summary = WorkflowSummary(
        workflow="orders",
        path="workflows/orders.yaml",
        digest="0" * 40,
        companies=tuple(company_of("orders", [one]) for one in steps),
    )
    return check_policy(policy, [summary], lambda origin: Location(path="/".join([origin.path, *origin.pointer])))


def worker(name: str, **given: Any) -> PlacedWorker:
    return PlacedWorker(name=name, **{"group": "core", "connection": "ssh", "service_manager": "systemd", **given})


def refused_workers(policy: PolicyRecord, *workers: PlacedWorker) -> Mapping[str, str]:
    found = check_fleet_policy(policy, {one.name: one for one in workers}, lambda name: Location(path=name))
    assert {one.code for one in found} <= {"worker-not-allowed"}
    return {one.location.path: f"{one.message}; {one.hint}" for one in found}


def test_without_limits_everything_passes() -> None:
    needs = step("a", entitlements=("packs",), replicas=9000)
    assert checked(PolicyRecord(), needs) == []
    assert refused_workers(PolicyRecord(), worker("one", address="core.example")) == {}


def test_a_secret_that_nobody_declared_names_the_step_and_what_to_add() -> None:
    (found,) = checked(PolicyRecord(), step("reject", secrets=("alert_token",)))
    assert found.code == "missing-secret"
    assert found.location.path == "workflows/orders.yaml/steps/reject"
    assert "`reject`" in found.message
    assert "`alert_token`" in found.message
    assert "secrets: {alert_token:" in found.hint


@pytest.mark.parametrize(
    ("bound", "codes"),
    [
        (SecretPolicy(), []),
        (SecretPolicy(workflows=("orders",), groups=("core",)), []),
        (SecretPolicy(workflows=("billing",)), ["secret-not-allowed"]),
        (SecretPolicy(groups=("edge",)), ["secret-not-allowed"]),
        (SecretPolicy(workflows=("billing",), groups=("edge",)), ["secret-not-allowed"] * 2),
    ],
)
def test_a_secret_is_for_the_workflows_and_groups_that_it_is_bound_to(bound: SecretPolicy, codes: list[str]) -> None:
    policy = PolicyRecord(secrets={"token": bound})
    assert [one.code for one in checked(policy, step("a", secrets=("token",)))] == codes


def test_an_entitlement_must_be_in_the_policy_where_it_lists_any() -> None:
    needs = step("a", entitlements=("packs", "sso"))
    found = checked(PolicyRecord(entitlements=("packs",)), needs)
    assert [(one.code, "`sso`" in one.message) for one in found] == [("missing-entitlement", True)]
    (community,) = checked(PolicyRecord(edition="community", entitlements=()), step("a", entitlements=("sso",)))
    assert "community edition" in community.message


def test_too_many_jobs_are_said_once_at_the_step_that_passes_the_limit() -> None:
    steps = (step("a", replicas=10), step("b", replicas=6), step("c", replicas=4))
    (found,) = checked(PolicyRecord(max_jobs=15, edition="community"), *steps)
    assert found.code == "too-many-jobs-for-policy"
    assert found.location.path.endswith("/steps/b")
    assert "20 jobs" in found.message
    assert checked(PolicyRecord(max_jobs=20), *steps) == []


def test_a_group_must_be_among_the_allowed_ones() -> None:
    assert [one.code for one in checked(PolicyRecord(groups=("edge",)), step("a"))] == ["group-not-allowed"]
    assert checked(PolicyRecord(groups=("core",)), step("a")) == []


def test_workers_must_be_at_allowed_addresses() -> None:
    policy = PolicyRecord(addresses=("10.0.0.0/8", "fd00::/8"))
    refused = refused_workers(
        policy,
        worker("inside", address="10.1.2.3"),
        worker("outside", address="192.168.1.1"),
        worker("six", address="fd00::1"),
        worker("scoped", address="fe80::1%eth0"),
        worker("mapped", address="::ffff:10.0.0.1"),
        worker("named", address="core.example"),
        worker("almost", address="10.1"),
        worker("here", connection="local"),
        worker("gone", address="192.168.1.1", leaving=True),
    )
    assert refused.keys() == {"outside", "scoped", "mapped", "named", "almost"}
    assert "write its IP address" in refused["named"]


def test_a_policy_that_allows_no_address_allows_built_in_workers_alone() -> None:
    assert refused_workers(
        PolicyRecord(addresses=()), worker("one", address="10.0.0.1"), worker("here", connection="local")
    ).keys() == {"one"}


def test_the_community_edition_has_built_in_workers_only() -> None:
    policy = PolicyRecord(edition="community", external_workers=False)
    refused = refused_workers(policy, worker("one", address="10.0.0.1"), worker("here", connection="local"))
    assert refused.keys() == {"one"}


@pytest.mark.parametrize(
    ("policy", "settings", "refused"),
    [
        (None, {"User": "root"}, None),
        (PolicyRecord(), {"MemoryMax": "1G"}, None),
        (PolicyRecord(), {"User": "gitopsd-job"}, None),
        (PolicyRecord(), {"User": "root"}, "User"),
        (PolicyRecord(), {"ReadWritePaths": "/srv/x"}, "ReadWritePaths"),
        (PolicyRecord(), {"SupplementaryGroups": "adm"}, "SupplementaryGroups"),
        (PolicyRecord(users=("gitopsd-job", "postgres")), {"User": "postgres"}, None),
        (PolicyRecord(users=("postgres",)), {}, None),
        (PolicyRecord(users=("postgres",)), {"User": "root"}, "User"),
        (PolicyRecord(unit_settings=("ReadWritePaths",)), {"ReadWritePaths": "/srv/x"}, None),
        (PolicyRecord(unit_settings=("ReadWritePaths",)), {"MemoryMax": "1G"}, "MemoryMax"),
        (PolicyRecord(unit_settings=("User",)), {"User": "root"}, "User"),
        (PolicyRecord(unit_settings=()), {}, None),
    ],
)
def test_unit_settings_and_users_need_the_operators_leave(
    policy: PolicyRecord | None, settings: Mapping[str, Any], refused: str | None
) -> None:
    found = refused_settings(policy, settings)
    assert (found[0] if found else None) == refused
    assert found is None or ("`policy." in found[2] and all(found))


class Remembering:
    """A Memory of everything."""

    def __init__(self) -> None:
        self.values: dict[str, object] = {}

    def recall(self, key: str, kind: type[T]) -> T | None:
        found = self.values.get(key)
        return found if isinstance(found, kind) else None

    def keep(self, key: str, value: object) -> None:
        self.values[key] = value


@pytest.mark.parametrize(
    ("case", "policy", "passes"),
    [
        ("setting-not-allowed-that-others-may-have", PolicyRecord(), True),
        ("setting-not-allowed-that-others-may-have", PolicyRecord(unit_settings=()), False),
        ("setting-not-allowed-that-others-may-have", PolicyRecord(unit_settings=("MemoryMax",)), False),
        ("setting-not-allowed-that-others-may-have", PolicyRecord(unit_settings=("MemoryMax", "Nice")), True),
        ("setting-not-allowed-of-a-user", PolicyRecord(users=("gitopsd-job", "postgres")), True),
        ("setting-not-allowed-of-a-user", PolicyRecord(), False),
    ],
)
def test_what_was_rendered_under_another_policy_is_not_remembered(
    case: str, policy: PolicyRecord, passes: bool
) -> None:
    source = in_memory(Case(path=GOLDEN / case).source())
    memory = Remembering()
    lifted = {"users": ("gitopsd-job", "postgres")} if case.endswith("user") else {"unit_settings": None}
    everything = replace(policy, **lifted)
    for counts, compiles in ((everything, True), (policy, passes), (everything, True)):
        front = compile_front(source, None, memory)
        compiled = compile_back(front, ArtifactState(policy=counts), RUNTIME, {}, memory, library=library)
        assert (compiled.rendering is not None) is compiles
        assert [one.code for one in compiled.diagnostics] == ["setting-not-allowed"] * (not compiles)
