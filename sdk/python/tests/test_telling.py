"""What becomes of an attempt, and how that is told."""

from typing import Any

import pytest

from procession import wire
from procession.messages import Ended
from procession.telling import Failure, raised, succeeded


@pytest.mark.parametrize(
    "result",
    [None, "", "text", 0, 1.5, True, [], {}, {"a": [1, "ü", None]}, (1, 2), "x" * 200_000],
)
def test_what_json_has_is_a_result(result: Any) -> None:
    end = succeeded("7.1", result)
    assert end.ending == "SUCCEEDED"
    assert told(end).output == (list(result) if isinstance(result, tuple) else result)


@pytest.mark.parametrize(
    ("result", "place"),
    [
        (object(), "object"),
        ({"when": {1, 2}}, "the result.when: set"),
        ({1: "one"}, "a key"),
        (float("nan"), "nan"),
        ([b"bytes"], "the result[0]: bytes"),
        ("\0", "NUL"),
        ("\ud800", "halves"),
        (2**64, "whole number"),
    ],
)
def test_what_json_does_not_have_is_a_failure_that_says_so(result: Any, place: str) -> None:
    end = told(succeeded("7.1", result))
    assert (end.ending, end.retryable) == ("FAILED", False)
    assert end.error is not None
    assert end.error.type == "ResultNotJson"
    assert place in end.error.message


def test_a_result_that_contains_itself_is_a_failure() -> None:
    knot: list[Any] = []
    knot.append(knot)
    assert told(succeeded("7.1", knot)).ending == "FAILED"


@pytest.mark.parametrize("result", ["x" * 300_000, ["x" * 100_000] * 11])
def test_a_result_that_no_frame_holds_is_a_failure_that_says_so(result: Any) -> None:
    end = told(succeeded("7.1", result))
    assert (end.ending, end.retryable) == ("FAILED", False)


def test_an_exception_is_told_with_its_type_message_and_trace() -> None:
    end = told(raised("7.1", caught(KeyError("price"))))
    assert end.ending == "FAILED"
    assert end.retryable is True
    assert end.error is not None
    assert end.error.type == "KeyError"
    assert end.error.message == "'price'"
    assert end.error.trace is not None
    assert "in caught" in end.error.trace


def test_a_failure_says_whether_it_is_worth_another_attempt() -> None:
    end = told(raised("7.1", caught(Failure("no such card", retryable=False, type="Declined"))))
    assert end.retryable is False
    assert end.error is not None
    assert (end.error.type, end.error.message) == ("Declined", "no such card")


class Silent(Exception):
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("error", [Silent(), ValueError("x" * 99_999), ValueError("\0\ud800")])
def test_any_exception_can_be_told(error: Exception) -> None:
    end = told(raised("7.1", caught(error)))
    assert end.error is not None
    assert end.error.type


def caught(error: Exception) -> Exception:
    try:
        raise error
    except Exception as found:
        return found


def told(end: Ended) -> Ended:
    """As the server reads it."""
    frame = wire.framed("6f1c2b9e-3d64-4c1f-9a57-0c4a3e9b7d21", [wire.encode(end)])
    [found] = wire.decode(frame, wire.FROM_WORKER).messages
    assert isinstance(found, Ended)
    return found
