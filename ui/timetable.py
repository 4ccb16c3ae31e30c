"""Schedules as people read them: their policy in a sentence, the next times, a week."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import islice
from typing import Any

from scheduler.domain.errors import Invalid
from scheduler.domain.schedule_words import distance_words, in_words, length_words, moment_words
from scheduler.domain.schedules import CatchUp, Missed, Overlap, Plan, ScheduleSpec
from scheduler.services import schedules, ticking
from scheduler.store.rows import Row

NEXT = 10
DAY, WEEK = timedelta(days=1), timedelta(days=7)
OFTEN = 8  # times a day: more of them are told, and not drawn
MOST_DRAWN = 600  # times of a week

OVERLAPS = {
    Overlap.ALLOW: "it starts even if the run before still goes on",
    Overlap.SKIP: "while the run before goes on, a time is left out",
    Overlap.QUEUE_ONE: "while the run before goes on, one time waits and others are merged into it",
    Overlap.REPLACE: "if the run before still goes on, it is stopped for the new one",
}


@dataclass(frozen=True, slots=True)
class Next:
    """A time to come, in the schedule's zone and in that of whoever looks."""

    tick: datetime
    due: datetime
    distance: str
    there: str
    here: str
    mark: str  # what the clocks do before it


@dataclass(frozen=True, slots=True)
class Mark:
    """One time of a week, past or to come."""

    at: datetime
    schedule: int
    name: str
    state: str | None  # what became of it; None while it is to come


@dataclass(frozen=True, slots=True)
class Often:
    """One that comes too often to be drawn."""

    schedule: int
    name: str
    words: str


def words_of(row: Row) -> str:
    """One that cannot be read any more says so."""
    try:
        return in_words(ticking.plan_of(row))
    except Invalid as fault:
        return f"cannot be read: {fault}"


def state_of(row: Row) -> str:
    if row["paused_at"] is not None:
        return "PAUSED"
    return "ACTIVE" if row["next_tick"] is not None else "OVER"


def policy(spec: ScheduleSpec) -> str:
    """What it does about runs that overlap and times that were missed, in one sentence."""
    overlap = OVERLAPS[spec.overlap]
    return f"{overlap[0].upper()}{overlap[1:]}; {missed(spec.catch_up)}."


def missed(given: CatchUp) -> str:
    window = length_words(given.window)
    window = f"1 {window}" if window.isalpha() else window
    match given.policy:
        case Missed.NONE:
            return "what was missed while nobody was there is never caught up"
        case Missed.LAST:
            return f"of what was missed within {window} the last one is caught up"
    pace = f"{given.per_minute} a minute"
    return f"all that was missed within {window} is caught up, {pace} at most"


def upcoming(plan: Plan, now: datetime, viewer: str, count: int = NEXT) -> list[Next]:
    zone, found, before = plan.zone, [], now
    for each in schedules.firings(plan, now, count):
        found.append(
            Next(
                each.tick,
                each.due,
                distance_words(each.due, now),
                moment_words(each.tick, plan.spec.zone),
                moment_words(each.tick, viewer),
                turned(before, each.tick, zone),
            )
        )
        before = each.tick
    return found


def turned(before: datetime, after: datetime, zone: tzinfo) -> str:
    """What the clocks of the zone do between two times."""
    old, new = (each.astimezone(zone).utcoffset() or timedelta() for each in (before, after))
    if old == new:
        return ""
    direction = "forward" if new > old else "back"
    return f"clocks go {direction} {length_words(abs(new - old))} before this"


# A week


def week_of(moment: datetime, zone: tzinfo) -> datetime:
    """The Monday on which the week begins, at midnight there."""
    day = moment.astimezone(zone).date()
    monday = day - timedelta(days=day.weekday())
    return datetime(monday.year, monday.month, monday.day, tzinfo=zone)


def ends_of(monday: datetime) -> tuple[datetime, datetime]:
    """By the clocks there: a week may have 167 hours or 169."""
    return monday.astimezone(UTC), (monday + WEEK).astimezone(UTC)


def marks_of(
    rows: Sequence[Row], past: Sequence[Row], monday: datetime, now: datetime
) -> tuple[list[Mark], list[Often], bool]:
    """What was and what is to come; those that come too often; whether something is left out."""
    since, until = ends_of(monday)
    names = {row["id"]: name_of(row) for row in rows}
    often = [Often(row["id"], names[row["id"]], words_of(row)) for row in rows if comes_often(row)]
    told = {each.schedule for each in often}
    marks = [
        Mark(each["tick"], each["id"], names[each["id"]], each["run_state"] or each["state"])
        for each in past
        if each["id"] not in told
    ]
    for row in rows:
        if row["id"] in told or row["paused_at"] is not None or row["next_tick"] is None:
            continue
        if len(marks) > MOST_DRAWN:
            return marks, often, True
        begin = max(since, now)
        marks += [
            Mark(tick, row["id"], names[row["id"]], None) for tick in times_of(row, begin, until)
        ]
    return marks, often, False


def name_of(row: Mapping[str, Any]) -> str:
    target = row["record_id"] or row["type"]
    return target if row["name"] == "main" else f"{target} · {row['name']}"


def comes_often(row: Row) -> bool:
    """Whether its next times lie closer together than can be drawn."""
    if row["next_tick"] is None:
        return False
    return _is_often(json.dumps(row["spec"]), key_of(row), row["next_tick"])


def times_of(row: Row, since: datetime, until: datetime) -> list[datetime]:
    hour = since.replace(minute=0, second=0, microsecond=0)  # so that those who look share it
    found = _times(json.dumps(row["spec"]), key_of(row), hour, until)
    return [tick for tick in found if tick >= since]


def key_of(row: Row) -> str:
    return ticking.key_of(ticking.target_of(row), row["name"])


@lru_cache(maxsize=4096)
def _is_often(document: str, key: str, since: datetime) -> bool:
    try:
        plan = Plan(ticking.spec_of(document), key)
    except Invalid:
        return False
    found = list(islice(plan.upcoming(since), OFTEN + 1))
    return len(found) > OFTEN and found[-1] - found[0] <= DAY


@lru_cache(maxsize=4096)
def _times(document: str, key: str, since: datetime, until: datetime) -> tuple[datetime, ...]:
    try:
        plan = Plan(ticking.spec_of(document), key)
    except Invalid:
        return ()
    return tuple(islice(plan.upcoming(since - timedelta(microseconds=1), until), 7 * OFTEN))
