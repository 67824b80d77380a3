"""docs/reference/plan.schema.json: what `plan --json` prints, for programs that check it."""

import json

import jsonschema_rs
import msgspec
import pytest

from gitopsd.model.plan import plan_schema
from tests.compiler.cases import GOLDEN, Case
from tests.docs.markdown import DOCS
from tests.planner.deployed import plan, render

PAGE = DOCS / "reference/plan.schema.json"


def test_the_schema_is_that_of_the_plan(request: pytest.FixtureRequest) -> None:
    text = json.dumps(plan_schema(), indent=2) + "\n"
    if request.config.getoption("--refresh-golden", default=False):
        PAGE.write_text(text)
    assert PAGE.read_text() == text


def test_a_plan_is_valid_by_the_schema_and_another_document_is_not() -> None:
    schema = jsonschema_rs.validator_for(json.loads(PAGE.read_text()))
    before = render(Case(path=GOLDEN / "own-blueprint").source())
    for found in (plan(before, None), plan(render(Case(path=GOLDEN / "adapters-around-a-filter").source()), before)):
        document = json.loads(msgspec.json.encode(found))
        schema.validate(document)
        schema.validate({**document, "a key that a later version adds": 1})
        assert not schema.is_valid({key: value for key, value in document.items() if key != "digest"})
        document["changes"][0]["action"] = "destroy"
        assert not schema.is_valid(document)
