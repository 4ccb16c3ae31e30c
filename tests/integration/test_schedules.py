import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from scheduler.domain.errors import Conflict, Invalid, NotFound
from scheduler.domain.schedule_reading import read_schedule
from scheduler.services import backfills, firing, records, runs, schedules, ticking
from scheduler.services.backfills import Wish
from scheduler.services.catalog import Catalog
from scheduler.services.records import Draft
from scheduler.store import schedules as stored
from scheduler.store.schedules import Target
from tests.support.builders import (
    Conn,
    a_holder,
    carry_out,
    chain,
    engine,
    one,
    publish,
    start_many,
    state_of,
)
from tests.support.timetables import (
    a_schedule,
    count,
    due_since,
    fates,
    runs_of,
    standing,
    states,
    tick_all,
)
from tests.support.waiting import patience

pytestmark = pytest.mark.anyio

ONE = chain("one", "")
DAILY = """
name: daily
input: {type: object, properties: {day: {type: string, format: date}}, required: [day]}
tasks: [{name: t0, noop: true}]
"""
SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
TOTAL = "select count(*) from runs"


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        await publish(conn, ONE, DAILY)
        yield conn


async def test_a_tick_starts_one_run_which_says_whose_it_is(conn: Conn) -> None:
    schedule = await a_schedule(conn, type="daily", every="1h", input={"day": "${{ tick.date }}"})
    tick = await due_since(conn, schedule, HOUR)
    await tick_all(conn)
    run = (await runs_of(conn, schedule))[0]
    found = await runs.get(conn, run)
    assert found["triggered_by"] == "schedule daily/main"
    assert found["labels"] == {"schedule": str(schedule)}
    assert found["input"] == {"day": tick.date().isoformat()}


async def test_a_tick_starts_one_run_however_many_clocks_look(dsn: str, conn: Conn) -> None:
    made = [await a_schedule(conn, type="one", name=f"s{n}", every="1h") for n in range(120)]
    for schedule in made:
        await due_since(conn, schedule, HOUR + SECOND)

    async def look() -> None:
        async with await engine(dsn) as mine:
            while await firing.fire_due(mine, Catalog(), 7):
                pass

    await asyncio.gather(*(look() for _ in range(4)))
    assert await one(conn, TOTAL) == 120
    assert await count(conn, "(select distinct run_id from ticks) t") == 120


async def test_a_clock_that_fails_before_its_commit_leaves_nothing_and_the_next_does_it(
    dsn: str, conn: Conn
) -> None:
    schedule = await a_schedule(conn, type="one", every="1h", catch_up="last")
    await due_since(conn, schedule, HOUR + SECOND)
    async with await engine(dsn) as mine, mine.transaction(force_rollback=True):
        assert await firing.fire_due(mine, Catalog(), 10) == 1
    assert await one(conn, TOTAL) == 0
    await tick_all(conn)
    assert await states(conn, schedule) == ["STARTED"]


async def test_a_tick_that_has_a_fate_keeps_it_when_the_time_is_turned_back(conn: Conn) -> None:
    schedule = await a_schedule(conn, type="one", every="1h")
    await due_since(conn, schedule, HOUR)
    await tick_all(conn)
    before = await fates(conn, schedule)
    await due_since(conn, schedule, HOUR)
    await tick_all(conn)
    assert await fates(conn, schedule) == before
    assert await one(conn, TOTAL) == 1


@pytest.mark.parametrize(("policy", "started"), [("none", 0), ("last", 1), ("all", 5)])
async def test_what_was_missed_is_caught_up_as_agreed_and_the_rest_is_written_down(
    conn: Conn, policy: str, started: int
) -> None:
    catch_up = {"policy": policy, "per_minute": 6000}
    # The newest tick is an hour and more ago: it is late as well.
    schedule = await a_schedule(
        conn, type="one", every="2h", anchor=await hours_ago(conn, 1.5), catch_up=catch_up
    )
    await due_since(conn, schedule, 10 * HOUR)
    await catch_up_all(conn)
    found = await states(conn, schedule)
    assert found.count("STARTED") == started == await one(conn, TOTAL)
    assert set(found) <= {"STARTED", "MISSED"}
    assert (await standing(conn, schedule))["next_tick"] > (await standing(conn, schedule))["now"]


@pytest.mark.parametrize("policy", ["none", "last"])
async def test_a_schedule_of_every_second_is_back_at_once_after_a_week(
    conn: Conn, policy: str
) -> None:
    """What was missed takes a few rows, however much it was, and the clock a turn or two."""
    schedule = await a_schedule(conn, type="one", every="1s", catch_up=policy)
    await due_since(conn, schedule, timedelta(days=7))
    assert await firing.fire_due(conn, Catalog(), 1) == 1
    row = await standing(conn, schedule)
    assert row["next_tick"] > row["now"] - 5 * SECOND
    found = await states(conn, schedule)
    assert found.count("MISSED") <= 3
    assert 50 <= found.count("STARTED") <= 62  # those of the last minute are not too late


async def test_what_is_started_after_an_absence_is_committed_in_small_parts(
    conn: Conn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that is killed time and again gets on all the same."""
    monkeypatch.setattr(firing, "AT_ONCE", 15)
    all = [await a_schedule(conn, type="one", name=f"s{n}", every="1s") for n in range(5)]
    for schedule in all:
        await due_since(conn, schedule, 10 * SECOND)
    await firing.fire_due(conn, Catalog(), 50)
    begun = "select count(distinct schedule_id) from ticks"
    assert await one(conn, begun) == 2
    await tick_all(conn)
    assert await one(conn, begun) == 5
    assert await one(conn, TOTAL) == await one(conn, "select count(*) from ticks") >= 50


async def hours_ago(conn: Conn, hours: float) -> str:
    moment = await one(conn, "select clock_timestamp()")
    return str((moment - timedelta(hours=hours)).isoformat())


async def catch_up_all(conn: Conn) -> None:
    """At the pace of a schedule, whose pauses are waited out by the database."""
    async with asyncio.timeout(30):
        while True:
            await tick_all(conn)
            due = "select count(*) from schedules where next_tick < clock_timestamp()"
            if not await one(conn, due):
                return
            await conn.execute("select pg_sleep(0.01)")


async def test_a_run_that_goes_on_makes_the_next_tick_skip_queue_or_replace(conn: Conn) -> None:
    holder = await a_holder(conn)
    for overlap, expected in (
        ("allow", ["STARTED", "STARTED"]),
        ("skip", ["STARTED", "SKIPPED"]),
        ("queue_one", ["STARTED", "QUEUED"]),
    ):
        schedule = await a_schedule(conn, type="one", name=overlap, every="1h", overlap=overlap)
        await twice(conn, schedule)
        assert await states(conn, schedule) == expected
    waiting = await one(conn, "select id from schedules where queued is not null")
    while await carry_out(conn, holder):
        pass
    await tick_all(conn)
    assert await states(conn, waiting) == ["STARTED", "STARTED"]
    assert (await standing(conn, waiting))["queued"] is None


async def twice(conn: Conn, schedule: int) -> None:
    """One tick, and an hour later the next."""
    for _ in range(2):
        await conn.execute("update ticks set tick = tick - interval '1 hour'")
        await due_since(conn, schedule, HOUR)
        assert await firing.fire_due(conn, Catalog(), 1) == 1


async def test_a_run_that_is_replaced_is_stopped_and_the_new_one_waits_for_its_end(
    conn: Conn,
) -> None:
    schedule = await a_schedule(conn, type="one", every="1h", overlap="replace")
    await twice(conn, schedule)
    assert await states(conn, schedule) == ["STARTED", "QUEUED"]
    [first] = await runs_of(conn, schedule)
    await tick_all(conn)
    assert await state_of(conn, first) == "STOPPED"
    assert await states(conn, schedule) == ["STARTED", "STARTED"]


@pytest.mark.parametrize("overlap", ["allow", "skip"])
async def test_a_record_has_one_living_run_whoever_started_it(conn: Conn, overlap: str) -> None:
    await records.create(conn, Catalog(), "nightly", Draft(type="one", input={}), by="ann")
    schedule = await a_schedule(conn, record="nightly", every="1h", overlap=overlap)
    by_hand = await records.start(conn, Catalog(), "nightly", by="ann")
    await due_since(conn, schedule, HOUR)
    await tick_all(conn)
    assert await states(conn, schedule) == ["SKIPPED"]
    with pytest.raises(Conflict, match="already running"):
        await schedules.trigger(conn, Catalog(), schedule, by="ann")
    await runs.stop(conn, Catalog(), by_hand.id, by="ann")
    await conn.execute("delete from ticks")
    await due_since(conn, schedule, HOUR)
    await tick_all(conn)
    assert await states(conn, schedule) == ["STARTED"]
    assert (await records.get(conn, "nightly"))["current_run"] == (await runs_of(conn, schedule))[0]


async def test_one_that_cannot_be_started_says_why_and_keeps_nobody_from_it(conn: Conn) -> None:
    bad = await a_schedule(conn, type="daily", every="1h", input={"day": "2026-01-01"})
    good = await a_schedule(conn, type="one", every="1h")
    await publish(conn, DAILY.replace("day", "date_of_it"))
    for schedule in (bad, good):
        await due_since(conn, schedule, HOUR)
    await tick_all(conn)
    [(state, reason)] = await fates(conn, bad)
    assert state == "FAILED"
    assert "date_of_it" in (reason or "")
    assert await states(conn, good) == ["STARTED"]


async def test_a_change_never_fires_the_past(conn: Conn) -> None:
    schedule = await a_schedule(conn, type="one", every="1h")
    await due_since(conn, schedule, 3 * HOUR)
    await schedules.change(conn, Catalog(), schedule, read_schedule({"every": "1m"}))
    found = await standing(conn, schedule)
    assert found["next_tick"] > found["now"]
    assert [reason for _, reason in await fates(conn, schedule)] == [
        "the schedule was changed before it was started"
    ]
    assert await one(conn, TOTAL) == 0


async def test_a_tick_that_only_its_jitter_holds_back_is_written_down_at_a_change(
    conn: Conn,
) -> None:
    schedule = await a_schedule(conn, type="one", every="1h", jitter="1h")
    await due_since(conn, schedule, HOUR)
    later = "update schedules set next_at = clock_timestamp() + interval '30 minutes'"
    await conn.execute(later.encode())
    await schedules.change(conn, Catalog(), schedule, read_schedule({"every": "1m"}))
    assert await states(conn, schedule) == ["SKIPPED"]


async def test_a_pause_starts_nothing_and_leaves_a_row_for_what_it_covered(conn: Conn) -> None:
    schedule = await a_schedule(conn, type="one", every="1m")
    await schedules.pause(conn, schedule, by="ann", note="stocktaking")
    assert (await standing(conn, schedule))["next_at"] is None
    await conn.execute("update schedules set next_tick = next_tick - interval '10 minutes'")
    await tick_all(conn)
    resumed = await schedules.resume(conn, schedule)
    assert await fates(conn, schedule) == [("SKIPPED", "paused by ann: stocktaking")]
    assert resumed["next_at"] > resumed["now"]
    assert await one(conn, TOTAL) == 0
    with pytest.raises(Conflict):
        await schedules.resume(conn, schedule)


async def test_a_pause_with_an_end_is_over_by_itself(conn: Conn) -> None:
    schedule = await a_schedule(conn, type="one", every="1m")
    until = await one(conn, "select clock_timestamp() + interval '1 hour'")
    paused = await schedules.pause(conn, schedule, by="ann", until=until)
    assert paused["next_at"] == until
    await conn.execute(
        "update schedules set paused_at = paused_at - interval '2 hours',"
        " paused_until = paused_until - interval '1 hour 2 seconds',"
        " next_at = next_at - interval '1 hour 2 seconds',"
        " next_tick = next_tick - interval '1 hour'"
    )
    await tick_all(conn)
    found = await standing(conn, schedule)
    assert (found["paused_at"], found["note"]) == (None, None)
    assert (await fates(conn, schedule))[0] == ("SKIPPED", "paused by ann")


async def test_a_stop_of_all_stops_all_and_its_ticks_are_not_caught_up(conn: Conn) -> None:
    made = [await a_schedule(conn, type="one", name=f"s{n}", every="1h") for n in range(3)]
    await schedules.stop_all(conn, by="ann", note="moving house")
    await conn.execute("update schedule_stops set stopped_at = stopped_at - interval '9 hours'")
    for schedule in made:
        await due_since(conn, schedule, 3 * HOUR)
    assert await tick_all(conn) == 0
    with pytest.raises(Conflict):
        await schedules.stop_all(conn, by="bob")
    await schedules.resume_all(conn, by="ann")
    await tick_all(conn)
    for schedule in made:
        assert await fates(conn, schedule) == [
            ("SKIPPED", "all schedules were stopped: moving house")
        ]
    assert await one(conn, TOTAL) == 0


async def test_a_trigger_starts_a_run_now_with_input_of_its_own(conn: Conn) -> None:
    schedule = await a_schedule(conn, type="daily", every="1h", input={"day": "2026-01-01"})
    before = await standing(conn, schedule)
    await schedules.pause(conn, schedule, by="ann")
    wish: dict[str, Any] = {"by": "ann", "input": {"day": "2026-02-02"}, "key": "once"}
    begun = await schedules.trigger(conn, Catalog(), schedule, **wish)
    again = await schedules.trigger(conn, Catalog(), schedule, **wish)
    assert (again.id, again.replayed) == (begun.id, True)
    assert (await runs.get(conn, begun.id))["input"] == {"day": "2026-02-02"}
    assert (await standing(conn, schedule))["next_tick"] == before["next_tick"]
    assert await fates(conn, schedule) == [("STARTED", "triggered by ann")]


async def test_a_backfill_runs_what_was_not_run_and_nothing_twice(conn: Conn) -> None:
    holder = await a_holder(conn)
    schedule = await a_schedule(
        conn, type="daily", every="1h", catch_up="last", input={"day": "${{ tick.date }}"}
    )
    await due_since(conn, schedule, 3 * HOUR)
    await tick_all(conn)
    assert await states(conn, schedule) == ["MISSED", "STARTED"]
    assert await carry_out(conn, holder) == ["t0"]
    now = (await standing(conn, schedule))["now"]
    wish = Wish(start=now - 5 * HOUR, end=now, per_minute=6000)
    found = await backfills.preview(conn, schedule, wish)
    assert (found.ticks, found.to_run) == (5, 4)
    made = await backfills.start(conn, schedule, wish, by="bob")
    most = 0
    async with asyncio.timeout(30):
        while (await backfills.get(conn, schedule, made["id"]))["ended_at"] is None:
            await conn.execute("update backfills set next_at = least(next_at, clock_timestamp())")
            await backfills.step(conn, Catalog())
            living = "select count(*) from runs where finished_at is null"
            most = max(most, await one(conn, living))
            while await carry_out(conn, holder):
                pass
    assert most == 1
    assert await states(conn, schedule) == ["STARTED"] * 5
    assert await one(conn, TOTAL) == 5
    with pytest.raises(Conflict, match="nothing to run"):
        await backfills.start(conn, schedule, wish, by="bob")


@pytest.mark.parametrize(
    ("filled", "expected"),
    [
        ((0, 1), ["STARTED", "MISSED", "MISSED", "MISSED", "MISSED"]),
        ((2, 4), ["MISSED", "MISSED", "STARTED", "STARTED", "MISSED"]),
        ((4, 5), ["MISSED", "MISSED", "MISSED", "MISSED", "STARTED"]),
        ((0, 5), ["STARTED"] * 5),
    ],
)
async def test_each_tick_keeps_one_fate_when_some_of_a_row_are_run_after_all(
    conn: Conn, filled: tuple[int, int], expected: list[str]
) -> None:
    """A row that stood for five is cut where some of them get rows of their own."""
    schedule = await a_schedule(conn, type="one", every="1h", catch_up="none")
    first = await due_since(conn, schedule, 6 * HOUR)
    await conn.execute(
        "insert into ticks (schedule_id, tick, kind, state, reason, due_at, until)"
        " values (%s, %s, 'time', 'MISSED', 'away', %s, %s)",
        [schedule, first, first, first + 5 * HOUR],
    )
    low, high = (first + number * HOUR for number in filled)
    wish = Wish(start=low, end=high, per_minute=6000, at_once=100)
    made = await backfills.start(conn, schedule, wish, by="bob")
    async with asyncio.timeout(30):
        while (await backfills.get(conn, schedule, made["id"]))["ended_at"] is None:
            await conn.execute("update backfills set next_at = least(next_at, clock_timestamp())")
            await backfills.step(conn, Catalog())
    plan = ticking.plan_of(await standing(conn, schedule))
    cursor = await conn.execute("select tick, state::text, until from ticks order by tick")
    told = [
        (each, state)
        for tick, state, until in await cursor.fetchall()
        for each in ([tick, *plan.upcoming(tick, until)] if until else [tick])
    ]
    ticks = [first + number * HOUR for number in range(5)]
    assert told == list(zip(ticks, expected, strict=True))


async def test_a_backfill_keeps_its_pace_and_can_be_ended(conn: Conn) -> None:
    schedule = await a_schedule(conn, type="one", every="1h")
    now = (await standing(conn, schedule))["now"]
    wish = Wish(start=now - 50 * HOUR, end=now, per_minute=1, at_once=10)
    made = await backfills.start(conn, schedule, wish, by="bob")
    await tick_all(conn)
    assert await states(conn, schedule) == ["STARTED"]
    await backfills.cancel(conn, schedule, made["id"], by="bob")
    await conn.execute("update backfills set next_at = clock_timestamp()")
    assert await backfills.step(conn, Catalog()) == 0
    far = Wish(start=now - 20_000 * HOUR, end=now)
    with pytest.raises(Invalid, match="more than 10000"):
        await backfills.preview(conn, schedule, far)
    with pytest.raises(Invalid, match="has not begun"):
        await backfills.preview(conn, schedule, Wish(start=now + HOUR, end=now + 2 * HOUR))


async def test_a_definition_declares_schedules_and_leaves_alone_what_people_did(
    conn: Conn,
) -> None:
    by_hand = await a_schedule(conn, type="one", name="by-hand", every="1h")
    first = read_schedule({"name": "first", "every": "1h"})
    second = read_schedule({"name": "second", "every": "2h"})

    async def found() -> dict[str, Any]:
        rows = await stored.lock_all(conn, Target(type="one"))
        return {row["name"]: row["spec"]["every"] for row in rows}

    await schedules.sync_of_type(conn, "one", [first, second], "ann")
    assert await found() == {"by-hand": "1h", "first": "1h", "second": "2h"}
    changed = await one(conn, "select id from schedules where name = 'second'")
    edited = read_schedule({"name": "second", "every": "3h"})
    await schedules.change(conn, Catalog(), changed, edited)
    await schedules.sync_of_type(conn, "one", [first, second], "ann")
    assert (await found())["second"] == "3h"
    again = read_schedule({"name": "second", "every": "4h"})
    await schedules.sync_of_type(conn, "one", [again], "ann")
    assert await found() == {"by-hand": "1h", "second": "4h"}
    with pytest.raises(Conflict, match="by-hand"):
        await schedules.sync_of_type(
            conn, "one", [read_schedule({"name": "by-hand", "every": "9h"})], "ann"
        )
    assert (await standing(conn, by_hand))["spec"] == {"name": "by-hand", "every": "1h"}


async def test_what_cannot_be_is_refused(conn: Conn) -> None:
    await a_schedule(conn, type="one")
    with pytest.raises(Conflict, match="another 'name'"):
        await a_schedule(conn, type="one")
    with pytest.raises(NotFound):
        await a_schedule(conn, type="nothing")
    with pytest.raises(NotFound):
        await a_schedule(conn, record="nothing")
    with pytest.raises(Invalid, match="day"):
        await a_schedule(conn, type="daily", every="1h")
    with pytest.raises(Invalid, match="in the past"):
        await a_schedule(conn, type="one", name="once", at="2020-01-01T00:00:00Z")
    with pytest.raises(NotFound):
        await schedules.delete(conn, 999)


async def test_runs_outlive_the_schedule_that_started_them(conn: Conn) -> None:
    schedule = await a_schedule(conn, type="one", every="1h")
    await due_since(conn, schedule, HOUR)
    await tick_all(conn)
    await schedules.delete(conn, schedule)
    assert await one(conn, TOTAL) == 1
    assert await count(conn, "ticks") == 0


async def test_dormant_schedules_are_nothing_to_a_clock(conn: Conn) -> None:
    await start_many(conn, "one", 1)
    await a_schedule(conn, type="one", every="1h")
    assert await firing.fire_due(conn, Catalog(), 10) == 0
    seconds = await stored.next_due(conn)
    assert seconds is not None
    assert 0 < seconds <= 3600


async def test_no_tick_is_older_than_its_schedule_however_long_its_making_is_held_up(
    conn: Conn, dsn: str
) -> None:
    async with await engine(dsn) as other:
        async with other.transaction():
            await other.execute("lock table schedules in share mode")
            making = asyncio.create_task(a_schedule(conn, type="one", every="1s"))
            await until_true(other, "select exists (select from pg_locks where not granted)")
            [(now,)] = await (await other.execute("select clock_timestamp()")).fetchall()
            await until_true(other, "select clock_timestamp() > %s", now + SECOND)
        schedule = await making
        row = await schedules.get(conn, schedule)
        assert row["created_at"] < row["next_tick"] <= row["created_at"] + SECOND


async def until_true(conn: Conn, question: str, *values: Any) -> None:
    async with asyncio.timeout(patience(30)):
        while True:
            if await one(conn, question, *values):
                return
            await asyncio.sleep(0.01)
