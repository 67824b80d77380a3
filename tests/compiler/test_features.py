import pytest

from gitopsd.compiler.placement.features import is_feature, is_probed, parse_requirement, unmet

LEARN = "nobody probed it: `gitopsd worker probe --commit`"


@pytest.mark.parametrize(
    ("required", "version", "met"),
    [
        ("python3", "2.7", True),
        ("python3>=3.9", "3.11.2", True),
        ("python3>=3.9", "3.8.20", False),
        ("python3>=3.9,<4", "3.11", True),
        ("python3 >= 3.9 , < 4", "4.0", False),
        ("python3>=3.9,<4,!=3.10", "3.10.0", False),
        ("python3==3", "3.0.0", True),
        ("python3>3.9", "3.9", False),
    ],
)
def test_a_version_is_in_all_ranges_or_refused(required: str, version: str, met: bool) -> None:
    assert (unmet(required, (), {"python3": version}) == "") is met
    assert (unmet(required, (f"python3=={version}",)) == "") is met


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Python3",
        "python3 => 3",
        "python3>=3.9,",
        "python3,<4",
        "python3>=3.9 <4",
        "a>=1,b<2",
        "a>=1.x",
        "a>=1\n,<2;",
    ],
)
def test_what_is_no_requirement_is_not_read(text: str) -> None:
    assert parse_requirement(text) is None


def test_a_worker_may_not_declare_a_range() -> None:
    assert is_feature("python3==3.9")
    assert not is_feature("python3>=3.9")


def test_what_is_declared_and_what_was_found_count_alike() -> None:
    assert unmet("jq>=1.7", ("jq==1.7",), {"jq": "1.6"}) == ""
    assert unmet("jq>=1.7", ("jq",), {"jq": "1.7"}) == ""
    assert unmet("jq", (), {"jq": "1.7"}) == ""


@pytest.mark.parametrize(
    ("declared", "facts", "reason"),
    [
        ((), {}, f"it doesn't declare the feature `jq`, and {LEARN}"),
        ((), {"python3": "3.11"}, "it doesn't declare the feature `jq`, and a probe found none"),
        (("jq",), {}, f"it declares `jq` without a version, and {LEARN}"),
        (("jq",), {"python3": "3.11"}, "it declares `jq` without a version"),
        (("jq==1.5",), {"jq": "1.6"}, "it has `jq` in version `1.5`, `1.6`"),
    ],
)
def test_a_refusal_says_what_is_known_and_how_to_learn_more(
    declared: tuple[str, ...], facts: dict[str, str], reason: str
) -> None:
    assert unmet("jq>=1.7", declared, facts) == reason


@pytest.mark.parametrize(
    ("name", "version"),
    [("jq", ""), ("jq", "1.6; rm"), ("jq", "1." + "9" * 20), ("", "1"), ("a" * 64, "1"), ("../x", "1"), ("JQ", "1")],
)
def test_what_no_worker_can_have_is_not_taken_for_a_fact(name: str, version: str) -> None:
    assert not is_probed(name, version)
