import re
import time

import msgspec
import pytest

from gitopsd.model.environments import Environment, artifact_branch
from gitopsd.model.names import PATTERN_RULES, BranchName, ChannelName, Name, ParameterName, UserName, did_you_mean


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Name, "a"),
        (Name, "orders-2"),
        (Name, "a" * 63),
        (ChannelName, "orders_raw"),
        (ParameterName, "rotate_bytes"),
        (UserName, "_apt"),
        (BranchName, "rendered/production"),
        (BranchName, "r"),
    ],
)
def test_a_name_that_fits_is_taken(kind: type, text: str) -> None:
    assert msgspec.convert(text, kind) == text


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        (Name, ""),
        (Name, "A"),
        (Name, "-a"),
        (Name, "a-"),
        (Name, "a_b"),
        (Name, "a.b"),
        (Name, "a" * 64),
        (Name, "a\n"),
        (Name, "é"),
        (ChannelName, "a_\n"),
        (ChannelName, "_a"),
        (ParameterName, "a-b"),
        (ParameterName, "1a"),
        (ParameterName, "a\n"),
        (UserName, "root\n"),
        (UserName, "Root"),
        (BranchName, "a//b"),
        (BranchName, "/a"),
        (BranchName, "a/"),
        (BranchName, "a/-b"),
        (BranchName, "a..b"),
        (BranchName, "a\n"),
        (BranchName, "a" * 201),
    ],
)
def test_a_name_that_does_not_fit_is_refused(kind: type, text: str) -> None:
    """A last newline among them: `$` of Python's patterns would let it pass, into file names and units."""
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(text, kind)


def test_every_pattern_has_its_rule_in_words() -> None:
    assert all(re.compile(pattern) and rule for pattern, rule in PATTERN_RULES.items())


def test_the_nearest_name_is_suggested() -> None:
    assert did_you_mean("edeg", ["core", "edge"]) == "did you mean `edge`?"
    assert did_you_mean("write-files", ["std/read-files", "std/write-files"]) == "did you mean `std/write-files`?"
    assert did_you_mean("zzz", ["b", "a"]) == "known here: `a`, `b`"
    assert did_you_mean("zzz", []) == ""
    assert did_you_mean("zzz", map(str, range(100))).endswith("and more")


def test_a_suggestion_among_very_many_or_for_a_very_long_name_takes_no_time() -> None:
    start = time.process_time()
    assert did_you_mean("name-12345", [f"name-{n}" for n in range(50_000)]).startswith("did you mean")
    did_you_mean("x" * 1_000_000, ["x" * 60] * 100)
    assert time.process_time() - start < 2


def test_the_artifact_branch_is_named_after_the_environment_unless_it_is_said() -> None:
    assert artifact_branch("production", Environment(fleet="f")) == "rendered/production"
    assert artifact_branch("production", Environment(fleet="f", artifacts="other")) == "other"


def test_among_very_many_names_the_same_one_is_found() -> None:
    known = [f"step-{number}" for number in range(9_000)]
    assert did_you_mean("step-4711x", known) == "did you mean `step-4711`?"
    assert (
        did_you_mean("zzz", known)
        == did_you_mean("zzz", sorted(known)[:1_000])
        == ("known here: " + ", ".join(f"`{name}`" for name in sorted(known)[:12]) + " and more")
    )
