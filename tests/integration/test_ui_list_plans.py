"""What lists of schedules, events and alerts read, whatever they are filtered by: few of many."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg import AsyncConnection

from scheduler.services.event_lists import WINDOW
from scheduler.store import connections
from scheduler.store.event_lists import LISTS as EVENTS
from scheduler.store.notifications import NOTIFICATIONS
from scheduler.store.schedule_lists import LISTS as SCHEDULES
from tests.support.builders import Conn, chain, engine, publish

pytestmark = pytest.mark.anyio

FILL = (
    "insert into schedules (name, type, spec, origin, next_tick, next_at, created_by)"
    " select 's' || n, 'type-' || n % 10, '{\"every\": \"1h\"}', 'person', t, t, 'test'"
    " from generate_series(1, 20000) n,"
    " lateral (select case when n % 10 > 0 then now() + n * interval '1 second' end as t) as at",
    "insert into ticks (schedule_id, tick, kind, state, reason, due_at)"
    " select s.id, now() - n * interval '1 hour', 'time', 'SKIPPED', 'no', now()"
    " from schedules s, generate_series(1, 5) n where s.id <= 4000",
    "insert into ticks (schedule_id, tick, kind, state, reason, due_at)"
    " select 1, now() - n * interval '2 minutes', 'time', 'MISSED', 'no', now()"
    " from generate_series(1, 20000) n on conflict do nothing",
    "alter table events disable trigger events_are_routed",
    "insert into events (source, event_id, type, key, data, received_at, received_by)"
    " select 'load', n, 'type-' || n % 20, 'key ' || n % 1000, '{\"a\": 1}',"
    " now() - (60000 - n) * interval '1 second', 'test' from generate_series(1, 60000) n",
    "insert into notification_channels (name, kind, config, created_by)"
    " values ('desk', 'email', '{}', 'test')",
    "insert into notification_rules (name, event, channels, created_by)"
    " select 'r' || n, 'failed', '{desk}', 'test' from generate_series(1, 20) n",
    "insert into notifications (rule, key, subject, data, silent)"
    " select r.id, n, 's', '{}', case when n % 50 > 0 then 'quiet' end"
    " from notification_rules r, generate_series(1, 1500) n where r.event = 'failed'",
    "insert into notification_deliveries (notification, channel, state, next_at)"
    " select n.id, c.id, case when n.id % 500 = 0 then 'FAILED' else 'DELIVERED' end, null"
    " from notifications n, notification_channels c",
    "vacuum analyze",
)


@pytest.fixture(scope="module")
async def seeded(databases: Any, anyio_backend: str) -> AsyncIterator[str]:
    with databases.cloned() as dsn:
        async with await engine(dsn) as conn:
            await publish(conn, *(chain(f"type-{n}", "") for n in range(10)))
        async with await AsyncConnection.connect(dsn, autocommit=True) as owner:
            for statement in FILL:
                await owner.execute(statement)
        yield dsn


@pytest.fixture
async def conn(seeded: str) -> AsyncIterator[Conn]:
    async with await connections.connect(seeded, name="test") as conn:
        yield conn


async def pages_read(conn: Conn, statement: Any, **values: Any) -> int:
    text = statement.as_string(None)
    cursor = await conn.execute(
        f"explain (analyze, buffers, timing off, format json) {text}".encode(), values
    )
    row = await cursor.fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"]) + int(plan["Shared Read Blocks"])


NOBODY: dict[str, Any] = {"type": None, "record": None, "paused": None}
SCHEDULE_PAGES: dict[str, tuple[dict[str, Any], int]] = {
    "the first page": ({"is_tail": False, "after_at": None, "after": None}, 700),
    "those without a time": ({"is_tail": True, "after_at": None, "after": 10_000}, 900),
    "of a type": ({"is_tail": False, "after_at": None, "after": None, "type": "type-3"}, 1600),
}


@pytest.mark.parametrize("name", SCHEDULE_PAGES)
async def test_a_page_of_schedules_reads_few_of_many(conn: Conn, name: str) -> None:
    given, most = SCHEDULE_PAGES[name]
    read = await pages_read(conn, SCHEDULES["page"], **{**NOBODY, **given}, limit=51)
    assert read < most


async def test_ticks_of_one_and_of_a_hundred_schedules_are_few_of_many(conn: Conn) -> None:
    of_one = await pages_read(
        conn, SCHEDULES["ticks"], schedule=1, after=None, states=None, limit=51
    )
    assert of_one < 200
    row = await (await conn.execute("select now() - interval '7 days', now()")).fetchone()
    assert row is not None
    of_many = await pages_read(
        conn,
        SCHEDULES["ticks_between"],
        schedules=list(range(1, 101)),
        since=row[0],
        until=row[1],
        each=200,
    )
    assert of_many < 2500


ALL: dict[str, Any] = dict.fromkeys(("type", "key", "source", "since", "until", "after", "least"))


async def test_looking_for_a_rare_event_reads_a_bounded_stretch(conn: Conn) -> None:
    cursor = await conn.execute("select pg_relation_size('events') / 8192 * %s / 60000", [WINDOW])
    [stretch] = await cursor.fetchone() or [0]
    rare = await pages_read(
        conn, EVENTS["page"], **{**ALL, "type": "absent"}, window=WINDOW, limit=51
    )
    assert rare < 1.5 * stretch + 200
    assert await pages_read(conn, EVENTS["page"], **ALL, window=51, limit=51) < 20
    row = await (await conn.execute("select now() - interval '9 hours'")).fetchone()
    assert row is not None
    assert await pages_read(conn, EVENTS["first_since"], moment=row[0]) < 200


@pytest.mark.parametrize(
    ("statement", "given", "most"),
    [
        ("page", {"rule": None, "open": False}, 150),
        ("page", {"rule": "r7", "open": False}, 400),
        ("page", {"rule": "r7", "open": True}, 400),
        ("page", {"rule": None, "open": True}, 400),
        ("deliveries", {"notification": None, "channel": None, "status": "FAILED"}, 900),
        ("deliveries", {"notification": 77, "channel": None, "status": None}, 100),
        ("deliveries", {"notification": None, "channel": "desk", "status": None}, 900),
    ],
)
async def test_a_page_of_alerts_reads_few_of_many(
    conn: Conn, statement: str, given: dict[str, Any], most: int
) -> None:
    assert await pages_read(conn, NOTIFICATIONS[statement], **given, after=None, limit=51) < most
