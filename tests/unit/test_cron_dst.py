"""Ticks around every change of the clocks, beside cronsim, which knows no code of ours.

The long form (`PROCESSION_LONG=1`) looks at every change of 2024 to 2037 in every zone; the short
one at a few of each zone. Where cronsim follows another rule, the rule is named and applied to what
it says, so that no difference is passed over.
"""

import os
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from scheduler.domain import calendars
from scheduler.domain.calendars import changes_of_year, wall, zone_of
from scheduler.domain.cron import Cron, compiled

LONG = os.environ.get("PROCESSION_LONG") == "1"
YEARS = range(2024, 2038)
CHANGES = 1000 if LONG else 2  # of each zone

NAMES = """
Africa/Cairo Africa/Casablanca Africa/El_Aaiun America/Adak America/Anchorage America/Asuncion
America/Chicago America/Denver America/Godthab America/Halifax America/Havana America/Los_Angeles
America/Mexico_City America/Miquelon America/New_York America/Nuuk America/Santiago
America/Scoresbysund America/St_Johns Antarctica/Troll Asia/Beirut Asia/Gaza Asia/Jerusalem
Asia/Kolkata Asia/Nicosia Asia/Tokyo Atlantic/Azores Atlantic/Bermuda Atlantic/Madeira
Australia/Adelaide Australia/Lord_Howe Australia/Sydney Europe/Chisinau Europe/Dublin Europe/London
Europe/Rome Pacific/Auckland Pacific/Chatham Pacific/Easter UTC
"""
ZONES = NAMES.split()

MINUTES, HOURS, DAYS, MONTHS = (
    timedelta(hours=5),
    timedelta(days=1),
    timedelta(days=3),
    timedelta(days=70),
)


@dataclass(frozen=True)
class Case:
    text: str
    around: timedelta
    rule: str = "same"


# "once": cronsim takes `*` in the minutes, or a field of seconds, for a wildcard of the hours, so
# that it passes over what lies in a gap and runs twice in an overlap. We go by the hours alone.
# "all": cronsim does not see that 0-23 are all hours.
CASES = [
    Case("* * * * *", MINUTES),
    Case("*/5 * * * *", MINUTES),
    Case("*/15 * * * *", MINUTES),
    Case("7-59/13 * * * *", MINUTES),
    Case("0 * * * *", HOURS),
    Case("30 * * * *", HOURS),
    Case("0,45 * * * *", HOURS),
    Case("0 */2 * * *", HOURS),
    Case("30 */3 * * *", HOURS),
    Case("*/20 */2 * * mon-fri", HOURS),
    Case("0 0-23 * * *", HOURS, "all"),
    Case("*/10 2 * * *", HOURS, "once"),
    Case("* 0-3 * * *", HOURS, "once"),
    Case("0 0 * * *", DAYS),
    Case("30 0 * * *", DAYS),
    Case("0 1 * * *", DAYS),
    Case("30 1 * * *", DAYS),
    Case("0 2 * * *", DAYS),
    Case("30 2 * * *", DAYS),
    Case("59 2 * * *", DAYS),
    Case("0 3 * * *", DAYS),
    Case("0,15,30,45 1-3 * * *", DAYS),
    Case("30 2 * * sun", MONTHS),
    Case("15 2 * * SUN#2", MONTHS),
    Case("15 2 * * 5L", MONTHS),
    Case("0 2 L * *", MONTHS),
    Case("0 2 1,15 * fri", MONTHS),
    Case("30 2 */2 * 0,6", MONTHS),
    Case("15 30 2 * * *", DAYS, "once"),
    Case("*/30 * * * * *", timedelta(hours=2)),
]


def moments(name: str) -> list[datetime]:
    """Changes of the clocks; for a zone without, a day of each year."""
    found = [each for year in YEARS for each in changes_of_year(name, year)]
    found = found or [datetime(year, 3, 29, 1, tzinfo=UTC) for year in YEARS]
    chance = random.Random(name)
    return sorted(chance.sample(found, min(CHANGES, len(found))))


def ours(case: Case, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    cron = compiled(case.text, "key")
    return list(until(end, follow(cron, zone, start)))


def follow(cron: Cron, zone: ZoneInfo, start: datetime) -> Iterator[datetime]:
    tick = cron.after(start, zone)
    while tick is not None:
        yield tick
        tick = cron.after(tick, zone)


def until(end: datetime, ticks: Iterator[datetime]) -> Iterator[datetime]:
    for tick in ticks:
        if tick >= end:
            return
        yield tick


def theirs(case: Case, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    text = case.text.replace("0-23", "*") if case.rule == "all" else case.text
    is_jumping = case.rule == "once" or compiled(case.text, "key").is_wild
    if is_jumping and not has_whole_hours(zone, start, end):
        found = each_real_moment(text, zone, start, end)
    else:
        known = CronSim(text, start.astimezone(zone))
        found = list(until(end, (each.astimezone(UTC) for each in known)))
    return each_clock_once(text, found, zone, start, end) if case.rule == "once" else found


def has_whole_hours(zone: ZoneInfo, start: datetime, end: datetime) -> bool:
    """Whether the clocks change by hours. cronsim jumps ahead by them, past what a change by half
    an hour brings again; asked about each moment by itself it cannot."""
    changed = calendars.offset_at(end, zone) - calendars.offset_at(start, zone)
    return not changed % timedelta(hours=1)


def each_real_moment(text: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    step = timedelta(seconds=15) if len(text.split()) == 6 else timedelta(minutes=1)
    steps = (start + number * step for number in range(1, -(-(end - start) // step)))
    named = CronSim(text, datetime(2024, 1, 1))
    return [each for each in steps if is_named(named, wall(each, zone))]


def is_named(by: CronSim, clock: datetime) -> bool:
    return (
        clock.second in by.seconds
        and clock.minute in by.minutes
        and clock.hour in by.hours
        and clock.month in by.months
        and by.match_day(clock.date())
    )


def each_clock_once(
    text: str, found: list[datetime], zone: ZoneInfo, start: datetime, end: datetime
) -> list[datetime]:
    """What repeats a clock goes, and what lies in a gap comes at its end."""
    kept = {each for each in found if not each.astimezone(zone).fold}
    for change in calendars.changes(zone, start, end):
        before = change - calendars.SECOND
        missing = wall(before, zone) + calendars.SECOND, wall(change, zone)
        named = CronSim(text, missing[0] - calendars.SECOND)
        if start < change < end and next(named) < missing[1]:
            kept.add(change)
    return sorted(kept)


@pytest.mark.parametrize("name", ZONES)
def test_ticks_around_changes_of_the_clocks_are_those_of_an_independent_oracle(name: str) -> None:
    zone, compared = zone_of(name), Counter[str]()
    for change in moments(name):
        for case in CASES:
            start, end = change - case.around, change + case.around
            found = ours(case, zone, start, end)
            assert found == theirs(case, zone, start, end), (case.text, change)
            assert all(a < b for a, b in pairwise(found))
            compared[case.rule] += len(found)
    print(name, dict(compared))


@pytest.mark.parametrize("name", ZONES)
def test_a_wildcard_hour_skips_no_real_minute(name: str) -> None:
    """Counted minute by minute, by what the clock on the wall shows."""
    zone, cron = zone_of(name), compiled("*/15 * * * *", "key")
    for change in moments(name):
        start, end = change - MINUTES, change + MINUTES
        minutes = (start + n * timedelta(minutes=1) for n in range(1, 600))
        wanted = [each for each in minutes if wall(each, zone).minute % 15 == 0]
        assert list(until(end, follow(cron, zone, start))) == wanted


@pytest.mark.parametrize("name", ZONES)
@pytest.mark.parametrize("text", ["0 0 * * *", "30 0 * * *", "30 2 * * *", "15 30 2 * * *"])
def test_a_fixed_hour_comes_once_on_each_local_day(name: str, text: str) -> None:
    zone, cron = zone_of(name), compiled(text, "key")
    for change in moments(name):
        start = change - 5 * DAYS
        days = Counter(
            wall(each, zone).date() for each in until(change + 5 * DAYS, follow(cron, zone, start))
        )
        first, last = min(days), max(days)
        assert days == dict.fromkeys(
            (first + timedelta(days=n) for n in range((last - first).days + 1)), 1
        )


def test_there_are_as_many_zones_and_expressions_as_promised() -> None:
    assert len(set(ZONES)) == 40
    assert len({case.text for case in CASES}) == 30
