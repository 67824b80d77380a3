import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gitopsd.repo.trailers import deployment_message, format_message, parse_deployment, parse_trailers
from tests.repo.gitrepo import trailers

HOSTILE = "fix\n\nDeployment: 999\nSource-Commit: " + "b" * 40
VALUES = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1).filter(str.isprintable)


@given(subject=st.text(), trigger=VALUES, renderer=VALUES)
def test_what_is_written_is_read_back_whatever_the_subject(subject: str, trigger: str, renderer: str) -> None:
    written = trailers(7, trigger=trigger, renderer=renderer)
    assert parse_deployment(parse_trailers(deployment_message(subject, written))) == written


@pytest.mark.parametrize(
    "subject", [HOSTILE, HOSTILE.replace("\n", "\r"), HOSTILE.replace("\n", "\u2028"), HOSTILE + "\n\n"]
)
def test_trailers_in_a_subject_stay_part_of_the_subject(subject: str) -> None:
    message = deployment_message(subject, trailers(3))
    parsed = parse_deployment(parse_trailers(message))
    assert parsed is not None
    assert parsed.deployment == 3
    assert len(message.split("\n\n")) == 2


def test_git_reads_the_same_trailers() -> None:
    message = deployment_message("orders: read hourly", trailers(12, trigger="auto-revert"))
    said = subprocess.check_output(["git", "interpret-trailers", "--parse"], input=message, text=True)
    assert dict(line.split(": ", 1) for line in said.splitlines()) == parse_trailers(message)


def test_a_subject_is_one_line_of_bounded_length_and_never_empty() -> None:
    assert format_message("\x1b[31m \n\t", {}) == "[31m\n"
    assert format_message(" \n", {}) == "(no subject)\n"
    assert len(format_message("x" * 5000, {}).strip()) == 100


@pytest.mark.parametrize(
    ("name", "value"),
    [("Deployment", "1\nX: y"), ("Deployment", ""), ("De ploy", "1"), ("", "1"), ("X", " y"), ("X", "\x1b")],
)
def test_trailers_that_would_not_read_back_are_refused(name: str, value: str) -> None:
    with pytest.raises(ValueError, match="trailer"):
        format_message("x", {name: value})


@pytest.mark.parametrize(
    "message",
    [
        "", "x\n", "Deployment: 1\n", "x\n\nwords\nDeployment: 1\n", "x\n\nDeployment: 1\nDeployment: 2\n",
        "x\n\nDeployment: 1\n\nmore words\n",
    ],
)  # fmt: skip
def test_messages_without_a_clean_last_paragraph_have_no_trailers(message: str) -> None:
    assert parse_trailers(message) == {}


@pytest.mark.parametrize(
    ("old", "new"),
    [("Deployment: 3", "Deployment: -3"), ("Deployment: 3", "Deployment: 03"), ("Deployment: 3", "Deployment: three"),
     ("Deployment: 3", "Deployment: " + "9" * 400), ("a" * 40, "a" * 39), ("a" * 40, "main"), ("Trigger: push\n", "")],
)  # fmt: skip
def test_malformed_deployments_are_no_deployments(old: str, new: str) -> None:
    message = deployment_message("x", trailers(3))
    assert old in message
    assert parse_deployment(parse_trailers(message.replace(old, new))) is None


def test_a_deployment_names_its_compiled_and_those_that_never_did_stay_readable() -> None:
    message = deployment_message("x", trailers(3, compiled="b" * 40))
    assert "\nCompiled: " + "b" * 40 in message
    parsed = parse_deployment(parse_trailers(message))
    assert parsed is not None
    assert parsed.compiled == "b" * 40
    older = parse_deployment(parse_trailers(deployment_message("x", trailers(3))))
    assert older is not None
    assert older.compiled == ""
    assert parse_deployment(parse_trailers(message.replace("b" * 40, "b" * 39))) is None


def test_deployments_count_from_one() -> None:
    with pytest.raises(ValueError, match="from 1"):
        deployment_message("x", trailers(0))
