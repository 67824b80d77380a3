import re

from gitopsd.cli.plan_markdown import format_markdown, neutral
from gitopsd.model.plan import FileChange, JobChange, Plan, PlanInputs

INPUTS = PlanInputs(
    environment="production", source_commit="a" * 40, source_tree="b" * 40, artifact_head="", renderer="1"
)
HOSTILE = "@team <img src=x> [a](http://x) `code` | cell\n# heading ```` end"


def _plan(diff: str, reason: str) -> Plan:
    files = (FileChange(path="jobs/a.b.0/job.json", change="changed", diff=diff),)
    change = JobChange(worker="w", job="a.b.0", action="update", effect="restart", reason=reason, files=files)
    return Plan(
        inputs=INPUTS,
        tree="c" * 40,
        digest="d" * 40,
        branch="rendered/production",
        changes=(change,),
        changed_workers=("w",),
    )


def test_text_from_a_repository_is_neutral_in_a_table() -> None:
    text = format_markdown(_plan("+1\n", HOSTILE))
    (row,) = [line for line in text.splitlines() if line.startswith("| `w`")]
    assert row.count("|") == 6
    assert not set("@<[#") & set(re.sub(r"&#\d+;", "", row))


def test_a_diff_cannot_end_its_own_fence() -> None:
    text = format_markdown(_plan("+```\n+````\n+@team\n", "changed"))
    fences = [line for line in text.splitlines() if line.startswith("`````")]
    assert len(fences) == 2
    assert fences[0] == "`````diff"


def test_neutral_text_reads_the_same() -> None:
    assert neutral("plain words, 1 2 3") == "plain words, 1 2 3"
