"""What statistics and selections read: so much of each part, however much there is."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.domain import windows
from scheduler.domain.ids import new_id
from scheduler.domain.windows import Window
from scheduler.store import connections
from sql.statements import statements
from tests.support.builders import Conn, chain, engine, publish

pytestmark = pytest.mark.anyio

COUNT = 40_000

FILL = """
insert into runs (id, type, type_version, state, priority, input, labels, total, open,
                  triggered_by, created_at, started_at, finished_at)
select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '70008000'
        || lpad(to_hex(number), 12, '0'))::uuid,
       'type-' || number %% 10, 1, 'COMPLETED', 4, '{}', '{}', 1, 0, 'test', at, at, at
  from generate_series(1, %(count)s) as number,
       lateral (select clock_timestamp() - number * interval '200 ms' as at) as moment;
"""
LETTERS = """
insert into dead_letters (run_id, task_id, round, type, task, error, fingerprint, input, state)
select r.id, number, 1, 'type-' || number %% 100, 'only', 'no', 'print-' || number %% 100, '{}',
       case when number %% 2 = 0 then 'OPEN' else 'DISCARDED' end::dead_letter_state
  from (select id from runs limit 1) as r, generate_series(1, %(count)s) as number;
"""


@pytest.fixture(scope="module")
async def seeded(databases: Any, anyio_backend: str) -> AsyncIterator[str]:
    with databases.cloned() as dsn:
        async with await engine(dsn) as conn:
            await publish(conn, *(chain(f"type-{n}", "") for n in range(10)))
        async with await AsyncConnection.connect(dsn, autocommit=True) as owner:
            await owner.execute(FILL, {"count": COUNT})
            await owner.execute(LETTERS, {"count": COUNT})
            await owner.execute("vacuum analyze")
        yield dsn


@pytest.fixture
async def conn(seeded: str) -> AsyncIterator[Conn]:
    async with await connections.connect(seeded, name="test") as conn:
        yield conn


async def blocks(conn: Conn, table: str, name: str, **values: Any) -> int:
    """How many pages the statement looks at; what it writes is undone."""
    text = statements(table)[name].as_string(None)
    async with conn.transaction(force_rollback=True):
        cursor = await conn.execute(
            f"explain (analyze, buffers, format json) {text}".encode(), values, prepare=False
        )
        row = await cursor.fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    return int(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"])


def bounds(window: Window) -> dict[str, Any]:
    parts = windows.parts(window, datetime.now(UTC))
    return {"lows": [part.low for part in parts], "highs": [part.high for part in parts]}


async def test_what_became_of_runs_is_read_of_a_few_of_each_part(conn: Conn) -> None:
    given = bounds(Window.HOUR)
    weights = [1.0] * len(given["lows"])
    few = await blocks(conn, "statistics", "ends", **given, weights=weights, each=5)
    waits = await blocks(conn, "statistics", "waits", **given, each=5)
    assert few < 600
    assert waits < 1500


async def test_counts_end_where_they_are_told_to(conn: Conn) -> None:
    assert await blocks(conn, "statistics", "counts", **bounds(Window.WEEK), most=100) < 1500
    assert await blocks(conn, "statistics", "living", most=100) < 100
    since = datetime.now(UTC) - timedelta(days=1)
    assert await blocks(conn, "statistics", "letters", since=since, most=100) < 200


async def test_a_selection_reads_what_it_selects(conn: Conn) -> None:
    filters = {"type": "type-2", "task": None, "fingerprint": None}
    times = {"made_from": None, "made_to": None}
    given = {"id": new_id(), "filters": Jsonb({}), "by": "test", "life": "1 day", "most": 50}
    all_of_a_type = await blocks(
        conn, "dead_letter_selections", "create", **filters, **times, **given
    )
    assert all_of_a_type < 1500


@pytest.mark.parametrize(
    "filter", [{}, {"type": "type-2"}, {"fingerprint": "print-2"}, {"type": "none"}]
)
async def test_a_page_of_open_letters_reads_few_of_many(conn: Conn, filter: dict[str, str]) -> None:
    given: dict[str, Any] = dict.fromkeys(
        ("run", "type", "task", "fingerprint", "made_from", "made_to", "after")
    )
    read = await blocks(conn, "dead_letters", "page", **{**given, **filter}, state="OPEN", limit=51)
    assert read < 300
