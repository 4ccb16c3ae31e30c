from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.calendars import wall, zone_of
from scheduler.domain.cron import compiled
from scheduler.domain.errors import Invalid
from scheduler.domain.schedule_words import cron_words

ROME = zone_of("Europe/Rome")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def ticks(text: str, start: str, count: int, key: str = "key") -> list[str]:
    cron, tick, found = compiled(text, key), at(start), []
    for _ in range(count):
        following = cron.after(tick, ROME)
        assert following is not None
        tick = following
        found.append(tick.astimezone(ROME).strftime("%m-%d %H:%M:%S %Z"))
    return found


def test_a_fixed_hour_in_a_gap_comes_at_the_first_instant_behind_it() -> None:
    assert ticks("30 2 * * *", "2026-03-28T12:00", 2) == [
        "03-29 03:00:00 CEST",
        "03-30 02:30:00 CEST",
    ]
    assert ticks("*/15 2 * * *", "2026-03-28T12:00", 2) == [
        "03-29 03:00:00 CEST",
        "03-30 02:00:00 CEST",
    ]


def test_a_fixed_hour_in_an_overlap_comes_at_the_first_of_two() -> None:
    assert ticks("30 2 * * *", "2026-10-24T12:00", 2) == [
        "10-25 02:30:00 CEST",
        "10-26 02:30:00 CET",
    ]


def test_a_wildcard_hour_comes_at_each_real_interval() -> None:
    assert ticks("0 * * * *", "2026-10-24T23:30", 3) == [
        "10-25 02:00:00 CEST",
        "10-25 02:00:00 CET",
        "10-25 03:00:00 CET",
    ]
    assert ticks("0 * * * *", "2026-03-29T00:30", 2) == [
        "03-29 03:00:00 CEST",
        "03-29 04:00:00 CEST",
    ]


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("@daily", "01-16 00:00:00 CET"),
        ("@hourly", "01-15 14:00:00 CET"),
        ("0 30 13 * * *", "01-15 13:30:00 CET"),
        ("0 9 * * MON-FRI", "01-16 09:00:00 CET"),
        ("0 0 L * *", "01-31 00:00:00 CET"),
        ("0 0 * * 5L", "01-30 00:00:00 CET"),
        ("0 0 * * friL", "01-30 00:00:00 CET"),
        ("0 0 * * L5", "01-30 00:00:00 CET"),
        ("0 0 * * fri#3", "01-16 00:00:00 CET"),
        ("0 0 * jun-aug *", "06-01 00:00:00 CEST"),
        ("0 5-5 * * *", "01-16 05:00:00 CET"),
        ("0 0 29 2 *", "02-29 00:00:00 CET"),
        ("0 0 ? * 7", "01-18 00:00:00 CET"),
        ("0 0 1 * 5#4", "01-23 00:00:00 CET"),
    ],
)
def test_the_words_of_cron_mean_what_they_mean_everywhere(text: str, first: str) -> None:
    assert ticks(text, "2026-01-15T12:15", 1) == [first]


def test_a_day_and_a_weekday_are_either_unless_one_begins_with_a_star() -> None:
    assert ticks("0 0 20 * fri", "2026-01-15T12:00", 2) == [
        "01-16 00:00:00 CET",
        "01-20 00:00:00 CET",
    ]
    assert ticks("0 0 */2 * mon", "2026-01-15T12:00", 1) == ["01-19 00:00:00 CET"]


def test_h_spreads_schedules_and_is_the_same_for_the_same_key_for_ever() -> None:
    firsts = {ticks("H H * * *", "2026-01-15T00:00", 1, key=f"type/{n}")[0] for n in range(200)}
    assert len(firsts) > 180
    assert ticks("H H * * *", "2026-01-15T00:00", 1, key="type/1") == ["01-15 20:10:00 CET"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "* * * *",
        "* * * * * * *",
        "99 * * * *",
        "*/0 * * * *",
        "R * * * *",
        "R(1-5) * * * *",
        "a * * * *",
        "0 0 * * mon,fri#2",
        "0 0 * * 1#9",
        "-1 * * * *",
        "@reboot",
        "\u0661 * * * *",
        "0 0 1-2-3 * *",
        "1" * 500,
        "* * * * " + "1," * 50,
        "H(5-1) * * * *",
        "H(0-99) * * * *",
        "H/0 * * * *",
        "0; 0 * * *",
    ],
)
def test_what_is_no_cron_expression_is_refused_with_a_rule(text: str) -> None:
    with pytest.raises(Invalid, match="minute hour day month weekday"):
        compiled(text, "key")


def test_every_is_told_where_it_belongs() -> None:
    with pytest.raises(Invalid, match="every: 5m"):
        compiled("@every 5m", "key")


def test_a_day_that_never_comes_has_no_tick() -> None:
    assert compiled("0 0 31 4 *", "key").after(at("2026-01-01"), ROME) is None


@settings(deadline=None)
@given(st.text(alphabet="0123456789*/,-#LWHRmonfri?() @", max_size=40))
def test_whatever_somebody_writes_is_a_schedule_or_refused_and_never_a_fault_of_ours(
    text: str,
) -> None:
    try:
        cron = compiled(text, "key")
    except Invalid:
        return
    tick = cron.after(at("2026-03-28T12:00"), ROME)
    assert tick is None or tick > at("2026-03-28T12:00")
    assert cron_words(text, "key")


MINUTES = st.datetimes(datetime(2024, 1, 1), datetime(2037, 1, 1))


@settings(deadline=None)
@given(MINUTES, st.sampled_from(["*/7 * * * *", "30 2 * * *", "0 1-3 * * *", "15 2 1 * sun"]))
def test_between_an_instant_and_its_next_tick_there_is_none(moment: datetime, text: str) -> None:
    """Whatever instant in between is asked about, the same tick comes."""
    cron, start = compiled(text, "key"), moment.replace(tzinfo=UTC)
    tick = cron.after(start, ROME)
    assert tick is not None
    for part in (0.25, 0.5, 0.99):
        between = start + (tick - start) * part
        assert cron.after(between, ROME) == tick
    assert cron.after(tick - timedelta(microseconds=1), ROME) == tick
    assert wall(tick, ROME).second == 0


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("30 2 * * *", "at 02:30 every day"),
        ("* * * * *", "every minute"),
        ("*/5 * * * *", "every 5 minutes"),
        ("7 * * * *", "at minute 7 of every hour"),
        ("0 9-17 * * mon-fri", "at minute 0 of hours 9 to 17 on Monday to Friday"),
        ("0 6,18 * * *", "at 06:00 and 18:00 every day"),
        ("0 0 L * *", "at 00:00 on the last day of the month"),
        ("0 2 * * sun#2", "at 02:00 on the second Sunday of the month"),
        ("0 2 * * 5L", "at 02:00 on the last Friday of the month"),
        ("0 2 1 * fri", "at 02:00 on day 1 of the month or on Friday"),
        ("*/30 * * * * *", "every 30 seconds"),
        ("0 0 15W 6 *", "at 00:00 on the weekday nearest to day 15 in June"),
    ],
)
def test_an_expression_is_told_in_words(text: str, words: str) -> None:
    assert cron_words(text, "key") == words
