"""What is told without the library for schemas is what the library would have told."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain import schema_rules
from scheduler.domain.faults import Unfit
from scheduler.domain.plain_schemas import surely_fits

SCALARS = st.sampled_from([None, True, False, 0, 1, 1.0, 2, 2.5, -3, "", "a", "ab", "2026-01-31"])
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)
BOUNDS = st.sampled_from([0, 1, 2, 2.5])
COUNTS = st.integers(0, 2)
TYPES = st.sampled_from(["object", "array", "string", "number", "integer", "boolean", "null"])


def rules(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    known = {
        "title": st.just("a"),
        "type": TYPES | st.lists(TYPES, min_size=1, max_size=2, unique=True),
        "enum": st.lists(VALUES, min_size=1, max_size=3),
        "const": VALUES,
        "required": st.lists(st.sampled_from("abc"), max_size=2, unique=True),
        "properties": st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
        "additionalProperties": inner,
        "items": inner,
        "pattern": st.sampled_from(["^a", "b$", "[0-9]+"]),
        "format": st.sampled_from(["date", "uri", "uuid"]),
        "multipleOf": st.just(2),
        "anyOf": st.lists(inner, min_size=1, max_size=2),
        **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), COUNTS),
        **dict.fromkeys(("minimum", "maximum"), BOUNDS),
        **dict.fromkeys(("exclusiveMinimum", "exclusiveMaximum"), BOUNDS),
    }
    return st.fixed_dictionaries({}, optional=known)


SCHEMAS = st.recursive(st.booleans(), rules, max_leaves=5).filter(
    lambda made: isinstance(made, dict)
)


@given(SCHEMAS, VALUES)
def test_what_surely_fits_fits(schema: dict[str, Any], value: Any) -> None:
    if surely_fits(schema, value):
        schema_rules.validate(schema_rules.validator(schema), value, "input")


ORDER = {
    "type": "object",
    "required": ["order"],
    "additionalProperties": False,
    "properties": {
        "order": {"type": "string", "title": "Order", "pattern": "^[0-9]+$", "maxLength": 10},
        "count": {"type": "integer", "minimum": 1, "default": 1},
        "due": {"type": "string", "format": "date"},
        "tool": {"enum": ["saw", "press"]},
        "parts": {"type": "array", "items": {"type": "number"}, "maxItems": 3},
    },
}


def test_the_usual_forms_need_nothing_more() -> None:
    whole = {"order": "47", "count": 2, "due": "2026-01-31", "tool": "saw", "parts": [1, 2.5]}
    assert surely_fits(ORDER, whole)


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"order": 47}, {"order": "x"}, {"order": "47", "count": True}, {"order": "47", "no": 1},
        {"order": "47", "count": 0}, {"order": "47", "due": "today"}, {"order": "47", "tool": "x"},
        {"order": "47", "parts": ["1"]}, {"order": "47", "parts": [1, 2, 3, 4]},
    ],
)  # fmt: skip
def test_what_is_wrong_is_left_to_whoever_can_say_why(wrong: dict[str, Any]) -> None:
    assert not surely_fits(ORDER, wrong)
    with pytest.raises(Unfit):
        schema_rules.validate(schema_rules.validator(ORDER), wrong, "input")
