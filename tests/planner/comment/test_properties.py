"""Whatever text stands in a plan, the page keeps its form and does nothing but to be read."""

import html
import re
from collections import Counter

from hypothesis import given, settings
from hypothesis import strategies as st

from gitopsd.planner.comment.comment import SHORTEST, comment_text
from gitopsd.planner.comment.content import Content
from tests.planner.comment.pages import change, content, everything, inline, parsed, refused, shape, with_diff

NASTY = ("-->",
    "@team", "@org/team", "#1", "GH-12", "acme/fleet#3", "!4", "~label", "%1", "$5", "&2", "^alert#1", "[[wiki]]",
    "[vulnerability:1]", "deadbeefcafe1", "https://evil.example/x", "www.evil.example", "mailto:a@b.example",
    "![i](http://x/y.png)", "[a](javascript:1)", "<img src=x onerror=1>", "</details>", "</summary>", "<!-- x -->",
    "```", "````", "~~~", "`", "``", "|", "\\|", "\\", "\n", "\r", "\n\n", "\u2028", "\x00", "\u202e", "\u200b", "---",
    "# h", "> q", "- l", "1. n", "===", "    code", "\t", "/close", "/merge", "/label ~x", "%%{init: {}}%%", "end",
    'click s1 href "javascript:1"', "subgraph", '"]', "classDef", "$$x$$", ":tada:", "&#64;x", "&amp;", "::error::x",
    "*iteration:1", "{{x}}", "{}", "<script>", "<", "=", "_a_", "**b**", "~~c~~", "\ud800",
)  # fmt: skip
texts = (
    st.lists(st.one_of(st.sampled_from(NASTY), st.text(max_size=6)), max_size=6)
    .map("".join)
    .filter(lambda text: not text or text.strip())
)
diffs = st.lists(texts, max_size=8).map(lambda lines: "".join(f"+{line}\n" for line in lines))

_TAGS = re.compile(r"</?(?:details|summary|code|sub)>|<details open>|<br>|<!-- gitopsd plan [A-Za-z0-9._-]* -->")
_PART = "\u200b"
_REFERENCES = re.compile(
    r"[@#!$%~&^\[*:](?=[\w/\[{\"'])|www\.|[Gg][HhLl]-\d|(?<![0-9A-Za-z])(?=[a-f]*\d)[0-9a-f]{7,40}(?![0-9A-Za-z])"
)


def _is_harmless(page: str) -> None:
    tokens = parsed(page)
    for token in tokens:
        if token.type == "html_block":
            assert not re.search("<[^&]", _TAGS.sub("", token.content)), token.content
            _has_no_reference(_TAGS.sub("", re.sub("<code>.*?</code>", "", token.content)))
    for token in inline(tokens):
        assert token.type in {
            "text", "code_inline", "html_inline", "softbreak", "strong_open", "strong_close", "text_special",
        }, token  # fmt: skip
        if token.type == "html_inline":
            assert _TAGS.fullmatch(token.content), token.content
        if token.type == "text":
            _has_no_reference(token.content)
    for line in page.splitlines():
        assert not re.match(r"[/@]", line), line


def _has_no_reference(text: str) -> None:
    """Nothing that a forge finds in what Markdown came to, once numbers are characters again."""
    found = _REFERENCES.search(html.unescape(text))
    assert found is None, (found, text)


@settings(max_examples=100)
@given(texts, diffs)
def test_no_text_changes_the_form_of_a_page(text: str, diff: str) -> None:
    lines = diff.count("\n")
    plain = "".join("+x\n" for _ in range(lines))
    page = comment_text(everything(text, diff))
    _is_harmless(page)
    assert shape(page) == shape(comment_text(everything("x" if text else "", plain)))


@settings(max_examples=100)
@given(texts)
def test_no_text_changes_the_form_of_what_does_not_compile(text: str) -> None:
    page = comment_text(refused(text))
    _is_harmless(page)
    assert [one for one in shape(page) if "fence" not in one] == [
        one for one in shape(comment_text(refused("x" if text else ""))) if "fence" not in one
    ]


@settings(max_examples=12)
@given(texts, diffs, st.integers(min_value=SHORTEST, max_value=40_000))
def test_no_page_is_longer_than_its_limit(text: str, diff: str, limit: int) -> None:
    for found in (everything(text * 20, diff * 20, count=20), refused(text * 20)):
        page = comment_text(found, limit)
        assert len(page) <= len(page.encode()) <= limit
        _is_harmless(page)
        assert shape(page).count("<details open>") + shape(page).count("<details>") == shape(page).count("</details>")


def _large(count: int, workers: int, lines: int, risky: int) -> Content:
    changes = []
    for number in range(count):
        job, worker = f"flow-{number % 7}.step-{number % 13}.{number}", f"worker-{number % workers}"
        data = "some may come twice" if number % 10 < risky else ""
        diff = f"+{number}\n" * (number * 17 % (lines + 1))
        changes.append(with_diff(job, diff, worker=worker, data=data) if diff else change(job, worker, data=data))
    return content(*changes)


contents = st.builds(_large, st.integers(0, 300), st.integers(1, 40), st.integers(0, 200), st.integers(0, 10))


def _things(page: str) -> Counter[str]:
    """What is told: every line that isn't form, by what it stands in."""
    found = Counter[str]()
    inside = ""
    for line in page.splitlines():
        if line.startswith("<details"):
            inside = line
        elif line == "</details>":
            inside = ""
        elif not re.match(r"\| … |… |- … |> Not shown|`{3,}|$", line):
            found[f"{inside} {line}"] += 1
    return found


@settings(max_examples=25)
@given(contents, st.integers(min_value=SHORTEST, max_value=60_000), st.integers(min_value=0, max_value=20_000))
def test_a_longer_limit_never_shows_less(found: Content, limit: int, more: int) -> None:
    shorter, longer = comment_text(found, limit), comment_text(found, limit + more)
    assert _things(shorter) <= _things(longer)


@settings(max_examples=20)
@given(contents)
def test_the_same_plan_gives_the_same_bytes(found: Content) -> None:
    assert comment_text(found, 20_000) == comment_text(found, 20_000)
