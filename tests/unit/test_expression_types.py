from typing import Any

import pytest
from hypothesis import given, settings

from scheduler.domain import expressions
from scheduler.domain.errors import Invalid
from scheduler.domain.expression_meter import kind_of
from scheduler.domain.expression_types import ANY, Shape, infer, of, of_schema
from tests.unit.test_expressions import TREES

FILE = {"type": "object", "properties": {"size": {"type": "number"}}}
SCHEMA = {
    "type": "object",
    "properties": {
        "day": {"type": "string"},
        "n": {"type": "integer"},
        "maybe": {"type": ["integer", "null"]},
        "any": {},
        "one": {"enum": ["a", "b"]},
        "files": {"type": "array", "items": FILE},
    },
}  # fmt: skip
SCOPE = {"input": of_schema(SCHEMA)}


def faults(text: str) -> list[str]:
    return [str(fault) for fault in infer(expressions.parse(text).tree, SCOPE)[1]]


def shape(text: str) -> Shape:
    return infer(expressions.parse(text).tree, SCOPE)[0]


@pytest.mark.parametrize(
    "text",
    [
        "input.day + '1'", "input.n + 1", "input.any + 1", "input.any + 'x'", "input.maybe + 1",
        "input.files.map(f, f.size + 1)", "input.files[0].size * 2", "size(input.files) > 0",
        "input.files.filter(f, f.size > 1).all(g, g.size < 3)", "input.one + 'x'",
        "default(input.maybe, 3) + 1", "input.day == 3", "input.gone.x + 1",
        "input.day in ['a', 'b']", "[1, 'a'][0] + 1", "{'a': 1}.a + 1", "!(input.n > 1)",
        "has(input.n) ? input.n : 'none'", "int(input.day) + 1", "string(input.n) + 'x'",
    ],
)  # fmt: skip
def test_what_may_have_a_value_is_no_fault(text: str) -> None:
    assert faults(text) == []


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("input.day + 1", "string(…)"),
        ("input.n + 'x'", "string(…)"),
        ("input.files + 1", "a list + a number has no meaning"),
        ("input.files.map(f, f.size + 'x')", "a number + text"),
        ("input.n.x", "a number has no fields, so no 'x'"),
        ("input.n[0]", "nothing to look up"),
        ("input.files['a']", "a number is needed here, not text"),
        ("!input.n", "a boolean is needed here, not a number"),
        ("-input.day", "a number is needed here, not text"),
        ("input.day < 1", "has no meaning"),
        ("input.n && true", "a boolean is needed"),
        ("input.n ? 1 : 2", "a boolean is needed"),
        ("input.n.map(i, i)", "a list or a map is needed"),
        ("input.files.all(f, f.size)", "a boolean is needed"),
        ("input.n.contains('a')", "text is needed here, not a number"),
        ("size(input.n)", "is needed here, not a number"),
        ("1 in input.n", "a list or a map is needed"),
        ("{'a': 1}.a + 'x'", "a number + text"),
        ("{1: 2}", "text is needed here, not a number"),
    ],
)
def test_what_can_never_have_a_value_is_told_beforehand(text: str, what: str) -> None:
    found = faults(text)
    assert any(what in fault for fault in found), found


def test_a_schema_says_what_a_value_may_be() -> None:
    assert of_schema({"type": ["string", "null"]}) == of("text", "null")
    assert of_schema({"const": 3}) == of("a number")
    assert of_schema({"anyOf": [{"type": "string"}]}) == ANY
    assert of_schema(True) == ANY
    assert shape("input.files[0].size") == of("a number")


@settings(max_examples=500, deadline=None)
@given(TREES)
def test_whatever_has_a_value_is_of_a_kind_that_was_foreseen(text: str) -> None:
    expression = expressions.parse(text)
    try:
        value: Any = expression.evaluate({})
    except Invalid:
        return
    assert kind_of(value) in infer(expression.tree, {})[0].kinds
