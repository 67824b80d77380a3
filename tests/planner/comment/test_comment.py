import msgspec
import pytest

from gitopsd.model.plan import Returns, Upgrade
from gitopsd.planner.comment.comment import SHORTEST, comment_text, marker
from gitopsd.planner.comment.content import Content, Refused, Rest, Shown, Versions
from gitopsd.planner.comment.neutral import neutral
from tests.planner.comment.pages import VERSIONS, change, content, plan, with_diff


def test_the_summary_comes_first() -> None:
    changes = (
        change("a.b.0", "v", data="some may repeat"),
        change("a.c.0", "v", action="held", effect="stop", reason="gone"),
        change("a.d.0", "w", action="unchanged", effect="none", reason="same"),
    )
    found = Shown(plan=plan(*changes, held="it deletes much"), effects="2" * 40, holds=("it is paused",))
    assert comment_text(content(about=found)).splitlines()[:22] == [
        "<!-- gitopsd plan production -->",
        "### Plan for `production`: 1 update, 1 unchanged, 1 held",
        "",
        "> - **Held:** it deletes much.",
        "> - **Held:** it is paused",
        "",
        "- Workers: 1 (`v`)",
        "- Processes: 1 restarted",
        "- Data in flight: 1 job, see below",
        "",
        "**Data in flight**",
        "",
        "- `a.b.0`: some may repeat",
        "",
        "<details open><summary><code>v</code>: 1 update, 1 held</summary>",
        "",
        "| job | change | effect | reason |",
        "|---|---|---|---|",
        "| `a.b.0` | update | restart | changed |",
        "| `a.c.0` | held | stop | gone |",
        "",
        "</details>",
    ]


def test_the_end_says_what_was_planned_against_what() -> None:
    assert comment_text(content()).splitlines()[-1] == (
        "<sub>plan `111111111111`, effects `222222222222`, of `aaaaaaaaaaaa` merged into `bbbbbbbbbbbb` "
        "(tree `cccccccccccc`), against `eeeeeeeeeeee`, gitopsd 0.1.0</sub>"
    )
    edited = content(versions=Versions(), artifact_head="")
    assert "of the work tree, with edits that are not committed, against nothing deployed yet" in comment_text(edited)


def test_environments_have_marks_of_their_own() -> None:
    assert len({marker("a-b"), marker("a--b"), marker("a")}) == 3
    assert marker("x--><b>") == "<!-- gitopsd plan x--b -->"


def test_replicas_that_change_alike_are_told_once() -> None:
    diffs = [with_diff(f"a.b.{n}", f'--- a/a.b.{n}\n "replica": {n}\n-x\n+y\n') for n in range(5)]
    page = comment_text(content(*diffs, with_diff("a.c.0", "-x\n+y\n")))
    heads = [line for line in page.splitlines() if line.startswith("<details><summary>")]
    alike = ", ".join(f"<code>a.b.{number}</code>" for number in range(3))
    assert heads == [
        f"<details><summary>{alike} and 2 more that change alike</summary>",
        "<details><summary><code>a.c.0</code></summary>",
    ]


def test_a_diff_cannot_end_its_own_fence() -> None:
    page = comment_text(content(with_diff("a.b.0", "+```\n+````\n+@team\n")))
    assert [line for line in page.splitlines() if line.startswith("`````")] == ["`````diff", "`````"]


def test_where_it_is_too_long_the_least_important_goes_and_that_is_said() -> None:
    jobs = [with_diff(f"a.b{n}.0", f"-{n}\n+{n}{n}\n", worker=f"w{n % 9}") for n in range(400)]
    risky = [change(f"z.z.{n}", "w1", action="delete", effect="stop", data="it is lost") for n in range(3)]
    rest = Rest(command="gitopsd plan abc", address="https://forge.example/1")
    page = comment_text(content(*jobs, *risky, rest=rest), SHORTEST * 2)
    assert len(page.encode()) <= SHORTEST * 2
    assert "- `z.z.0`, `z.z.1`, `z.z.2`: it is lost" in page
    assert "| `z.z.2` | delete | stop | changed |" in page
    (said,) = [line for line in page.splitlines() if line.startswith("> Not shown")]
    hidden = 403 - page.count("| update | restart |") - page.count("| delete | stop |")
    shown = page.count("```diff\n")
    assert said == (
        f"> Not shown, for length: {hidden} jobs, {400 - shown} diffs. `gitopsd plan abc` shows everything. "
        "[Where it was planned.](<https://forge.example/1>)"
    )
    per_worker = [int(line.split()[2]) for line in page.splitlines() if line.startswith("| … ")]
    assert sum(per_worker) == hidden, "each table says what it lacks"


def test_a_long_diff_says_how_many_lines_are_missing() -> None:
    page = comment_text(content(with_diff("a.b.0", "+line\n" * 5_000)), SHORTEST)
    shown = page.count("+line\n")
    assert 60 <= shown < 5_000
    assert f"+line\n… {5_000 - shown:,} more lines\n```\n\n</details>\n" in page


def test_without_a_limit_nothing_is_left_out() -> None:
    page = comment_text(content(*(with_diff(f"a.b{n}.0", f"+{n}\n" * 300) for n in range(300))))
    assert "Not shown" not in page
    assert page.count("```diff\n") == 300


def test_a_limit_that_has_no_room_for_the_summary_is_refused() -> None:
    with pytest.raises(ValueError, match="6,000"):
        comment_text(content(), SHORTEST - 1)


def test_what_workers_were_last_seen_with_is_told_of_those_that_change() -> None:
    about = Shown(
        plan=plan(change(worker="v")), effects="", drift={"v": ("jobs/a: the file was edited",), "w": ("it differs",)}
    )
    page = comment_text(content(about=about))
    assert "- Overwritten on workers: what differs on 1 of them, see below" in page
    assert "- `v`: jobs/a: the file was edited" in page
    assert "it differs" not in page


def test_an_upgrade_of_gitopsd_and_a_return_are_told_before_the_plan() -> None:
    upgrade = Upgrade(before="0.1", after="0.2", changed_workers=("v",), changes=(change("u.u.0", "v"),), held="policy")
    found = msgspec.structs.replace(plan(change()), upgrade=upgrade, returns=Returns(deployment=3))
    page = comment_text(content(about=Shown(plan=found, effects="")))
    assert "> - This is a return to deployment 3." in page
    assert "**This is gitopsd&#39;s" not in page
    assert "**This is gitopsd's upgrade from 0.1 to 0.2: 1 job would restart.** It is deployed first" in page
    assert page.index("| `v` | `u.u.0` | update |") < page.index("After it comes this version:")


def test_an_unchanged_environment_says_so() -> None:
    quiet = content(change(action="unchanged", effect="none"))
    assert comment_text(quiet).splitlines()[1:4] == [
        "### Plan for `production`: nothing changes",
        "",
        "- No job changes.",
    ]


def test_there_is_no_link_to_what_is_no_plain_address() -> None:
    for address in ("javascript:alert(1)", "https://x/ y", "https://x/)[b](http://y", "https://x/>"):
        rest = Rest(command="c", address=address)
        assert "](" not in comment_text(_long(rest), SHORTEST)


def _long(rest: Rest) -> Content:
    return content(*(with_diff(f"a.b{n}.0", f"+{n}\n" * 90) for n in range(90)), rest=rest)


def test_a_conflict_names_its_files() -> None:
    about = Refused(summary="it can't be merged as it is", hint="Merge the base.", paths=("a/b.yaml", "@team"))
    page = comment_text(content(about=about, versions=VERSIONS))
    assert "- a/b.yaml\n- &#64;&#8203;team\n" in page


def test_neutral_text_reads_the_same() -> None:
    assert neutral("plain words, 1 2 3. And more") == "plain words, 1 2 3. And more"
    assert neutral("the step `collect`, `gitopsd resume`") == "the step `collect`, `gitopsd resume`"
    assert neutral("`a<b>`") == "&#96;a&#60;b&#62;&#96;"


@pytest.mark.parametrize(
    "text", ["www.example.com", "https://example.com", "mailto:a@b.example", "@team", "#1", "GH-1", "!1", "0123abcd"]
)
def test_what_forges_look_for_is_parted(text: str) -> None:
    assert "&#8203;" in neutral(f"see {text}")
