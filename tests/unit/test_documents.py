import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.documents import UnreadableDocument, load, plain
from scheduler.domain.nodes import LONGEST

BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
TOWER = "a0: &a0 [x]\n" + "".join(f"a{n + 1}: &a{n + 1} [*a{n}]\n" for n in range(60))


def read(text: str) -> Any:
    [node] = load(text)
    return plain(node)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("country: no", {"country": "no"}),
        ("on: yes", {"on": "yes"}),
        ("day: 2026-01-01", {"day": "2026-01-01"}),
        ("at: 12:30:45", {"at": "12:30:45"}),
        ("n: 1_000", {"n": "1_000"}),
        ("v: 1.10", {"v": 1.1}),
        ("n: -3", {"n": -3}),
        ("n: +3e2", {"n": 300.0}),
        ("t: true\nf: False\nz: ~\ne:", {"t": True, "f": False, "z": None, "e": None}),
        ('q: "012"', {"q": "012"}),
        ("1: one", {"1": "one"}),
        ('s: "\\ud83d\\ude00"', {"s": "😀"}),
        ("base: &b {x: 1}\nsame: *b", {"base": {"x": 1}, "same": {"x": 1}}),
        ("{flow: [1, two]}", {"flow": [1, "two"]}),
    ],
)
def test_yaml_means_what_it_says(text: str, value: Any) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("a: 1\nb: 2\na: 3", "3:1", "'a' is there already, in line 1"),
        ("mode: 012", "1:7", "quote it"),
        ("mode: 0x1F", "1:7", "quote it"),
        ("x: .inf", "1:4", "quote it"),
        ("x: 1e999", "1:4", "too large"),
        ("x: 99999999999999999999", "1:4", "too large"),
        ("x: " + "9" * 5000, "1:4", "too large"),
        ("x: !!python/object/apply:os.system [ls]", "1:4", "tags"),
        ("x: !secret y", "1:4", "tags"),
        ("<<: {a: 1}", "1:1", "does not merge"),
        ("? [a]\n: b", "1:3", "a key is plain text"),
        ("x: *nobody", "1:4", "no anchor"),
        ("x: &x [*x]", "1:8", "no anchor"),
        ('x: "\\0"', "1:4", "NUL"),
        ('x: "\\ud800"', "1:4", "half a character"),
        ("x: \x07", "1:4", "can't be used"),
        ("x: [1", "1:6", "expected"),
        (BOMB, "5:", "more than"),
        (TOWER, "4", "nested more than"),
        ("[" * 5000, "1:", "nested more than"),
        ("- " * 5000 + "x", "1:", "nested more than"),
        ("x: [" + "1," * 60_000 + "]", "1:", "more than"),
        ('{"a": 1, "a": 2}', "1:10", "already"),
        ('{"a": [' + "[" * 100 + "]" * 100 + "]}", "1:", "nested more than"),
        ('{"a": "\\u0000"}', "1:7", "NUL"),
        ('{\n  "a": 1\n  "b": 2\n}', "3:3", "','"),
    ],
)
def test_what_is_dangerous_or_unclear_is_refused_with_its_place(
    text: str, where: str, what: str
) -> None:
    with pytest.raises(UnreadableDocument, match=what) as refused:
        load(text)
    assert str(refused.value.mark).startswith(where)


def test_a_text_beyond_a_megabyte_is_refused_unread() -> None:
    with pytest.raises(UnreadableDocument, match="split the file"):
        load("x" * (LONGEST + 1))


def test_an_anchor_of_one_document_is_unknown_in_the_next() -> None:
    with pytest.raises(UnreadableDocument, match="no anchor"):
        load("a: &a 1\n---\nb: *a\n")


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(codec="ascii", exclude_characters="\0")), inner)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.sampled_from("abc"), VALUES), st.sampled_from([None, 2, "\t"]))
def test_json_is_read_as_json_however_it_is_laid_out(value: Any, indent: Any) -> None:
    assert read(json.dumps(value, indent=indent)) == value
    assert read(json.dumps(value, indent=indent, ensure_ascii=False)) == value


def test_a_value_of_json_knows_its_line_and_column() -> None:
    [node] = load('{\n\t"a": [1,\n   {"b": "x"}]}')
    assert isinstance(node.value, dict)
    inner = node.value["a"].node.value
    assert isinstance(inner, list)
    assert str(inner[1].mark) == "3:4"


@given(st.text(max_size=200) | st.text("{}[]:,&*!|>'\"#-? \nab01\\", max_size=200))
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    with suppress(UnreadableDocument):
        load(text)
