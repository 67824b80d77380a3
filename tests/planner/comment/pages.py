"""Comments for tests, and what a GitHub-flavoured parser makes of them."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from gitopsd.model.diagnostic import Diagnostic, Location, Related
from gitopsd.model.plan import FileChange, JobChange, Plan, PlanInputs, QuarantinedWorkflow
from gitopsd.planner.comment.content import Content, Refused, Shown, Versions
from gitopsd.planner.graph.draw import Change, Graph, GraphChannel, GraphEnd, GraphStep, WorkflowGraph

VERSIONS = Versions(head="a" * 40, base="b" * 40, merged="c" * 40)

_PARSER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


def change(job: str = "orders.collect.0", worker: str = "edge-1", **more: Any) -> JobChange:
    given = {"action": "update", "effect": "restart", "reason": "changed", **more}
    return JobChange(worker=worker, job=job, **given)


def with_diff(job: str, diff: str, **more: Any) -> JobChange:
    return change(job, files=(FileChange(path=f"jobs/{job}/job.json", change="changed", diff=diff),), **more)


def plan(*changes: JobChange, **more: Any) -> Plan:
    inputs = PlanInputs(
        environment="production", source_commit="a" * 40, source_tree="d" * 40, artifact_head="e" * 40, renderer="1"
    )
    workers = tuple(sorted({one.worker for one in changes if one.action != "unchanged"}))
    given = {"tree": "f" * 40, "digest": "1" * 40, "branch": "rendered/production", "changed_workers": workers, **more}
    return Plan(inputs=inputs, changes=tuple(changes), **given)


def content(*changes: JobChange, about: Shown | Refused | None = None, **more: Any) -> Content:
    given = {"environment": "production", "renderer": "0.1.0", "versions": VERSIONS, "artifact_head": "e" * 40, **more}
    return Content(about=about or Shown(plan=plan(*changes), effects="2" * 40), **given)


def everything(text: str, diff: str, count: int = 3) -> Content:
    """A page with that text wherever one can stand."""
    changes = [
        with_diff(f"orders.{text}.{number}", diff, worker=text, reason=text, data=text, moved_from=text)
        for number in range(count)
    ]
    held = QuarantinedWorkflow(workflow=text, returns_to=1, reason=text, left_out={text: text})
    found = plan(*changes, held=text, quarantined=(held,))
    steps = tuple(GraphStep(name=f"s{n}", use=text, group=text, change=Change(counts={"update": 1})) for n in (1, 2))
    channel = GraphChannel(
        name=text, transport=text, producers=(GraphEnd(step="s1"),), consumers=(GraphEnd(step="s2"),)
    )  # fmt: skip
    workflow = WorkflowGraph(workflow=text, steps=steps, channels=(channel,))
    graph = Graph(environment=text, workflows=(workflow,))
    about = Shown(plan=found, effects=text, holds=(text,), drift={text: (text,)}, graph=graph)
    return content(about=about, environment=text, renderer=text, artifact_head=text)


def refused(text: str) -> Content:
    place = Location(path=text, line=1)
    related = Related(message=text, location=place)
    found = Diagnostic(code="code", message=text, location=place, hint=text, related=(related,))
    sources = {text: text.encode("utf-8", "replace")}
    about = Refused(summary=text, hint=text, diagnostics=(found,), sources=sources, paths=(text,))
    return content(about=about, environment=text)


def parsed(text: str) -> Sequence[Token]:
    return _PARSER.parse(text)


def inline(tokens: Sequence[Token]) -> Iterator[Token]:
    for token in tokens:
        yield from token.children or ()


def shape(text: str) -> list[str]:
    """What the page is made of, whatever it says."""
    found = []
    for token in parsed(text):
        if token.type == "html_block":
            found += re.findall(r"</?[a-z]+[^>]*>|<!--", token.content)
        elif token.type in {"fence", "inline"}:
            found.append(f"{token.type} {re.sub('`+', '`', token.markup)} {token.info}")
        else:
            found.append(f"{token.type} {token.markup}")
    return found
