"""What a task's output is made of."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor import outputs, plain
from executor.outputs import Made, Tail
from executor.report import MOST_OUTPUT, Report


def made(
    form: str, printed: bytes = b"", said: dict[str, Any] | None = None, file: bytes | None = None
) -> Made:
    stdout, report = Tail(), Report()
    stdout.feed(printed)
    for name, value in (said or {}).items():
        report.put_out(name, value)
    return outputs.make(form, stdout, report, file)


def output(*given: Any) -> Any:
    result = made(*given)
    assert result.error is None
    return None if result.output is None else json.loads(result.output)


def test_without_a_form_the_output_is_what_was_reported() -> None:
    assert output("none", b"printed") is None
    assert output("none", b"printed", {"rows": 1}) == {"rows": 1}
    assert output("none", b"", {"rows": 1, "a": 1}, b'rows=2\n\n{"n": [1, null]}\n') == {
        "rows": "2",
        "a": 1,
        "n": [1, None],
    }


def test_a_form_says_what_becomes_of_stdout() -> None:
    assert output("text", b"one\ntwo\n\n") == "one\ntwo"
    assert output("lines", b"one\r\ntwo\n") == ["one", "two"]
    assert output("lines", b"one\n\ntwo") == ["one", "", "two"]
    assert output("lines", b"") == []
    assert output("json", b' {"a": [1, 2.5, "\xc3\xa9"]}\n') == {"a": [1, 2.5, "é"]}
    assert output("json", b"[1]\n") == [1]


def test_reported_outputs_are_laid_over_an_object_on_stdout() -> None:
    assert output("json", b'{"a": 1, "b": 2}', {"b": 3}) == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("printed", "why"),
    [
        (b"", "line 1, column 1"),
        (b'{"a": 1}\n{"a": 2}', "line 2, column 1"),
        (b'{"a": NaN}', "NaN"),
        (b'{"a": 1e999}', "a: the number is too large"),
        (b'{"a": "\\u0000"}', "a: NUL"),
        (b'{"a": [1, "\\ud800"]}', "a[1]: NUL and half"),
        (b"[" * 100_000, "nested more than 64 deep"),
        (b"[" * 70 + b"]" * 70, "nested more than 64 deep"),
        (b"1" * 5000, "not JSON"),
        (b"\xff{}", "not UTF-8 (byte 0)"),
        (b'"' + b"x" * MOST_OUTPUT + b'"', "write a file"),
    ],
)
def test_stdout_that_is_no_json_fails_for_good_and_says_where(printed: bytes, why: str) -> None:
    result = made("json", printed)
    assert result.output is None
    assert result.error is not None
    assert why in result.error
    assert not result.retryable


def test_of_a_long_stdout_the_last_part_counts() -> None:
    printed = b"".join(b"line %06d\n" % n for n in range(100_000))
    text = output("text", printed)
    assert len(text) == MOST_OUTPUT - 1
    assert printed.decode().rstrip().endswith(text)
    lines = output("lines", printed)
    assert lines[-1] == "line 099999"
    assert all(len(line) == 11 for line in lines)


@settings(deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=40), st.integers(1, 60))
def test_a_tail_is_the_end_of_what_was_fed(chunks: list[bytes], most: int) -> None:
    tail, whole = Tail(most), b"".join(chunks)
    for chunk in chunks:
        tail.feed(chunk)
    assert tail.read() == whole[-most:]
    assert tail.cut == max(0, len(whole) - most)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_whatever_is_printed_text_and_lines_can_be_stored(printed: bytes) -> None:
    for form in ("text", "lines"):
        plain.check(output(form, printed))


@pytest.mark.parametrize(
    ("file", "why"),
    [
        (b"rows=1\nnonsense\n", "line 2: KEY=VALUE"),
        (b"1x=1", "line 1: KEY=VALUE"),
        (b'{"a": 1', "line 1: not JSON"),
        (b"[1]", "line 1: KEY=VALUE"),
        (b"a=" + b"x" * MOST_OUTPUT, "larger than"),
    ],
)
def test_a_file_that_was_written_wrongly_fails_the_attempt(file: bytes, why: str) -> None:
    error = made("none", b"", None, file).error
    assert error is not None
    assert why in error


def test_the_value_of_a_function_is_the_whole_output() -> None:
    assert output("result", b"printed", None, b'{"value": [1, {"a": null}]}') == [1, {"a": None}]
    assert made("result", b"", None, b'{"value": null}') == Made("null")


def test_what_a_function_raised_is_told_with_its_trace() -> None:
    said = {"error": {"type": "KeyError", "message": "'a'", "trace": "Traceback…"}}
    result = made("result", b"", None, json.dumps(said).encode())
    assert (result.output, result.error, result.retryable) == (None, "KeyError: 'a'", True)
    assert result.detail == {"exception": said["error"]}


def test_a_function_that_did_not_return_is_no_success() -> None:
    for file in (None, b"", b"{}", b"[1]", b'{"value": NaN}', b'{"error": 7}'):
        assert made("result", b"", None, file).error
