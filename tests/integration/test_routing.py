"""What events start: once each, whoever routes them, and in step with what a trigger remembers."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from psycopg.errors import UniqueViolation

from scheduler.domain.trigger_reading import read_trigger
from scheduler.services import records, routing, triggers
from scheduler.services.catalog import Catalog
from scheduler.services.records import Draft
from scheduler.store import events as happened
from scheduler.store import routing as store
from scheduler.store import triggers as stored
from scheduler.store.rows import Row
from tests.support.builders import Conn, engine, one, publish
from tests.support.interleaving import until_it_waits
from tests.support.triggering import (
    ONE,
    a_trigger,
    fates,
    inputs,
    route_all,
    runs,
    send,
    time_passes,
    triggered,
)

pytestmark = pytest.mark.anyio

STRICT = """
name: strict
input: {type: object, properties: {day: {type: string}}, required: [day]}
tasks: [{name: it, noop: true}]
"""


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        yield conn


@pytest.fixture
async def other(dsn: str) -> AsyncIterator[Conn]:
    """Another server's connection."""
    async with await engine(dsn) as conn:
        yield conn


async def test_an_event_starts_what_wants_it_and_nothing_else(conn: Conn) -> None:
    created = await triggered(conn, event="order.created", input={"n": "${{ event.data.n }}"})
    never = await a_trigger(conn, name="other", event="invoice.**")
    await send(conn, "1", data={"n": 7})
    await route_all(conn)
    assert await fates(conn, created) == ["STARTED"]
    assert await fates(conn, never) == []
    assert await inputs(conn) == [{"n": 7}]
    assert await one(conn, "select triggered_by from runs") == "trigger one/default"
    assert await one(conn, "select labels ->> 'trigger' from runs") == str(created)


async def test_an_event_that_comes_again_starts_nothing_more(conn: Conn) -> None:
    await triggered(conn)
    for _ in range(3):
        await send(conn, "1")
        await route_all(conn)
    assert await runs(conn) == 1


async def test_two_servers_start_each_event_once(conn: Conn, other: Conn) -> None:
    made = [await triggered(conn, name="t0")]
    made += [await a_trigger(conn, name=f"t{number}") for number in range(1, 4)]
    for begin in range(0, 600, 200):
        await send(conn, *(str(number) for number in range(begin, begin + 200)))
    await asyncio.gather(*(drain(each) for each in (conn, other)))
    assert await runs(conn) == 2400
    for trigger in made:
        assert await fates(conn, trigger) == ["STARTED"] * 600


async def drain(conn: Conn) -> None:
    catalog = Catalog()
    while await routing.route_batch(conn, catalog, 25):
        pass


async def test_a_router_that_is_cut_off_leaves_its_events_to_others(
    conn: Conn, other: Conn
) -> None:
    trigger = await triggered(conn)
    await send(conn, "1", "2")
    try:
        async with other.transaction():
            assert await routing.route_batch(other, Catalog(), 10) == 2
            raise ConnectionError
    except ConnectionError:
        pass
    assert await runs(conn) == 0
    await route_all(conn)
    assert await fates(conn, trigger) == ["STARTED", "STARTED"]


async def test_a_condition_decides_and_one_without_an_answer_is_told(conn: Conn) -> None:
    trigger = await triggered(conn, when="${{ event.data.rush }}")
    await send(conn, "1", data={"rush": True})
    await send(conn, "2", data={"rush": False})
    await send(conn, "3", data={"rush": "perhaps"})
    await route_all(conn)
    assert await fates(conn, trigger) == ["STARTED", "FAILED"]
    assert await runs(conn) == 1


async def test_an_input_that_is_refused_keeps_no_other_from_starting(conn: Conn) -> None:
    await publish(conn, STRICT)
    trigger = await a_trigger(conn, type="strict")
    await send(conn, "1", data={"day": "monday"})
    await send(conn, "2", data={"day": 5})
    await send(conn, "3", data={"day": "friday"})
    await route_all(conn)
    assert await fates(conn, trigger) == ["STARTED", "FAILED", "STARTED"]
    reason = await one(conn, "select reason from trigger_decisions where fate = 'FAILED'")
    assert "day" in reason


async def test_what_came_before_a_trigger_was_made_is_none_of_its_business(conn: Conn) -> None:
    await triggered(conn, name="first")
    await send(conn, "1")
    late = await a_trigger(conn, name="late")
    await route_all(conn)
    assert await fates(conn, late) == []


async def test_a_paused_trigger_writes_down_what_it_skips(conn: Conn) -> None:
    trigger = await triggered(conn)
    await triggers.pause(conn, trigger, by="ann")
    await send(conn, "1")
    await route_all(conn)
    await triggers.resume(conn, trigger)
    await send(conn, "2")
    await route_all(conn)
    assert await fates(conn, trigger) == ["SKIPPED", "STARTED"]


async def test_events_of_one_key_start_one_run_within_the_window(conn: Conn) -> None:
    trigger = await triggered(conn, dedup={"key": "${{ event.key }}", "window": "1h"})
    await send(conn, "1", "2", key="a")
    await send(conn, "3", key="b")
    await route_all(conn)
    assert await fates(conn, trigger) == ["STARTED", "DEDUPED", "STARTED"]
    await time_passes(conn, 3601)
    await send(conn, "4", key="a")
    await route_all(conn)
    assert (await fates(conn, trigger))[-1] == "STARTED"


RACES: list[tuple[dict[str, Any], dict[str, int]]] = [
    ({"dedup": {"key": "x", "window": "1h"}}, {"STARTED": 1, "DEDUPED": 19}),
    ({"throttle": {"max": 3, "per": "1h"}}, {"STARTED": 3, "THROTTLED": 17}),
    ({"throttle": {"max": 3, "per": "1h", "rest": "queue"}}, {"STARTED": 3, "WAITING": 17}),
    ({"batch": {"max": 100, "wait": "1h"}}, {"WAITING": 20}),
    ({"debounce": {"quiet": "1h"}}, {"WAITING": 20}),
    ({"concurrency": {"max": 2, "rest": "drop"}}, {"STARTED": 2, "SKIPPED": 18}),
]


@pytest.mark.parametrize(("rule", "expected"), RACES, ids=[str(rule) for rule, _ in RACES])
async def test_two_servers_decide_one_after_the_other_by_what_a_trigger_remembers(
    dsn: str, conn: Conn, other: Conn, rule: dict[str, Any], expected: dict[str, int]
) -> None:
    """The second has taken its events before the first has committed what it decided."""
    trigger = await triggered(conn, **rule)
    await send(conn, *(str(number) for number in range(20)))
    async with conn.transaction():
        assert await routing.route_batch(conn, Catalog(), 10) == 10
        second = asyncio.create_task(routing.route_batch(other, Catalog(), 10))
        await until_it_waits(dsn, other)
    assert await second == 10
    assert Counter(await fates(conn, trigger)) == expected
    if "batch" in rule or "debounce" in rule:
        assert await one(conn, "select events from pending_starts") == 20


GATHERING: list[tuple[dict[str, Any], int]] = [
    ({"batch": {"max": 100, "wait": "1h"}}, 21),
    ({"batch": {"max": 15, "wait": "1h"}}, 6),
    ({"debounce": {"quiet": "1h"}}, 21),
]


@pytest.mark.parametrize(("rule", "waiting"), GATHERING, ids=[str(rule) for rule, _ in GATHERING])
async def test_no_event_is_left_out_of_what_two_servers_gather(
    dsn: str, conn: Conn, other: Conn, rule: dict[str, Any], waiting: int
) -> None:
    """One was waiting before, so both find it, and the second adds to what the first has added."""
    trigger = await triggered(conn, **rule)
    await send(conn, "first")
    await route_all(conn)
    await send(conn, *(str(number) for number in range(20)))
    async with conn.transaction():
        assert await routing.route_batch(conn, Catalog(), 10) == 10
        second = asyncio.create_task(routing.route_batch(other, Catalog(), 10))
        await until_it_waits(dsn, other)
    assert await second == 10
    assert await one(conn, "select sum(events) from pending_starts") - await due(conn) == waiting
    assert Counter(await fates(conn, trigger)) == {"WAITING": 21}


async def due(conn: Conn) -> int:
    """Events of starts that are full and begin as soon as somebody looks."""
    asked = "select coalesce(sum(events), 0) from pending_starts where due_at <= clock_timestamp()"
    return int(await one(conn, asked))


async def test_what_comes_while_a_start_begins_is_gathered_by_the_next(
    dsn: str, conn: Conn, other: Conn
) -> None:
    """One server starts what waited while another has an event of the same key in hand."""
    trigger = await triggered(conn, debounce={"quiet": "10m"})
    await send(conn, "1")
    await route_all(conn)
    await time_passes(conn, 601)
    await send(conn, "2")
    async with conn.transaction():
        assert await routing.start_due(conn, Catalog(), 10) == 1
        second = asyncio.create_task(routing.route_batch(other, Catalog(), 10))
        await until_it_waits(dsn, other)
    assert await second == 1
    assert await fates(conn, trigger) == ["STARTED", "WAITING"]
    await time_passes(conn, 601)
    await route_all(conn)
    assert await fates(conn, trigger) == ["STARTED", "STARTED"]


async def test_what_another_server_is_starting_is_nobody_elses_to_start(
    conn: Conn, other: Conn
) -> None:
    await triggered(conn, debounce={"quiet": "10m"})
    await send(conn, "1")
    await route_all(conn)
    await time_passes(conn, 601)
    async with conn.transaction():
        assert await routing.start_due(conn, Catalog(), 10) == 1
        async with asyncio.timeout(20):  # it does not even wait
            assert await routing.start_due(other, Catalog(), 10) == 0
    assert await runs(conn) == 1


async def test_an_event_that_is_decided_on_is_decided_on_by_nobody_else(conn: Conn) -> None:
    """Even if it came into the backlog again, or two had it in hand."""
    trigger = await triggered(conn)
    await send(conn, "1")
    await route_all(conn)
    await conn.execute("insert into event_backlog (id) select id from events")
    with pytest.raises(UniqueViolation):
        await routing.route_batch(conn, Catalog(), 10)
    assert await runs(conn) == 1
    assert await fates(conn, trigger) == ["STARTED"]


@pytest.mark.parametrize("kind", ["debounce", "batch"])
async def test_of_one_key_one_start_gathers_at_a_time(conn: Conn, kind: str) -> None:
    """The database refuses another one, whoever forgot to look."""
    await triggered(conn, debounce={"quiet": "10m"})
    await send(conn, "1")
    await route_all(conn)
    with pytest.raises(UniqueViolation):
        await conn.execute(
            "insert into pending_starts (trigger_id, kind, key, gathers, input, events, size,"
            " last_event, first_at, due_at)"
            " select trigger_id, %s, key, gathers, input, events, size, last_event, first_at,"
            " due_at from pending_starts",
            [kind],
        )


async def test_what_is_remembered_of_a_key_is_renewed_by_each_decision(conn: Conn) -> None:
    trigger = await triggered(conn, throttle={"max": 1, "per": "1h"})
    for number in range(2):
        await send(conn, f"{number}")
        await route_all(conn)
        await time_passes(conn, 3601 if number == 0 else 1800)
    await send(conn, "too soon")
    await route_all(conn)
    assert await fates(conn, trigger) == ["STARTED", "STARTED", "THROTTLED"]


async def test_a_debounced_start_waits_for_quiet_and_takes_the_last_input(conn: Conn) -> None:
    trigger = await triggered(conn, debounce={"quiet": "10m"})
    for number in range(3):
        await send(conn, str(number), data={"n": number})
        await route_all(conn)
    assert await runs(conn) == 0
    await time_passes(conn, 601)
    await route_all(conn)
    assert await inputs(conn) == [{"n": 2}]
    assert await fates(conn, trigger) == ["MERGED", "MERGED", "STARTED"]
    assert await one(conn, "select count(*) from pending_starts") == 0


async def test_a_debounced_start_waits_no_longer_than_it_may(conn: Conn) -> None:
    await triggered(conn, debounce={"quiet": "10m", "max_wait": "15m"})
    for number in range(3):
        await send(conn, str(number))
        await route_all(conn)
        await time_passes(conn, 400)
    await route_all(conn)
    assert await runs(conn) == 1


async def test_keys_are_debounced_apart_and_gather_what_came(conn: Conn) -> None:
    rule = {"key": "${{ event.key }}", "quiet": "1m", "input": "gathered"}
    await triggered(conn, debounce=rule, input={"ids": "${{ events.map(e, e.id) }}"})
    await send(conn, "1", "2", key="a")
    await send(conn, "3", key="b")
    await route_all(conn)
    await time_passes(conn, 61)
    await route_all(conn)
    assert sorted(each["ids"] for each in await inputs(conn)) == [["1", "2"], ["3"]]


async def test_two_servers_start_what_waited_once(dsn: str, conn: Conn, other: Conn) -> None:
    await triggered(conn, debounce={"key": "${{ event.key }}", "quiet": "1m"})
    for number in range(50):
        await send(conn, str(number), key=str(number))
    await route_all(conn)
    await time_passes(conn, 61)
    await asyncio.gather(route_all(conn), route_all(other))
    await route_all(conn)
    assert await runs(conn) == 50


async def test_a_batch_starts_when_it_is_full_or_when_its_time_is_over(conn: Conn) -> None:
    trigger = await triggered(
        conn, batch={"max": 3, "wait": "10m"}, input={"n": "${{ events.size() }}"}
    )
    await send(conn, "1", "2", "3", "4", "5", "6", "7")
    await route_all(conn)
    assert [each["n"] for each in await inputs(conn)] == [3, 3]
    await time_passes(conn, 601)
    await route_all(conn)
    assert [each["n"] for each in await inputs(conn)] == [3, 3, 1]
    assert Counter(await fates(conn, trigger)) == {"STARTED": 3, "MERGED": 4}


async def test_what_is_throttled_waits_for_its_turn_in_order(conn: Conn) -> None:
    await triggered(conn, throttle={"max": 2, "per": "1h", "rest": "queue"})
    for number in range(6):
        await send(conn, str(number), data={"n": number})
    await route_all(conn)
    for expected in (2, 4, 6):
        assert await runs(conn) == expected
        await time_passes(conn, 3601)
        await route_all(conn)
    assert [each["n"] for each in await inputs(conn)] == list(range(6))


async def test_a_run_waits_until_one_of_its_key_has_ended(conn: Conn) -> None:
    trigger = await triggered(conn, concurrency={"key": "${{ event.key }}"})
    await send(conn, "1", "2", key="a")
    await send(conn, "3", key="b")
    await route_all(conn)
    assert await fates(conn, trigger) == ["STARTED", "WAITING", "STARTED"]
    await end_all(conn)
    await time_passes(conn, 2)
    await route_all(conn)
    assert await fates(conn, trigger) == ["STARTED"] * 3


async def end_all(conn: Conn) -> None:
    await conn.execute(
        "update runs set state = 'COMPLETED', open = 0, finished_at = clock_timestamp()"
        " where finished_at is null"
    )


async def test_a_trigger_of_a_retired_type_says_so(conn: Conn) -> None:
    trigger = await triggered(conn)
    await conn.execute("update process_types set retired_at = clock_timestamp()")
    await send(conn, "1")
    await route_all(conn)
    assert await fates(conn, trigger) == ["SKIPPED"]
    assert "retired" in await one(conn, "select reason from trigger_decisions")


WITH_TRIGGERS = """
name: declared
tasks: [{name: it, noop: true}]
triggers: [%s]
"""


async def test_a_definition_brings_its_triggers_and_takes_them_away(conn: Conn) -> None:
    await publish(conn, WITH_TRIGGERS % "{event: order.*}, {name: lost, event: parcel.lost}")
    own = await a_trigger(conn, type="declared", name="own")
    await send(conn, "1", type="parcel.lost")
    await route_all(conn)
    assert await runs(conn) == 1
    await publish(conn, WITH_TRIGGERS % "{event: invoice.*}")
    rows = await triggers_of(conn)
    assert [(row["name"], row["spec"]["event"]) for row in rows] == [
        ("default", "invoice.*"),
        ("own", "order.*"),
    ]
    assert rows[1]["id"] == own


async def test_what_was_edited_stays_until_the_definition_says_something_else(conn: Conn) -> None:
    await publish(conn, WITH_TRIGGERS % "{event: order.*}")
    [row] = await triggers_of(conn)
    await triggers.change(conn, row["id"], read_trigger({"event": "parcel.*"}))
    await publish(conn, (WITH_TRIGGERS % "{event: order.*}") + "description: other\n")
    [row] = await triggers_of(conn)
    assert (row["spec"]["event"], row["edited"]) == ("parcel.*", True)
    await publish(conn, WITH_TRIGGERS % "{event: invoice.*}")
    [row] = await triggers_of(conn)
    assert (row["spec"]["event"], row["edited"]) == ("invoice.*", False)


async def triggers_of(conn: Conn) -> list[Row]:
    return await stored.page(conn, limit=100)


async def test_a_record_is_started_unless_a_run_of_it_is_under_way(conn: Conn) -> None:
    await publish(conn, ONE)
    await records.create(conn, Catalog(), "nightly", Draft(type="one", input={}), by="ann")
    trigger = await a_trigger(conn, record="nightly")
    await send(conn, "1", "2")
    await route_all(conn)
    assert await fates(conn, trigger) == ["STARTED", "SKIPPED"]
    assert await one(conn, "select record_id from runs") == "nightly"


async def test_what_is_remembered_outlives_events_that_are_routed_late(conn: Conn) -> None:
    trigger = await triggered(conn, dedup={"key": "x", "window": "1s"})
    await send(conn, "1", "2")
    async with conn.transaction():
        assert await routing.route_batch(conn, Catalog(), 1) == 1
        await conn.execute("update trigger_memories set until = until - interval '1 hour'")
        await store.forget(conn, 1000)
        assert await one(conn, "select count(*) from trigger_memories") == 1
    await conn.execute("update trigger_memories set until = until - interval '1 day'")
    await store.forget(conn, 1000)
    assert await one(conn, "select count(*) from trigger_memories") == 0
    assert await fates(conn, trigger) == ["STARTED"]


async def test_a_run_that_goes_on_for_days_keeps_its_place(conn: Conn) -> None:
    trigger = await triggered(conn, concurrency={"rest": "drop"})
    await send(conn, "1")
    await route_all(conn)
    await conn.execute("update trigger_memories set until = until - interval '9 days'")
    await store.forget(conn, 1000)
    await send(conn, "2")
    await route_all(conn)
    assert await fates(conn, trigger) == ["STARTED", "SKIPPED"]


async def test_old_events_go_with_what_was_decided_but_not_while_they_are_needed(
    conn: Conn,
) -> None:
    started = await triggered(conn, event="order.*")
    waiting = await a_trigger(conn, name="later", event="parcel.*", debounce={"quiet": "1h"})
    await send(conn, "old", "new")
    await send(conn, "waits", type="parcel.lost")
    await route_all(conn)
    await send(conn, "unrouted")
    await conn.execute(
        "update events set received_at = received_at - interval '9 days' where event_id <> 'new'"
    )
    assert await happened.prune(conn, keep=timedelta(days=8), limit=1000) == 1
    cursor = await conn.execute("select event_id from events order by id")
    assert await cursor.fetchall() == [("new",), ("waits",), ("unrouted",)]
    assert await fates(conn, started) == ["STARTED"]
    assert await fates(conn, waiting) == ["WAITING"]
