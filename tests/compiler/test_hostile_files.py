"""The loader is bounded by itself, whatever limits there are on the size of files before it."""

import subprocess
import sys

import pytest

from gitopsd.compiler.declarations.mistakes import MAX_MISTAKES
from gitopsd.compiler.yaml.reader import read_yaml
from tests.compiler.hostile_files import repositories


@pytest.mark.timeout(240)
def test_no_file_takes_more_than_bounded_time_and_memory() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "tests.compiler.hostile_files"], capture_output=True, text=True, check=False
    )
    *_, last = ["", *result.stdout.splitlines()]
    assert result.returncode == 0, f"{last}: {result.stderr}"
    assert len(result.stdout.splitlines()) == sum(1 for _ in repositories())


def test_of_many_mistakes_the_first_are_told_and_that_there_are_more() -> None:
    content = b"".join(b"k%d: 1\nk%d: 2\n" % (n, n) for n in range(MAX_MISTAKES + 50))
    _, mistakes = read_yaml("a.yaml", content)
    assert [mistake.code for mistake in mistakes] == ["duplicate-key"] * MAX_MISTAKES + ["more-mistakes"]
    assert mistakes[-1].location.line == 2 * MAX_MISTAKES + 2
    assert len(read_yaml("a.yaml", b"k: 1\n" * (MAX_MISTAKES + 1))[1]) == MAX_MISTAKES
