import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import cel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain import expressions, templates
from scheduler.domain.errors import Invalid
from scheduler.domain.expression_syntax import SyntaxFault
from scheduler.domain.templates import NoText

SCOPE: Mapping[str, Any] = {
    "input": {"day": "2026-01-01", "n": 3, "f": 1.5, "yes": True, "none": None, "list": [1, 2, 3]},
    "vars": {"a b": 1},
    "tasks": {"load-2": {"output": {"rows": 7}, "exit_code": 0, "status": "COMPLETED"}},
    "run": {"id": "x", "type": "t", "record": None, "round": 1},
}


def value(text: str) -> Any:
    return expressions.parse(text).evaluate(SCOPE)


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("input.day", "2026-01-01"),
        ("input['day']", "2026-01-01"),
        ("vars['a b']", 1),
        ("tasks.load-2.output.rows > 5", True),
        ("tasks['load-2'].output.rows - 1", 6),
        ("tasks.load-2.output.rows -1", 6),
        ("has(input.gone) ? input.gone : 'none'", "none"),
        ("has(input.day) && !has(input.gone)", True),
        ("input.list.map(i, i * 2)", [2, 4, 6]),
        ("input.list.map(i, i > 1, i * 2)", [4, 6]),
        ("input.list.filter(i, i != 2)", [1, 3]),
        ("input.list.all(i, i > 0) && input.list.exists(i, i == 3)", True),
        ("input.list.exists_one(i, i > 1)", False),
        ("{'k': [1, 2.5, null]}", {"k": [1, 2.5, None]}),
        ("-7 / 2", -3),
        ("-7 % 3", -1),
        ("7.0 / 2.0", 3.5),
        ("input.n * input.f", 4.5),
        ("1 == 1.0", True),
        ("true == 1", False),
        ("[1] == [true]", False),
        ("'a' < 'b'", True),
        ("2 in input.list", True),
        ("'day' in input", True),
        ("input.gone == 1 || true", True),
        ("false && input.gone == 1", False),
        ("size('žluť')", 4),
        ("'a,b'.split(',').join('-')", "a-b"),
        ("'abc'.matches('^a.c$')", True),
        ("' x '.trim() + string(1) + string(1.5) + string(true)", "x11.5true"),
        ("int('12') + int(1.9)", 13),
        ("double('1.5')", 1.5),
        ("'\\u00e9\\n\\'' + r'\\d'", "é\n'\\d"),
        ("1 + 2 * 3 == 7 ? 'a' : 'b'", "a"),
        ("-9223372036854775808", -(2**63)),
        ("0x1F", 31),
        ("default(input.day, 'x')", "2026-01-01"),
        ("default(input.gone, 'x')", "x"),
        ("default(input.none, 'x')", "x"),
        ("default(input.gone.deeper[3].still, 0) + 1", 1),
        ("default(input.list[7], 8)", 8),
        ("default(input['gone'], input.n)", 3),
    ],
)
def test_an_expression_has_its_value(text: str, result: Any) -> None:
    found = value(text)
    assert found == result
    assert type(found) is type(result)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("input.zzz", "there is no 'zzz': known: day"),
        ("input.dat", "did you mean 'day'"),
        ("input.list[3]", "the list has 3 elements"),
        ("default(input.day.x, 1)", "text has no fields"),
        ("default(input.gone, input.gone)", "there is no 'gone'"),
        ("input.day + 1", "string"),
        ("1 / 0", "division by zero"),
        ("9223372036854775807 + 1", "64 bits"),
        ("1e308 * 10.0", "too large"),
        ("input.none.x", "null has no fields"),
        ("!1", "true or false"),
        ("1 ? 2 : 3", "true or false"),
        ("'a' < 1", "a number is needed"),
        ("int('1e3')", "no whole number"),
        ("'x'.matches('(')", "no regular expression"),
    ],
)
def test_what_has_no_value_says_why(text: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        value(text)


@pytest.mark.parametrize(
    ("text", "at"),
    [("1 +", 3), ("", 0), ("a b", 2), ("(1", 2), ("'x", 0), ("1 @ 2", 2), ("[1 2]", 3),
     ("a.", 2), ("x.map(1, 2)", 2), ("has(1)", 0), ("default(1, 2)", 0), ("default(a.b)", 0),
     ("1x", 0), ("'\\q'", 0)],
)  # fmt: skip
def test_a_fault_of_syntax_knows_its_column(text: str, at: int) -> None:
    with pytest.raises(SyntaxFault) as refused:
        expressions.parse(text)
    assert refused.value.at == at


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("inputs.day", "did you mean 'input'"),
        ("secrets.key", "there is no 'secrets'"),
        ("tasks", "name a task"),
        ("tasks[input.day].output", "name a task"),
        ("tasks.a.outputs", "did you mean 'output'"),
        ("run.number", "a run has no 'number'"),
        ("open('x')", "there is no function 'open'"),
        ("input.day.format()", "there is no function 'format'"),
        ("contains('a', 'b')", "write text.contains"),
        ("size()", "does not take 0"),
        ("[1].map(input, 1)", "already has a meaning"),
        ("[1].map(i, i) == i", "there is no 'i'"),
    ],
)
def test_what_can_never_have_a_value_is_found_without_one(text: str, why: str) -> None:
    found = [str(fault) for fault in expressions.faults(expressions.parse(text))]
    assert any(why in each for each in found), found


def test_the_tasks_that_an_expression_speaks_of_are_known() -> None:
    text = "tasks.a-b.output + tasks['c'].exit_code + [1].map(i, tasks.d.status)"
    found = [mention.name for mention in expressions.mentions(expressions.parse(text))]
    assert found == ["a-b", "c", "d"]


TEN = "[0,1,2,3,4,5,6,7,8,9]"
HOSTILE = {
    "nested loops": f"{TEN}.map(a, " * 8 + "1" + ")" * 8,
    "doubling lists": "[[1]]" + ".map(b, b + b)" * 38,
    "doubling texts": "['a']" + ".map(b, b + b)" * 38,
    "doubling by reference": "[1]" + ".map(b, [b, b])" * 30,
    "comparing doubles": "[1]" + ".map(b, [b, b])" * 16 + " == [1]" + ".map(b, [b, b])" * 16,
    "patterns": f"{TEN}.map(a, {TEN}.map(b, {TEN}.map(c, 'x'.matches('[\\\\w]{{200}}{{3}}'))))",
    "classes": f"{TEN}.map(a, {TEN}.map(b, {TEN}.map(c, 'x'.matches('{'.' * 250}'))))",
    "backtracking": "'" + "a" * 500 + "b'.matches('(a+)+$')",
    "replacing": "['aaaaaaaa']" + ".map(b, b.replace('a', 'aaaaaaaa'))" * 20,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_expression_takes_more_than_its_time_or_space(text: str) -> None:
    begun, found = time.process_time(), None
    with suppress(Invalid):
        found = value(text)
    assert found in (None, False, True)
    assert time.process_time() - begun < 5


@pytest.mark.parametrize(
    "text",
    ["(" * 5000 + "1" + ")" * 5000, "!" * 1999 + "true", "[" * 1000, "1" + "+1" * 999,
     "a" + ".b" * 900, "true?" * 300, "-" * 1999 + "1", "a" + "[0]" * 600, "{" * 900,
     "1" * 100_000, "1+" * 20_000 + "1"],
)  # fmt: skip
def test_neither_length_nor_depth_breaks_the_parser(text: str) -> None:
    with pytest.raises(Invalid):
        value(text)


def test_the_tallest_expression_fits_on_half_the_stack() -> None:
    tall = "1" + " + 1" * 99
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(600)
    try:
        assert value(tall) == 100
        assert list(expressions.faults(expressions.parse(tall))) == []
    finally:
        sys.setrecursionlimit(limit)


def test_ten_thousand_elements_can_be_filtered() -> None:
    scope = {"input": {"items": [{"name": f"n{n}", "n": n} for n in range(10_000)]}}
    found = expressions.parse("input.items.filter(i, i.n % 2 == 0).map(i, i.name)").evaluate(scope)
    assert len(found) == 5000


NUMBERS = st.integers(-20, 20).map(str) | st.sampled_from(["1.5", "2.0", "0.25"])
TEXTS = st.sampled_from(["'a'", "'b'", "''", "'ab'"])
ATOMS = NUMBERS | TEXTS | st.sampled_from(["true", "false", "null", "[1, 2]", "{'a': 1}"])
TREES = st.recursive(
    ATOMS,
    lambda inner: st.one_of(
        # That library adds a map to a list, which CEL does not know.
        st.tuples(inner, st.sampled_from(["+", "-", "*", "/", "%"]), inner)
        .filter(lambda parts: parts[1] != "+" or "{" not in parts[2])
        .map(" ".join),
        st.tuples(inner, st.sampled_from(["==", "!=", "<", "<=", ">", ">=", "in"]), inner).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        st.tuples(inner, st.sampled_from(["&&", "||"]), inner).map(
            lambda parts: f"({' '.join(parts)})"
        ),
        st.tuples(inner, inner, inner).map(lambda p: f"({p[0]} ? {p[1]} : {p[2]})"),
        inner.map(lambda each: f"!({each})"),
        inner.map(lambda each: f"size({each})"),
        st.tuples(inner, inner).map(lambda p: f"[{p[0]}, {p[1]}].map(i, i == {p[0]})"),
        st.tuples(inner, inner).map(lambda p: f"[{p[0]}, {p[1]}].exists(i, i == {p[1]})"),
    ),
    max_leaves=8,
)


def as_cel(text: str) -> tuple[bool, Any]:
    try:
        return True, cel.evaluate(text, {})
    except Exception:
        return False, None


def test_false_comes_before_true() -> None:
    assert value("false < true") is True
    assert value("true <= false") is False


@settings(max_examples=500, deadline=None)
@given(TREES)
def test_whatever_has_a_value_in_cel_has_the_same_value_here(text: str) -> None:
    has_value, result = as_cel(text)
    if has_value:
        assert value(text) == result, text


@pytest.mark.parametrize(
    ("text", "filled"),
    [
        ("plain", "plain"),
        ("a ${{ input.day }} b", "a 2026-01-01 b"),
        ("${{ input.n }}/${{ input.f }}/${{ input.yes }}", "3/1.5/true"),
        ("${{ input.list }}", "[1,2,3]"),
        ("${{ {'é': 'ü'} }}", '{"é":"ü"}'),
        ("$${{ input.day }}", "${{ input.day }}"),
        ("$$ ${ {{ }}", "$$ ${ {{ }}"),
        ("${{ '}}' + \"}}\" }}", "}}}}"),
    ],
)
def test_a_text_is_filled_with_values_in_words(text: str, filled: str) -> None:
    assert templates.read(text).fill(SCOPE) == filled


def test_a_text_that_is_one_expression_keeps_its_type() -> None:
    assert templates.read("${{ input.list }}").value(SCOPE) == [1, 2, 3]
    assert templates.read(" ${{ input.n }}").value(SCOPE) == " 3"


def test_null_has_no_text() -> None:
    with pytest.raises(NoText, match=r"\$\{\{ input.none \}\} is null"):
        templates.read("x ${{ input.none }}").fill(SCOPE)


@given(st.text() | st.text("${}'\"ab.[]()+ \\"))
def test_a_value_that_looks_like_an_expression_is_inert(text: str) -> None:
    scope = {"input": {"v": text}}
    assert templates.read("<${{ input.v }}>").fill(scope) == f"<{text}>"


@settings(max_examples=500)
@given(st.text(max_size=60) | st.text("ab1.[](){}'\"\\!-+*/%<>=&|?:, ", max_size=60))
def test_no_text_does_worse_than_being_refused(text: str) -> None:
    with suppress(Invalid):
        expression = expressions.parse(text)
        list(expressions.faults(expression))
        expression.evaluate(SCOPE)
