from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scheduler.domain.errors import InvalidDefinition
from scheduler.domain.schedule_reading import read_schedule, write_schedule
from scheduler.domain.schedule_words import distance_words, in_words
from scheduler.domain.schedules import Overlap, Plan

WHOLE: dict[str, Any] = {
    "name": "nightly",
    "description": "after the shops have closed",
    "cron": "30 2 * * mon-fri",
    "zone": "Europe/Rome",
    "input": {"day": "${{ tick.date }}", "deep": [{"at": "${{ tick.at }}"}], "number": 1},
    "start": "2026-01-01T00:00:00Z",
    "end": "2027-01-01T00:00:00Z",
    "jitter": "10m",
    "blackouts": [
        {"from": "2026-08-01T00:00:00Z", "until": "2026-09-01T00:00:00Z", "why": "holidays"},
        {"days": ["sat", "sun"]},
        {"between": ["22:00", "06:00"]},
        {"days": ["mon"], "between": ["12:00", "13:00"]},
        {"dates": ["12-25", "2026-04-06"]},
    ],
    "overlap": "queue_one",
    "catch_up": {"policy": "all", "window": "6h", "per_minute": 10},
    "priority": 0,
}


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def a_plan(key: str = "type/main", **document: Any) -> Plan:
    return Plan(read_schedule(document), key)


def faults(**document: Any) -> list[str]:
    with pytest.raises(InvalidDefinition) as refused:
        read_schedule(document)
    return refused.value.faults


def test_what_is_written_is_what_was_read() -> None:
    assert write_schedule(read_schedule(WHOLE)) == WHOLE
    for document in (
        {"every": "6h", "anchor": "2026-01-01T03:00:00Z"},
        {"at": "2026-03-29T00:30:00Z"},
        {"cron": "@daily", "catch_up": "none"},
    ):
        assert write_schedule(read_schedule(document)) == document


def test_all_faults_are_told_at_once_with_their_fields() -> None:
    found = faults(
        crn="x", zone="Europe/Roma", jitter="2d", overlap="both", blackouts=[{"days": ["so"]}, {}]
    )
    for part in (
        "did you mean 'cron'?",
        "one of 'cron', 'every' and 'at' is needed",
        "did you mean 'Europe/Rome'?",
        "jitter: a duration from 0s to 1d",
        "overlap: the text 'both' is not a choice",
        "blackouts[0].days: 'so' is no day of the week",
        "blackouts[1]: a blackout has",
    ):
        assert any(part in line for line in found), (part, found)


@pytest.mark.parametrize(
    ("document", "part"),
    [
        ({"cron": "0 0 * * *", "every": "1h"}, "not cron and every"),
        ({"cron": "0 0 31 4 *"}, "never comes to a tick"),
        ({"cron": "0 0 1 1 *", "start": "2026-02-01", "end": "2026-03-01"}, "never comes"),
        ({"every": "500ms"}, "a duration from 1s"),
        ({"every": "1h", "start": "2026-02-01", "end": "2026-01-01"}, "'end' is not behind"),
        ({"cron": "@daily", "anchor": "2026-02-01"}, "an anchor belongs to 'every'"),
        ({"at": "tomorrow"}, "'tomorrow' is no time"),
        ({"at": "9999-12-31T23:59:59"}, "is no time"),
        ({"every": "1h", "zone": "../../etc/passwd"}, "there is no time zone"),
        ({"every": "1h", "zone": "localtime"}, "there is no time zone"),
        ({"every": "1h", "input": {"x": "${{ nothing.at.all }}"}}, "input"),
        ({"every": "1h", "catch_up": {"per_minute": 0}}, "per_minute"),
        ({"every": "1h", "blackouts": [{"between": ["06:00", "06:00"]}]}, "no time at all"),
        ({"every": "1h", "name": "No Name"}, "a schedule's name is"),
        ({"every": True}, "a duration is expected"),
        ({"cron": 5}, "text is expected"),
    ],
)
def test_what_makes_no_sense_is_refused(document: dict[str, Any], part: str) -> None:
    assert any(part in line for line in faults(**document))


def test_a_clock_without_an_offset_is_one_of_the_zone() -> None:
    plan = a_plan(at="2026-07-01T09:00", zone="Europe/Rome")
    assert plan.after(at("2026-01-01")) == at("2026-07-01T07:00")
    in_gap = a_plan(at="2026-03-29T02:30", zone="Europe/Rome")
    assert in_gap.after(at("2026-01-01")) == at("2026-03-29T01:00")


def test_an_interval_is_counted_from_its_anchor_whatever_clocks_do() -> None:
    plan = a_plan(every="6h", anchor="2026-03-28T01:00:00Z", zone="Europe/Rome")
    ticks = list(plan.upcoming(at("2026-03-28T13:30"), at("2026-03-29T20:00")))
    assert ticks == [at("2026-03-28T19:00") + n * timedelta(hours=6) for n in range(5)]


def test_a_schedule_begins_with_its_start_and_is_over_at_its_end() -> None:
    plan = a_plan(every="1h", start="2026-01-01T02:00:00Z", end="2026-01-01T04:00:00Z")
    assert list(plan.upcoming(at("2020-01-01"))) == [at("2026-01-01T02:00"), at("2026-01-01T03:00")]


def test_jitter_is_the_same_for_whoever_asks_and_never_more_than_it_may_be() -> None:
    plan = a_plan(every="1h", jitter="10m")
    ticks = [at("2026-01-01") + n * timedelta(hours=1) for n in range(200)]
    delays = [plan.due(tick) - tick for tick in ticks]
    assert delays == [a_plan(every="1h", jitter="10m").due(tick) - tick for tick in ticks]
    assert delays != [a_plan("other/main", every="1h", jitter="10m").due(t) - t for t in ticks]
    assert min(delays) >= timedelta()
    assert max(delays) < timedelta(minutes=10)
    assert len(set(delays)) > 190
    assert a_plan(every="1h").due(ticks[0]) == ticks[0]


@pytest.mark.parametrize(
    ("blackout", "inside", "end"),
    [
        ({"from": "2026-01-01", "until": "2026-01-03"}, "2026-01-02T10:00", "2026-01-02T23:00"),
        ({"days": ["sat", "sun"]}, "2026-01-03T10:00", "2026-01-03T23:00"),
        ({"between": ["22:00", "06:00"]}, "2026-01-01T21:30", "2026-01-02T05:00"),
        ({"between": ["22:00", "06:00"]}, "2026-01-02T04:30", "2026-01-02T05:00"),
        (
            {"days": ["fri"], "between": ["22:00", "06:00"]},
            "2026-01-03T04:30",
            "2026-01-03T05:00",
        ),
        ({"dates": ["12-25"]}, "2026-12-24T23:30", "2026-12-25T23:00"),
        ({"dates": ["2026-12-25"]}, "2026-12-25T12:00", "2026-12-25T23:00"),
        # While the clocks show 02:00 to 03:00 for the second time, it is not over yet.
        ({"between": ["01:00", "02:30"]}, "2026-10-25T01:15", "2026-10-25T01:30"),
    ],
)
def test_a_blackout_covers_its_clocks_in_the_zone(
    blackout: dict[str, Any], inside: str, end: str
) -> None:
    plan = a_plan(every="1h", zone="Europe/Rome", blackouts=[blackout])
    quiet = plan.quiet(at(inside))
    assert quiet is not None
    assert quiet.end == at(end)
    if "from" not in blackout and "dates" not in blackout:
        assert plan.quiet(at("2026-01-07T11:30")) is None


def test_what_is_upcoming_passes_over_blackouts() -> None:
    plan = a_plan(cron="0 12 * * *", blackouts=[{"days": ["sat", "sun"], "why": "closed"}])
    ticks = plan.upcoming(at("2026-01-01T13:00"), at("2026-01-07"))
    assert [tick.day for tick in ticks] == [2, 5, 6]
    always = a_plan(every="1s", blackouts=[{"days": ["mon", "tue", "wed", "thu", "fri"]}])
    assert next(always.upcoming(at("2026-01-05"))) == at("2026-01-10")


def test_a_blackout_of_every_day_leaves_nothing_and_is_not_searched_for_ever() -> None:
    days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
    assert list(a_plan(every="1s", blackouts=[{"days": days}]).upcoming(at("2026-01-05"))) == []


def test_the_input_says_which_tick_it_is_for() -> None:
    plan = a_plan(**WHOLE)
    assert plan.input_for(at("2026-01-05T23:30")) == {
        "day": "2026-01-06",
        "deep": [{"at": "2026-01-05T23:30:00Z"}],
        "number": 1,
    }


def test_defaults_are_those_that_surprise_least() -> None:
    spec = read_schedule({"cron": "@daily"})
    assert (spec.zone, spec.overlap, spec.catch_up.policy) == ("UTC", Overlap.ALLOW, "last")


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"cron": "30 2 * * *", "zone": "Europe/Rome"}, "at 02:30 every day (Europe/Rome)"),
        ({"every": "6h"}, "every 6 hours"),
        ({"every": "1d"}, "every day"),
        ({"at": "2026-03-29T02:30", "zone": "UTC"}, "once, on Sunday 29 March 2026, 02:30:00 UTC"),
    ],
)
def test_a_schedule_is_told_in_words(document: dict[str, Any], words: str) -> None:
    assert in_words(a_plan(**document)) == words


def test_a_distance_is_told_in_two_units_at_most() -> None:
    now = at("2026-01-01")
    assert distance_words(now + timedelta(hours=26, minutes=3), now) == "in 1 day 2 hours"
    assert distance_words(now - timedelta(seconds=61), now) == "1 minute 1 second ago"
    assert distance_words(now + timedelta(milliseconds=3), now) == "in less than a second"
