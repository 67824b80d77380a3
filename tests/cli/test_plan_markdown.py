import re

import msgspec

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


def test_the_summary_comes_first() -> None:
    changes = (
        JobChange(worker="v", job="a.b.0", action="update", effect="restart", reason="changed", data="some may repeat"),
        JobChange(worker="v", job="a.c.0", action="held", effect="stop", reason="gone"),
        JobChange(worker="w", job="a.d.0", action="unchanged", effect="none", reason="same"),
    )
    found = msgspec.structs.replace(_plan("", ""), changes=changes, changed_workers=("v",), held="it deletes much")
    assert format_markdown(found).splitlines()[:12] == [
        "### Plan for `production`: 1 update, 1 unchanged, 1 held",
        "",
        "> **Held:** it deletes much.",
        "",
        "- Workers: 1 (`v`)",
        "- Processes: 1 restarted",
        "- Data in flight: 1 job, see below",
        "",
        "| worker | job | change | effect | reason |",
        "|---|---|---|---|---|",
        "| `v` | `a.b.0` | update | restart | changed |",
        "| `v` | `a.c.0` | held | stop | gone |",
    ]
    assert "- `a.b.0`: some may repeat" in format_markdown(found)


def test_hostile_text_is_neutral_wherever_it_stands() -> None:
    change = JobChange(worker="w", job="a.b.0", action="delete", effect="stop", reason=HOSTILE, data=HOSTILE)
    found = msgspec.structs.replace(_plan("", ""), changes=(change,), held=HOSTILE)
    for line in format_markdown(found).splitlines():
        if "team" in line:
            assert not set("@<[#") & set(re.sub(r"&#\d+;", "", line))


def test_a_diff_cannot_end_its_own_fence() -> None:
    text = format_markdown(_plan("+```\n+````\n+@team\n", "changed"))
    fences = [line for line in text.splitlines() if line.startswith("`````")]
    assert len(fences) == 2
    assert fences[0] == "`````diff"


def test_neutral_text_reads_the_same() -> None:
    assert neutral("plain words, 1 2 3. And more") == "plain words, 1 2 3. And more"


def test_addresses_do_not_become_links() -> None:
    assert "www." not in neutral("see www.example.com")
    assert "://" not in neutral("see https://example.com")
