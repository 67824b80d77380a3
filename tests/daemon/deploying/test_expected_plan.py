import pytest
from msgspec.structs import replace

from gitopsd.daemon.deploying.expected_plan import check_expected
from gitopsd.daemon.errors import StalePlanError
from gitopsd.model.plan import JobChange, Plan, PlanInputs
from gitopsd.planner.plan.diff import plan_digest

INPUTS = PlanInputs(
    environment="production",
    source_commit="a" * 40,
    source_tree="b" * 40,
    artifact_head="c" * 40,
    renderer="1",
    policy="d" * 40,
    pinned="e" * 40,
)


def _plan(inputs: PlanInputs = INPUTS, tree: str = "f" * 40) -> Plan:
    change = JobChange(worker="w", job="a.b.0", action="delete", effect="stop", reason="gone")
    return Plan(
        inputs=inputs,
        tree=tree,
        digest=plan_digest(inputs, tree),
        branch="rendered/production",
        changed_workers=("w",),
        changes=(change,),
    )


@pytest.mark.parametrize(
    ("key", "moved", "said"),
    [
        ("environment", "staging", "the environment (production then, staging now)"),
        ("source_tree", "1" * 40, "the source (bbbbbbbbbbbb then, 111111111111 now)"),
        ("pinned", "", "the pin (eeeeeeeeeeee then, none now)"),
        ("artifact_head", "1" * 40, "the artifact branch (cccccccccccc then, 111111111111 now)"),
        ("renderer", "2", "the version of gitopsd (1 then, 2 now)"),
        ("policy", "1" * 40, "the policy (dddddddddddd then, 111111111111 now)"),
    ],
)
def test_the_input_that_moved_is_named_and_no_other(key: str, moved: str, said: str) -> None:
    with pytest.raises(StalePlanError) as raised:
        check_expected(_plan(), _plan(replace(INPUTS, **{key: moved})))
    assert raised.value.message == f"the plan is stale: {said} moved; nothing was applied"


def test_what_it_renders_to_counts_as_well() -> None:
    with pytest.raises(StalePlanError, match="what it renders to moved"):
        check_expected(_plan(), _plan(tree="0" * 40))


def test_the_very_plan_passes() -> None:
    check_expected(_plan(), _plan())


@pytest.mark.parametrize("edit", [{"changes": ()}, {"held": "x"}, {"changed_workers": ()}, {"branch": "x"}])
def test_a_plan_that_was_edited_is_refused_although_its_digest_fits(edit: dict[str, object]) -> None:
    with pytest.raises(StalePlanError, match="edited"):
        check_expected(replace(_plan(), **edit), _plan())
