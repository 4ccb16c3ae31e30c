from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.domain.durations import LONGEST, format_duration, parse_duration
from scheduler.domain.errors import Invalid
from scheduler.domain.sizes import format_size, parse_size


@pytest.mark.parametrize(
    ("text", "length"),
    [
        ("10m", timedelta(minutes=10)),
        ("1h30m", timedelta(hours=1, minutes=30)),
        ("500ms", timedelta(milliseconds=500)),
        ("1.5s", timedelta(seconds=1.5)),
        ("2d", timedelta(days=2)),
        ("90", timedelta(seconds=90)),
        (90, timedelta(seconds=90)),
        (0.25, timedelta(seconds=0.25)),
        (0, timedelta()),
    ],
)
def test_a_duration_reads_as_people_write_it(text: str | float, length: timedelta) -> None:
    assert parse_duration(text) == length


@pytest.mark.parametrize(
    "text",
    ["", "m", "-1s", "1x", "1m1m", "1 h", "\u0661\u0660s", "9" * 30 + "d", "400d", "nan", "1e3"],
)
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Invalid, match=r"30s, 10m, 1h30m"):
        parse_duration(text)


@pytest.mark.parametrize("number", [-1, 1e30, float("nan"), float("inf"), True, 10**400])
def test_a_number_that_is_no_length_of_time_is_refused(number: float) -> None:
    with pytest.raises(Invalid):
        parse_duration(number)


@given(st.timedeltas(min_value=timedelta(), max_value=LONGEST))
def test_every_duration_survives_being_written_and_read(length: timedelta) -> None:
    assert parse_duration(format_duration(length)) == length


@pytest.mark.parametrize(
    ("text", "size"), [("4MiB", 4 << 20), ("64 kib", 64 << 10), ("1GB", 10**9), ("7", 7), (7, 7)]
)
def test_a_size_reads_as_people_write_it(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "MiB", "1.5MiB", "-1", "1TiB", True])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(Invalid, match="64KiB"):
        parse_size(text)


@given(st.integers(min_value=0, max_value=1 << 45))
def test_every_size_survives_being_written_and_read(size: int) -> None:
    assert parse_size(format_size(size)) == size
