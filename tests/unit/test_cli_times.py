from datetime import UTC, datetime, timedelta

import pytest

from scheduler.cli_times import moment

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "ago"),
    [
        ("30s", timedelta(seconds=30)),
        ("90m", timedelta(minutes=90)),
        ("2h", timedelta(hours=2)),
        ("7d", timedelta(days=7)),
        ("1w", timedelta(weeks=1)),
    ],
)
def test_a_number_and_a_unit_are_so_long_ago(text: str, ago: timedelta) -> None:
    assert moment(text, NOW) == NOW - ago


def test_a_time_with_a_zone_is_that_time() -> None:
    assert moment("2026-01-31T08:00:00+01:00", NOW) == datetime(2026, 1, 31, 7, tzinfo=UTC)


def test_a_time_without_a_zone_is_that_of_here() -> None:
    assert moment("2026-01-31", NOW) == datetime(2026, 1, 31).astimezone()


@pytest.mark.parametrize("text", ["", "yesterday", "2", "h", "2 h", "-2h", "1y"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        moment(text, NOW)
