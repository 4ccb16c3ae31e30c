"""What is said arrives as it was said, and what nobody of ours would say is refused."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from executor import wire
from executor.base import Invocation, Limits

texts = st.text(max_size=20)
numbers = st.floats(0, 1e9)
invocations = st.builds(
    Invocation,
    argv=st.lists(texts, min_size=1, max_size=4),
    cwd=st.none() | texts,
    env=st.dictionaries(texts, texts, max_size=3),
    stdin=st.none() | texts,
    timeout=st.none() | numbers,
    grace=numbers,
    merge_output=st.booleans(),
    output_cap=st.integers(0, 1 << 40),
    limits=st.none() | st.builds(Limits, open_files=st.none() | st.integers(0, 1 << 30)),
    user=st.none() | texts,
    on_lost=st.sampled_from(["retry", "fail", "wait"]),
    output=st.sampled_from(wire.FORMS),
    files_cap=st.integers(0, 1 << 40),
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)


@settings(deadline=None)
@given(invocations)
def test_an_invocation_arrives_as_it_was_sent(invocation: Invocation) -> None:
    line = wire.encode(
        {"do": "start", "key": "a.1", "invocation": wire.pack_invocation(invocation)}
    )
    assert line.count(b"\n") == 1
    order = wire.read_order(line)
    assert wire.unpack_invocation(order["invocation"]) == invocation


@settings(deadline=None)
@given(st.binary(max_size=200), st.lists(st.integers(1, 20), max_size=20))
def test_lines_are_whole_however_they_are_cut(data: bytes, cuts: list[int]) -> None:
    lines, found, place = wire.Lines(), [], 0
    for cut in [*cuts, len(data)]:
        found += lines.feed(data[place : place + cut])
        place += cut
    assert found == data[:place].split(b"\n")[:-1]


def test_a_line_that_never_ends_is_refused() -> None:
    lines = wire.Lines(longest=100)
    for _ in range(25):
        assert lines.feed(b"xxxx") == []
    with pytest.raises(wire.Garbled, match="longer than 100"):
        lines.feed(b"x")


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_bytes_of_a_stranger_are_refused_or_are_an_order(line: bytes) -> None:
    try:
        order = wire.read_order(line)
    except wire.Garbled:
        return
    assert order["do"] in wire.ORDERS


@settings(deadline=None)
@given(st.sampled_from(sorted(wire.ORDERS)), st.dictionaries(texts, anything, max_size=3), anything)
def test_an_order_carries_what_it_must_or_names_the_field(
    kind: str, fields: dict[str, Any], value: Any
) -> None:
    order = {**fields, **dict.fromkeys(wire.ORDERS[kind], value), "do": kind}
    wrong = [name for name, check in wire.ORDERS[kind].items() if not check(value)]
    line = json.dumps(order).encode()
    if wrong:
        with pytest.raises(wire.Garbled, match=wrong[0]):
            wire.read_order(line)
    else:
        assert wire.read_order(line)["do"] == kind


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from([*wire.INVOCATION, "sudo"]), anything, max_size=4))
def test_a_hostile_invocation_is_refused_by_field(packed: dict[str, Any]) -> None:
    fits = {
        name: name in wire.INVOCATION and wire.INVOCATION[name](packed[name]) for name in packed
    }
    wrong = [name for name, fit in fits.items() if not fit] or ["argv"] * ("argv" not in packed)
    if wrong:
        with pytest.raises(wire.Garbled, match=f"^{wrong[0]}: "):
            wire.unpack_invocation(packed)
    else:
        assert all(type(argument) is str for argument in wire.unpack_invocation(packed).argv)


@pytest.mark.parametrize(
    "key",
    ["", "../up", "a/b", ".hidden", "a b", "a\n", "ä", "a" * 201, "-rf", "\0", 1, None, ["a"]],
)
def test_a_key_is_a_harmless_file_name(key: object) -> None:
    assert not wire.is_key(key)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1 << 60), st.integers(0, 1), st.binary(max_size=50))))
def test_output_travels_byte_for_byte(segments: list[wire.Segment]) -> None:
    said = json.loads(json.dumps(wire.pack(segments)))
    assert wire.unpack(said) == segments
