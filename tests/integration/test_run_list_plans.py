"""What a page of runs reads, whatever it is filtered by: little, among very many."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from scheduler.domain.states import RunState
from scheduler.services import run_lists
from scheduler.store import connections
from scheduler.store.runs import RUNS, Filter
from tests.support.builders import Conn, chain, engine, publish

pytestmark = pytest.mark.anyio

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
COUNT = 60_000  # one each minute
DAY = timedelta(days=1)

FILL = """
insert into runs (id, type, type_version, record_id, state, priority, input, error, labels, total,
                  open, triggered_by, created_at, started_at, finished_at)
select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '70008000'
        || lpad(to_hex(number), 12, '0'))::uuid,
       'type-' || number %% 10, 1, case when number %% 10 = 0 then 'record-' || number %% 500 end,
       case when failed then 'FAILED' else 'COMPLETED' end::run_state, 4, '{}',
       case when failed then 'exit code ' || number end,
       jsonb_build_object('team', number %% 50, 'order', number::text),
       1, 0, 'test', at, at, at + interval '1 s'
  from generate_series(1, %(count)s) as number,
       lateral (select %(began)s::timestamptz + number * interval '1 minute' as at,
                       number %% 61 = 7 and number %% 10 <> 8 as failed) as run
"""


@pytest.fixture(scope="module")
async def seeded(databases: Any, anyio_backend: str) -> AsyncIterator[str]:
    with databases.cloned() as dsn:
        async with await engine(dsn) as conn:
            await publish(conn, *(chain(f"type-{n}", "") for n in range(10)))
        async with await AsyncConnection.connect(dsn, autocommit=True) as owner:
            await owner.execute(FILL, {"count": COUNT, "began": BEGAN})
            await owner.execute("vacuum analyze runs")
        yield dsn


@pytest.fixture
async def conn(seeded: str) -> AsyncIterator[Conn]:
    async with await connections.connect(seeded, name="test") as conn:
        yield conn


FILTERS = {
    "nothing": Filter(),
    "a type": Filter(type="type-3"),
    "a type that is not there": Filter(type="none"),
    "a record": Filter(record="record-70"),
    "a state": Filter(states=[RunState.FAILED]),
    "a state that no run is in": Filter(states=[RunState.HELD]),
    "several states": Filter(states=[RunState.FAILED, RunState.STOPPED]),
    "failures of a type": Filter(type="type-7", states=[RunState.FAILED]),
    "failures that a type does not have": Filter(type="type-8", states=[RunState.FAILED]),
    "a type and two states": Filter(type="type-8", states=[RunState.FAILED, RunState.STOPPED]),
    "a label of one": Filter(labels={"order": "77"}),
    "a label of nobody": Filter(labels={"no": "no"}),
    "a time of creation": Filter(created_from=BEGAN + DAY, created_to=BEGAN + 2 * DAY),
    "a time of the end": Filter(finished_from=BEGAN + DAY, finished_to=BEGAN + 2 * DAY),
    "an end in the future": Filter(finished_from=BEGAN + 900 * DAY),
    "an error": Filter(error="exit code"),
    "what started it": Filter(by="test"),
    "how long it took": Filter(longer=timedelta(seconds=1)),
}


@pytest.mark.parametrize("filter", FILTERS.values(), ids=FILTERS)
async def test_a_page_reads_few_of_many_runs(conn: Conn, filter: Filter) -> None:
    values = {**run_lists.by_time(filter).values(), "after": None, "limit": 51}
    text = RUNS["page"].as_string(None)
    cursor = await conn.execute(
        f"explain (analyze, buffers, format json) {text}".encode(), values, prepare=False
    )
    row = await cursor.fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 300, row[0]
