"""Frames between workstations and servers: what is read is what was written, and nothing else."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge import messages as m
from edge import reading, wire
from edge.messages import Frame
from executor import plain

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
NUMBER = st.integers(0, 2**63 - 1)
CLOCK = st.floats(-1e12, 1e12)
JSON = st.dictionaries(TEXT, st.none() | st.booleans() | NUMBER | TEXT | st.lists(TEXT), max_size=3)
BODIES = st.one_of(
    st.builds(m.Began, TEXT, NUMBER, CLOCK),
    st.builds(m.Ended, TEXT, TEXT, CLOCK, st.none() | NUMBER, st.none() | TEXT, output=JSON),
    st.builds(m.Done, NUMBER, st.none() | TEXT, st.booleans(), TEXT),
    st.builds(m.Output, TEXT, TEXT, JSON),
    st.builds(m.Metrics, CLOCK, JSON),
    st.builds(m.Missing, TEXT),
)
KNOWN = st.builds(m.Known, TEXT, st.sampled_from(m.Phase), NUMBER)
MESSAGES = st.one_of(
    st.builds(m.Hello, NUMBER, NUMBER, NUMBER, TEXT, NUMBER, CLOCK, known=st.tuples(KNOWN)),
    st.builds(m.Accept, TEXT),
    st.builds(m.Reject, TEXT, st.sampled_from(m.Refusal), TEXT),
    st.builds(m.Lease, st.tuples(TEXT, TEXT), NUMBER, CLOCK),
    st.builds(m.Item, st.sampled_from(m.NUMBERED), NUMBER, BODIES),
    st.builds(
        m.Log,
        TEXT,
        NUMBER,
        st.binary(max_size=30),
        NUMBER,
        st.booleans(),
        st.integers(1, 2),
        NUMBER,
    ),
    st.builds(m.Offer, TEXT, JSON, st.none() | CLOCK),
    st.builds(m.Have, st.tuples(NUMBER), st.tuples(NUMBER), JSON, CLOCK),
    st.builds(m.Command, NUMBER, st.sampled_from(m.Verb), st.none() | TEXT, TEXT),
    st.builds(m.Start, TEXT),
    st.builds(m.Bye, TEXT, st.booleans()),
)


@given(st.builds(Frame, NUMBER, st.lists(MESSAGES, max_size=4).map(tuple)))
def test_what_is_read_is_what_was_written(frame: Frame) -> None:
    assert wire.decode(wire.encode(frame)) == frame


ANY_TEXT = st.text(max_size=3) | st.just("a" * (reading.LONGEST + 1))
ANY_NUMBER = st.integers(-(2**64), 2**64) | st.floats() | st.booleans() | st.none()
ANYTHING = st.recursive(
    ANY_TEXT | ANY_NUMBER, lambda inner: st.lists(inner) | st.dictionaries(ANY_TEXT, inner)
)


@given(ANYTHING, st.integers(0, 4))
def test_what_is_not_sound_has_a_fault_and_what_is_sound_has_none(told: Any, depth: int) -> None:
    try:
        reading.look_for_fault(told, "it", depth)
    except wire.BadFrame:
        assert not reading.is_sound(told, depth)
    else:
        assert reading.is_sound(told, depth)


@given(st.binary(max_size=200) | st.text(max_size=200))
def test_whatever_comes_is_read_or_refused(text: str | bytes) -> None:
    with contextlib.suppress(wire.BadFrame):
        wire.decode(text)


def framed(**told: Any) -> str:
    return json.dumps({"session": 1, "messages": [told]})


def test_what_a_newer_version_adds_is_passed_over() -> None:
    assert wire.decode(framed(type="dance")) == Frame(1, ())
    assert wire.decode(framed(type="start", attempt="1.1", tempo=3)).messages == (m.Start("1.1"),)


BAD = {
    "no object": ("[]", "a frame is an object"),
    "no session": ('{"messages": []}', "session: a whole number"),
    "negative": ('{"session": -1, "messages": []}', "session: a whole number"),
    "a flag for a number": ('{"session": true, "messages": []}', "session: a whole number"),
    "too large": ('{"session": 9223372036854775808, "messages": []}', "session: a whole number"),
    "not a number": ('{"session": NaN, "messages": []}', "NaN is no number of JSON"),
    "messages missing": ('{"session": 1}', "messages: a list"),
    "too many": (json.dumps({"session": 1, "messages": [1] * 1001}), "messages: a list of 1000"),
    "no kind": (framed(attempt="1"), "messages[0].type: a text is missing"),
    "missing": (framed(type="start"), "messages[0].attempt is missing"),
    "wrong type": (framed(type="start", attempt=1), "messages[0].attempt: a text"),
    "a NUL": (framed(type="start", attempt="a\0b"), "without NUL"),
    "half a character": (framed(type="start", attempt="\ud800"), "without halves"),
    "too long": (framed(type="start", attempt="a" * 262145), "262144 characters at most"),
    "unknown word": (framed(type="reject", attempt="1", refusal="mood", why=""), "one of busy"),
    "bad bytes": (framed(type="log", attempt="1", offset=0, data="?", crc=1), "Base64"),
    "a body of another kind": (
        framed(type="item", lane=0, seq=1, body={"type": "hello"}),
        "messages[0].body.type: one of",
    ),
    "a lane that is none": (framed(type="item", lane=9, seq=1, body={}), "one of 0, 1, 2, 3, 4"),
    "deep": (
        framed(type="offer", attempt="1", invocation=json.loads('{"a":' * 80 + "1" + "}" * 80)),
        "nested deeper than 72",
    ),
    "too deep to read": ("[" * 100_000, "not JSON"),
    "too big": ('"' + "a" * (1 << 20) + '"', "1048576 bytes at most"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_wrong_is_refused_and_named(what: str) -> None:
    text, said = BAD[what]
    with pytest.raises(wire.BadFrame) as caught:
        wire.decode(text)
    assert said in str(caught.value)


def test_whatever_a_command_may_put_out_can_be_said() -> None:
    deepest: object = 1.5
    for _ in range(plain.DEEPEST):
        deepest = [deepest]
    for output in (deepest, 1e300, -1e300, -(2**63), 2**63 - 1, "\x01" * 100, 0.1):
        plain.check(output)
        frame = Frame(
            1, (m.Item(m.Lane.RESULTS, 1, m.Ended("1.1", "SUCCEEDED", 1.0, output=output)),)
        )
        assert wire.decode(wire.encode(frame)) == frame


def test_a_result_that_no_frame_could_carry_says_so() -> None:
    large = m.Ended("1.1", "SUCCEEDED", 1.0, exit_code=0, printed=7, output="\x01" * (256 << 10))
    told = wire.fitting(large)
    assert (told.ending, told.retryable, told.output) == ("FAILED", False, None)
    assert (told.exit_code, told.printed) == (0, 7)
    assert "can be sent" in (told.error or "")
    wire.decode(wire.encode(Frame(1, (m.Item(m.Lane.RESULTS, 1, told),))))
    small = m.Ended("1.1", "SUCCEEDED", 1.0, output="x")
    assert wire.fitting(small) is small
