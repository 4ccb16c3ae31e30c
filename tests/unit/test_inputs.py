import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.errors import Invalid
from scheduler.domain.inputs import check_against, check_schema

SCHEMA = {
    "type": "object",
    "properties": {
        "day": {"type": "string", "format": "date"},
        "count": {"type": "integer", "minimum": 1, "default": 5},
        "code": {"type": "string", "pattern": "^[a-z]+$"},
        "to": {
            "type": "object",
            "properties": {"host": {"type": "string", "default": "local"}},
            "default": {},
        },
        "list": {"type": "array", "items": {"$ref": "#/$defs/item"}},
    },
    "required": ["day"],
    "additionalProperties": False,
    "$defs": {"item": {"type": "object", "required": ["id"]}},
}


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_defaults_are_filled_in_at_every_depth_and_the_callers_value_stays_as_it_was() -> None:
    given_ = {"day": "2026-01-31"}
    assert check_against(SCHEMA, given_) == {
        "day": "2026-01-31", "count": 5, "to": {"host": "local"},
    }  # fmt: skip
    assert given_ == {"day": "2026-01-31"}


def test_without_a_schema_any_object_will_do() -> None:
    assert check_against(None, {"x": [1]}) == {"x": [1]}


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({}, "input: 'day' is a required property"),
        ({"day": "2026-02-30"}, r"input\.day: '2026-02-30' is no date \(rule: format\)"),
        ({"day": 5}, r"input\.day: 5 is not of type 'string' \(rule: type\)"),
        ({"day": "2026-01-01", "count": 0}, r"input\.count: 0 .*\(rule: minimum\)"),
        ({"day": "2026-01-01", "code": "A1"}, r"input\.code: 'A1' does not match"),
        ({"day": "2026-01-01", "x": 1}, "'x' was unexpected"),
        ({"day": "2026-01-01", "list": [{"id": 1}, {}]}, r"input\.list\[1\]: 'id'"),
        ([], "must be an object"),
        ({"day": "a\0"}, r"input\.day: NUL"),
        ({"day": "\ud800"}, r"input\.day: NUL and half"),
        ({"\ud800": 1}, "half characters"),
        ({"day": 2**70}, r"input\.day: the number does not fit"),
        ({"day": float("nan")}, "infinity or NaN"),
        ({"day": nested(5000)}, "nested more than"),
        ({"day": object()}, "a value of JSON"),
    ],
)
def test_a_refusal_names_path_value_and_rule(value: Any, why: str) -> None:
    with pytest.raises(Invalid, match=why) as refused:
        check_against(SCHEMA, value)
    assert str(refused.value.field).startswith("input")
    assert str(refused.value).encode()


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ({"type": "array"}, "type: object"),
        ({"properties": {"a": {"type": "text"}}}, r"input\.properties\.a\.type"),
        ({"$ref": "https://example.org/x.json"}, "leads out of the document"),
        ({"$ref": "file:///etc/passwd"}, "leads out"),
        ({"$ref": "#/$defs/no"}, "leads nowhere"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "leads to itself"),
        ({"properties": {"a": {"pattern": "(?=x)"}}}, "no look-around"),
        ({"properties": {"a": {"pattern": "("}}}, "pattern"),
        ({"properties": {"a": {"format": "dat"}}}, "did you mean 'date'"),
        ({"patternProperties": {"a": {}}}, "can't be used"),
        ({"$id": "https://example.org"}, "can't be used"),
        ({"properties": {"a": {"type": "integer", "default": "x"}}}, r"input\.a \(its default\)"),
    ],
)
def test_a_schema_that_cannot_be_trusted_or_used_is_refused(
    schema: dict[str, Any], why: str
) -> None:
    with pytest.raises(Invalid, match=why):
        check_schema(schema)


def test_a_schema_that_grows_when_its_references_are_written_out_is_refused() -> None:
    defs = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 9} for n in range(9)}
    with pytest.raises(Invalid, match="rules, references written out"):
        check_schema({"$ref": "#/$defs/d0", "$defs": {**defs, "d9": {}}})


def test_a_property_may_have_the_name_of_a_rule() -> None:
    schema = {"properties": {"pattern": {"type": "string"}, "$ref": {"type": "integer"}}}
    assert check_schema(schema) == schema


def test_a_pattern_is_read_by_one_kind_of_regular_expressions_only() -> None:
    schema = {"properties": {"a": {"pattern": "^[a-z&&[^b]]$"}}}
    assert check_against(check_schema(schema), {"a": "c"}) == {"a": "c"}


def test_a_default_may_be_checked_by_a_reference() -> None:
    schema = {
        "properties": {"a": {"$ref": "#/$defs/n", "default": 1}},
        "$defs": {"n": {"type": "integer"}},
    }
    assert check_against(check_schema(schema), {}) == {"a": 1}


def test_a_pattern_takes_no_more_time_than_the_text_is_long() -> None:
    schema = check_schema({"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}})
    begun = time.process_time()
    with pytest.raises(Invalid):
        check_against(schema, {"a": "a" * 5000 + "b"})
    assert time.process_time() - begun < 1


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("date", "2026-01-31", "31.1.2026"),
        ("date-time", "2026-01-31T12:00:00.123456789Z", "2026-01-31"),
        ("time", "00:00:00Z", "25:00:00Z"),
        ("email", "a@b.example", "a.b"),
        ("hostname", "a-1.example", "-a"),
        ("ipv4", "10.0.0.1", "10.0.0"),
        ("ipv6", "::1", "10.0.0.1"),
        ("uri", "https://a.example/x", "a b"),
        ("uuid", "01890a5d-ac96-774b-bcce-b302099a8057", "01890a5d"),
    ],
)
def test_a_format_is_checked(name: str, good: str, bad: str) -> None:
    schema = check_schema({"properties": {"a": {"format": name}}})
    assert check_against(schema, {"a": good}) == {"a": good}
    with pytest.raises(Invalid, match=f"is no {name}"):
        check_against(schema, {"a": bad})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_no_value_does_worse_than_being_refused(value: Any) -> None:
    try:
        check_against(SCHEMA, {"day": value})
    except Invalid as fault:
        message = str(fault).encode()
    else:
        message = b"fine"
    assert message
