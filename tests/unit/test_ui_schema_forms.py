"""Forms of JSON Schemas: which fields they have, and what is read of them."""

from collections.abc import Mapping
from typing import Any

import pytest

from scheduler.domain.faults import Fault, Unfit
from scheduler.domain.inputs import check_against, check_schema
from ui import schema_forms, schema_values
from ui.forms import Form
from ui.schema_forms import Field

SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["day", "to"],
    "properties": {
        "day": {"type": "string", "format": "date", "description": "of the books"},
        "count": {"type": "integer", "minimum": 1, "maximum": 9, "default": 2},
        "share": {"type": "number", "multipleOf": 0.5},
        "sure": {"type": "boolean", "default": True},
        "perhaps": {"type": "boolean"},
        "region": {"oneOf": [{"const": "n", "title": "North"}, {"const": "s", "title": "South"}]},
        "level": {"enum": [1, 2, None]},
        "note": {"type": ["string", "null"], "maxLength": 5000},
        "to": {
            "type": "object",
            "required": ["host"],
            "properties": {"host": {"type": "string"}, "port": {"type": "integer", "default": 22}},
        },
        "tags": {"type": "array", "items": {"type": "string"}},
        "sizes": {"type": "array", "items": {"type": "number"}},
        "days": {"type": "array", "items": {"enum": ["mon", "tue"]}, "uniqueItems": True},
        "lines": {"type": "array", "items": {"$ref": "#/$defs/line"}},
        "a.b": {"type": "string"},
        "free": {},
    },
    "$defs": {
        "line": {
            "type": "object",
            "required": ["what"],
            "properties": {"what": {"type": "string"}, "many": {"type": "integer"}},
        }
    },
}


def fields(**more: Any) -> dict[str, Field]:
    return {each.title: each for each in schema_forms.fields_of(SCHEMA, more)}


def read(**given: str | list[str]) -> dict[str, Any]:
    return schema_values.read(sent(given), SCHEMA)


def sent(given: Mapping[str, str | list[str]]) -> Form:
    return Form(
        [
            (f"input.{name}", each)
            for name, value in given.items()
            for each in (value if isinstance(value, list) else [value])
        ]
    )


def test_the_schema_of_these_tests_may_be_published() -> None:
    check_schema(SCHEMA)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("day", "text"), ("count", "number"), ("share", "number"), ("sure", "flag"),
        ("perhaps", "choice"), ("region", "choice"), ("level", "choice"), ("note", "lines"),
        ("to", "group"), ("tags", "list"), ("sizes", "list"), ("days", "choices"),
        ("lines", "rows"), ("free", "json"),
    ],
)  # fmt: skip
def test_each_rule_has_the_field_that_suits_it(name: str, kind: str) -> None:
    assert fields()[name].kind == kind


def test_what_has_to_be_filled_in_comes_first_and_says_what_fits() -> None:
    all = list(fields().values())
    assert {each.title for each in all[:2]} == {"day", "to"}
    assert fields()["day"].attributes["type"] == "date"
    assert fields()["day"].help == "of the books"
    assert fields()["count"].attributes == {"type": "number", "step": "1", "min": "1", "max": "9"}
    assert "a multiple of 0.5" in fields()["share"].help
    assert [each.text for each in fields()["region"].choices] == ["North", "South"]
    assert [each.text for each in fields()["perhaps"].choices] == ["yes", "no"]


def test_values_and_defaults_stand_in_the_fields() -> None:
    found = fields(
        tags=["a", "b c"], days=["tue"], lines=[{"what": "x", "many": 3}], region="s", note="so"
    )
    assert found["count"].value == "2"
    assert found["sure"].value == "true"
    assert found["tags"].value == "a\nb c"
    assert [each.is_chosen for each in found["days"].choices] == [False, True]
    assert [each.is_chosen for each in found["region"].choices] == [False, True]
    [first, blank] = found["lines"].parts
    assert {each.title: each.value for each in first} == {"what": "x", "many": "3"}
    assert {each.value for each in blank} == {""}


def test_what_was_filled_in_is_read_as_the_schema_means_it() -> None:
    found = read(
        day="2026-05-17", count="3", share="1.5", perhaps="false", region='"n"', level="null",
        note="two\nlines", tags="a\n\n b c ", sizes="1\n2.5", days=['"mon"', '"tue"'],
        free='{"x": [1]}', **{"to.host": "edge", "lines#": "3", "lines.0.what": "nail",
        "lines.0.many": "7", "lines.2.what": "screw", "a~1b": "dot"},
    )  # fmt: skip
    assert found == {
        "day": "2026-05-17", "count": 3, "share": 1.5, "sure": False, "perhaps": False,
        "region": "n", "level": None, "note": "two\nlines", "to": {"host": "edge"},
        "tags": ["a", "b c"], "sizes": [1, 2.5], "days": ["mon", "tue"],
        "lines": [{"what": "nail", "many": 7}, {"what": "screw"}], "a.b": "dot",
        "free": {"x": [1]},
    }  # fmt: skip
    assert check_against(SCHEMA, found)["to"] == {"host": "edge", "port": 22}


def test_what_is_left_empty_is_left_out_so_that_defaults_hold() -> None:
    assert read(sure="on", **{"lines#": "1", "tags": "", "count": " "}) == {"sure": True, "to": {}}


@pytest.mark.parametrize(
    "value",
    [
        {"day": "2026-01-01", "tags": ["one", "[two", " three ", ""], "to": {"host": "h"}},
        {"day": "2026-01-01", "tags": ["a\nb"], "sizes": [], "to": {"host": "h", "port": 1}},
        {"lines": [{"what": "a"}, {"many": 0}], "days": ["mon"], "free": None, "level": 2},
    ],
)
def test_a_form_that_is_sent_as_it_was_filled_gives_the_same_value(value: dict[str, Any]) -> None:
    form = Form(list(entries(schema_forms.fields_of(SCHEMA, value))))
    again = schema_values.read(form, SCHEMA)
    expected: dict[str, Any] = {"count": 2, "sure": True, "to": {}, **value}
    expected = {name: each for name, each in expected.items() if each != []}
    if expected["to"] == {}:
        again["to"].pop("port", None)
    expected["to"] = {"port": 22, **expected["to"]} if expected["to"] else {}
    assert again == expected


def entries(fields: list[Field] | tuple[Field, ...]) -> Any:
    """What a browser sends of such a form."""
    for each in fields:
        if each.kind == "rows":
            yield f"{each.name}#", str(len(each.parts))
        if each.kind in ("group", "rows"):
            for part in each.parts:
                yield from entries(part)
        elif each.kind == "flag":
            if each.value:
                yield each.name, "on"
        elif each.kind in ("choice", "choices"):
            yield from ((each.name, choice.value) for choice in each.choices if choice.is_chosen)
        else:
            yield each.name, each.value


def test_all_that_cannot_be_read_is_told_with_its_place() -> None:
    with pytest.raises(Unfit) as refused:
        read(count="many", free="{", sizes="1\nx", **{"lines#": "1", "lines.0.many": "no"})
    assert {each.path for each in refused.value.faults} == {
        ("count",), ("free",), ("sizes", 1), ("lines", 0, "many"),
    }  # fmt: skip


def test_what_the_schema_refuses_stands_at_the_field_that_it_is_about() -> None:
    given = {"count": "12", "to.port": "x", "lines#": "1", "lines.0.many": "4"}
    form = sent({**given, "to.port": "1"})
    with pytest.raises(Unfit) as refused:
        check_against(SCHEMA, schema_values.read(form, SCHEMA))
    shown = schema_forms.fields_of(SCHEMA, {}, form=form, faults=refused.value.faults)
    found = {each.name: each for each in every(shown)}
    assert "greater than the maximum" in found["input.count"].fault
    assert "required" in found["input.day"].fault
    assert "required" in found["input.to.host"].fault
    assert "required" in found["input.lines.0.what"].fault
    assert found["input.count"].value == "12"
    assert found["input.lines.0.many"].value == "4"


def every(fields: list[Field] | tuple[Field, ...]) -> Any:
    for each in fields:
        yield each
        for part in each.parts:
            yield from every(part)


def test_whoever_asks_for_one_more_row_gets_one() -> None:
    form = Form([("input.lines#", "2"), ("more", "input.lines"), ("input.lines.1.what", "kept")])
    found = {each.title: each for each in schema_forms.fields_of(SCHEMA, {}, form=form)}
    assert len(found["lines"].parts) == 3
    assert [each.value for each in found["lines"].parts[1] if each.title == "what"] == ["kept"]


@pytest.mark.parametrize("count", ["-1", "x", "99999999", "²"])
def test_a_count_of_rows_that_nobody_would_send_makes_no_harm(count: str) -> None:
    form = Form([("input.lines#", count)])
    found = {each.title: each for each in schema_forms.fields_of(SCHEMA, {}, form=form)}
    assert len(found["lines"].parts) <= schema_forms.MOST_ROWS


def test_a_fault_of_an_entry_stands_at_its_list() -> None:
    found = schema_forms.fields_of(SCHEMA, {}, faults=[Fault(("tags", 3), "is too long")])
    assert [each.fault for each in found if each.title == "tags"] == ["is too long"]


def test_what_nests_too_deep_is_written_as_json() -> None:
    rule: dict[str, Any] = {"type": "string"}
    for _ in range(6):
        rule = {"type": "object", "properties": {"in": rule}}
    [one] = schema_forms.fields_of(rule, {})
    depth = 0
    while one.kind == "group":
        [[one]] = one.parts
        depth += 1
    assert (one.kind, depth) == ("json", 3)
