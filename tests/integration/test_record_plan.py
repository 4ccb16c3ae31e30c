"""The plan that the record statement gets, at the moment when statistics mislead most."""

from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.sql import SQL

from scheduler.domain.process_types import parse
from scheduler.services import definitions, runs
from scheduler.services.catalog import Catalog
from scheduler.services.runs import Order
from scheduler.store import connections
from scheduler.store.runs import RUNS
from scheduler.store.tasks import TASKS, record_values

pytestmark = pytest.mark.anyio

NOOP = "name: noop\ntasks:\n  - name: a\n    noop: true\n  - name: b\n    noop: true\n"


async def plan(conn: AsyncConnection[Any], statement: SQL, values: dict[str, Any]) -> str:
    cursor = await conn.execute(SQL("explain ") + statement, values)
    return "\n".join(row[0] for row in await cursor.fetchall())


async def test_recording_finds_each_task_by_its_own_id_though_nothing_was_in_hand_when_counted(
    dsn: str,
) -> None:
    async with await connections.connect(dsn, name="test", engine=True) as conn:
        await definitions.publish(conn, parse(NOOP), by="test")
        order = Order(type="noop", input={}, by="test")
        started = await runs.start_many(conn, Catalog(), order, [{} for _ in range(500)])
        async with await AsyncConnection.connect(dsn, autocommit=True) as owner:
            await owner.execute("vacuum analyze")
        values = record_values(1, [], keep=0, best=0, queues=["default"])
        recording = await plan(conn, TASKS["record"], values)
        locking = await plan(conn, RUNS["lock"], {"ids": started})
    assert "tasks_in_hand" not in recording
    assert "tasks_to_claim" not in recording
    assert "runs_by_state" not in recording
    assert "using runs_pkey" in locking or "on runs_pkey" in locking
