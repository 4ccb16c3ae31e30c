"""Every tick is started or has its reason, whatever was away for however long."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.domain.schedule_reading import read_schedule
from scheduler.domain.schedules import Plan, Quiet
from scheduler.domain.ticks import GRACE, REPLACED, Entry, Standing, TickState, Turn, decide

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)  # a Monday
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def a_plan(**document: Any) -> Plan:
    return Plan(read_schedule({"every": "1h", **document}), "type/main")


def missing(hours: int, *, now: datetime = NOON + 10 * MINUTE, **document: Any) -> Turn:
    """What becomes of the last `hours` ticks, the newest of them at noon."""
    return decide(a_plan(**document), Standing(NOON - (hours - 1) * HOUR), now)


def states(turn: Turn) -> list[str]:
    return [entry.state for entry in turn.entries]


def test_a_tick_in_time_is_started_and_the_next_one_waited_for() -> None:
    turn = decide(a_plan(), Standing(NOON), NOON + timedelta(milliseconds=5))
    assert turn.entries == [Entry(NOON, NOON, TickState.STARTED)]
    assert (turn.tick, turn.at) == (NOON + HOUR, NOON + HOUR)


def test_nothing_is_started_before_its_time() -> None:
    turn = decide(a_plan(), Standing(NOON), NOON - timedelta(milliseconds=1))
    assert (turn.entries, turn.tick) == ([], NOON)


def test_what_comes_once_comes_once() -> None:
    plan = Plan(read_schedule({"at": "2026-01-05T12:00:00Z"}), "type/main")
    turn = decide(plan, Standing(NOON), NOON + MINUTE)
    assert states(turn) == ["STARTED"]
    assert (turn.tick, turn.at) == (None, None)


@pytest.mark.parametrize("count", [1, 5, 20])
def test_of_what_was_missed_none_or_the_last_or_all_is_started(count: int) -> None:
    last = missing(count, catch_up="last")
    assert states(last) == ["MISSED", "STARTED"][count == 1 :]
    assert last.entries[-1].tick == NOON
    assert last.entries[0].until == (NOON if count > 2 else None)
    none = missing(count, catch_up="none")
    assert states(none) == ["MISSED"]
    assert none.entries[0].until == (None if count == 1 else NOON + 10 * MINUTE - GRACE)
    for turn in (last, none):
        assert turn.tick == NOON + HOUR


@pytest.mark.parametrize("timing", [{"every": "1s"}, {"cron": "* * * * * *"}])
@pytest.mark.parametrize("blackouts", [[], [{"between": ["03:00", "04:00"]}]])
@pytest.mark.parametrize("policy", ["none", "last"])
def test_a_week_of_seconds_is_decided_in_one_turn_with_few_rows(
    timing: dict[str, str], blackouts: list[Any], policy: str
) -> None:
    document: dict[str, Any] = {**timing, "blackouts": blackouts, "zone": "Europe/Rome"}
    document["catch_up"] = {"policy": policy, "window": "30d"}
    plan = Plan(read_schedule(document), "type/main")
    turn = decide(plan, Standing(NOON - 7 * DAY), NOON)
    in_time = [entry for entry in turn.entries if entry.due >= NOON - GRACE]
    assert {entry.state for entry in in_time} == {"STARTED"}
    assert len(in_time) == GRACE // timedelta(seconds=1) + 1
    assert len(turn.entries) - len(in_time) < 30
    assert turn.tick == NOON + timedelta(seconds=1)


def test_all_that_was_missed_is_started_one_after_another_at_its_pace() -> None:
    plan = a_plan(catch_up={"policy": "all", "per_minute": 6})
    now, standing = NOON + 10 * MINUTE, Standing(NOON - 4 * HOUR)
    started = []
    for _ in range(5):
        turn = decide(plan, standing, now)
        [entry] = turn.entries
        assert (entry.state, entry.reason) == (TickState.STARTED, "caught up")
        started.append(entry.tick)
        assert turn.at == max(now + timedelta(seconds=10), turn.tick or NOON)
        now, standing = now + timedelta(seconds=10), Standing(turn.tick)
    assert started == [NOON - number * HOUR for number in (4, 3, 2, 1, 0)]


def test_what_is_caught_up_waits_for_the_run_before_where_runs_must_not_overlap() -> None:
    plan = a_plan(catch_up="all", overlap="skip")
    turn = decide(plan, Standing(NOON, living=True), NOON + 10 * MINUTE)
    assert (turn.entries, turn.tick) == ([], NOON)
    assert turn.at == NOON + 10 * MINUTE + timedelta(seconds=1)


def test_what_is_older_than_the_window_is_missed_and_says_so() -> None:
    turn = missing(10, catch_up={"policy": "last", "window": "3h"})
    assert states(turn) == ["MISSED", "MISSED", "STARTED"]
    assert "window of 3h" in (turn.entries[0].reason or "")
    assert turn.entries[0].until == NOON + 10 * MINUTE - 3 * HOUR
    assert turn.entries[1].tick == NOON - 2 * HOUR


def test_one_that_is_in_time_takes_the_place_of_those_that_were_missed() -> None:
    turn = missing(3, now=NOON + timedelta(seconds=5), catch_up="last")
    assert [(e.state, e.reason) for e in turn.entries] == [
        ("MISSED", "a later tick took its place"),
        ("STARTED", None),
    ]
    assert covered(a_plan(), turn.entries[0]) == [NOON - 2 * HOUR, NOON - HOUR]


def test_the_last_that_was_missed_is_the_last_outside_of_a_blackout() -> None:
    plan = a_plan(blackouts=[{"between": ["10:30", "12:30"], "why": "closed"}], catch_up="last")
    turn = decide(plan, Standing(NOON - 3 * HOUR), NOON + 10 * MINUTE)
    assert [(e.tick.hour, e.state) for e in turn.entries] == [
        (9, "MISSED"),
        (11, "SKIPPED"),
        (10, "STARTED"),
    ]
    assert turn.entries[1].reason == "blackout: closed"


def test_a_pause_covers_its_ticks_in_one_row() -> None:
    pause = Quiet(NOON - 5 * HOUR, NOON + MINUTE, "paused")
    turn = decide(a_plan(), Standing(NOON - 4 * HOUR), NOON + 10 * MINUTE, [pause])
    assert turn.entries == [
        Entry(NOON - 4 * HOUR, NOON - 4 * HOUR, TickState.SKIPPED, "paused", NOON + MINUTE)
    ]
    assert turn.tick == NOON + HOUR


IN_TIME = NOON + timedelta(seconds=1)
WAITING = NOON - HOUR


@pytest.mark.parametrize(
    ("overlap", "living", "queued", "state", "waits"),
    [
        ("allow", True, None, "STARTED", None),
        ("skip", False, None, "STARTED", None),
        ("skip", True, None, "SKIPPED", None),
        ("queue_one", False, None, "STARTED", None),
        ("queue_one", True, None, "QUEUED", NOON),
        ("queue_one", True, WAITING, "MERGED", WAITING),
        ("queue_one", False, WAITING, "MERGED", WAITING),
        ("replace", False, None, "STARTED", None),
        ("replace", True, None, "QUEUED", NOON),
        ("replace", True, WAITING, "QUEUED", NOON),
    ],
)
def test_a_tick_that_finds_a_run_going_on_does_what_its_policy_says(
    overlap: str, living: bool, queued: datetime | None, state: str, waits: datetime | None
) -> None:
    turn = decide(a_plan(overlap=overlap), Standing(NOON, living, queued), IN_TIME)
    assert states(turn) == [state]
    assert turn.queued == waits
    assert turn.merged == (WAITING if overlap == "replace" and queued else None)


def test_ticks_that_come_together_see_each_other() -> None:
    for overlap, expected in (
        ("allow", ["STARTED", "STARTED", "STARTED"]),
        ("skip", ["STARTED", "SKIPPED", "SKIPPED"]),
        ("queue_one", ["STARTED", "QUEUED", "MERGED"]),
        ("replace", ["STARTED", "MERGED", "QUEUED"]),
    ):
        turn = decide(
            a_plan(every="1s", overlap=overlap), Standing(NOON), NOON + timedelta(seconds=2)
        )
        assert states(turn) == expected


DATES = [{"dates": ["03-29", "2026-10-25"]}, {"days": ["sun"], "between": ["23:00", "02:15"]}]
SPECS = st.fixed_dictionaries(
    {
        "every": st.sampled_from(["1s", "7s", "1m", "13m", "1h"]),
        "jitter": st.sampled_from(["0s", "30s", "20m"]),
        "overlap": st.sampled_from(["allow", "skip", "queue_one", "replace"]),
        "catch_up": st.sampled_from(
            ["none", "last", "all", {"policy": "all", "window": "1m", "per_minute": 6000}]
        ),
        "blackouts": st.sampled_from(
            [[], [{"between": ["12:05", "12:20"]}], [{"between": ["01:30", "02:30"]}], DATES]
        ),
        "zone": st.sampled_from(["UTC", "Europe/Rome", "Australia/Lord_Howe"]),
    }
)
AWAYS = st.lists(st.sampled_from([0.2, 1, 30, 61, 600, 4000, 50_000]), min_size=1, max_size=12)
# Around them the clocks of Rome change, those of Lord Howe by half an hour.
STARTS = st.sampled_from(
    [
        NOON,
        datetime(2026, 3, 28, 22, tzinfo=UTC),
        datetime(2026, 10, 24, 22, tzinfo=UTC),
        datetime(2026, 4, 4, 12, tzinfo=UTC),
        datetime(2026, 10, 3, 12, tzinfo=UTC),
    ]
)


@settings(deadline=None, max_examples=80)
@given(SPECS, AWAYS, st.integers(0, 3), STARTS)
def test_every_tick_has_exactly_one_fate_however_irregularly_somebody_looks(
    document: dict[str, Any], aways: list[float], alive: int, start: datetime
) -> None:
    """Those of rows with `until` count for all they cover. Runs end after `alive` looks."""
    plan = Plan(read_schedule(document), "type/main")
    standing, now = Standing(plan.since(start)), start
    fates: Counter[datetime] = Counter()
    since_start = 0
    for away in aways:
        now += timedelta(seconds=away)
        for _ in range(50):
            turn = decide(plan, standing, now)
            for entry in turn.entries:
                found = covered(plan, entry)
                fates.update(found)
                if entry.reason == REPLACED:
                    assert not any(plan.quiet(tick) for tick in found)
            since_start = 0 if "STARTED" in states(turn) else since_start + 1
            standing = Standing(turn.tick, living=since_start < alive, queued=turn.queued)
            if turn.at is None or turn.at > now:
                break
    assert standing.tick is not None
    wanted = []
    tick = plan.since(start)
    while tick is not None and tick < standing.tick:
        wanted.append(tick)
        tick = plan.after(tick)
    assert fates == dict.fromkeys(wanted, 1)


def covered(plan: Plan, entry: Entry) -> list[datetime]:
    found, tick = [entry.tick], plan.after(entry.tick)
    while entry.until and tick and tick < entry.until:
        found.append(tick)
        tick = plan.after(tick)
    return found
