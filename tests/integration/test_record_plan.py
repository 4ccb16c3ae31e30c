"""Recording, as the database carries it out: by which index, and in which transaction."""

from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.sql import SQL

from scheduler.recorder import Result
from scheduler.store import connections
from scheduler.store.output import Chunk
from scheduler.store.runs import RUNS
from scheduler.store.tasks import TASKS, record_values
from tests.support.builders import (
    SUCCESS,
    a_holder,
    a_recorder,
    claimed,
    one,
    publish,
    start,
    start_many,
)

pytestmark = pytest.mark.anyio

NOOP = "name: noop\ntasks:\n  - name: a\n    noop: true\n  - name: b\n    noop: true\n"


async def plan(conn: AsyncConnection[Any], statement: SQL, values: dict[str, Any]) -> str:
    cursor = await conn.execute(SQL("explain ") + statement, values)
    return "\n".join(row[0] for row in await cursor.fetchall())


async def test_recording_finds_each_task_by_its_own_id_though_nothing_was_in_hand_when_counted(
    dsn: str,
) -> None:
    async with await connections.connect(dsn, name="test", engine=True) as conn:
        await publish(conn, NOOP)
        started = await start_many(conn, "noop", 500)
        async with await AsyncConnection.connect(dsn, autocommit=True) as owner:
            await owner.execute("vacuum analyze")
        values = record_values(1, [], keep=0, best=0, queues=["default"])
        recording = await plan(conn, TASKS["record"], values)
        locking = await plan(conn, RUNS["lock"], {"ids": started})
    assert "tasks_in_hand" not in recording
    assert "tasks_to_claim" not in recording
    assert "runs_by_state" not in recording
    assert "using runs_pkey" in locking or "on runs_pkey" in locking


async def test_output_attempt_history_and_counters_of_a_result_become_visible_in_one_commit(
    dsn: str,
) -> None:
    async with await connections.connect(dsn, name="test", engine=True) as conn:
        await publish(conn, NOOP)
        await start(conn, "noop")
        holder = await a_holder(conn)
        (mine,) = await claimed(conn, holder)
        chunk = Chunk(task_id=mine.id, attempt=mine.attempt, start=0, stream=1, data=b"hello")
        await a_recorder(holder)._record(conn, [Result(mine, SUCCESS, (chunk,))])
        commits = {
            await one(conn, "select xmin::text from output_chunks"),
            await one(conn, "select xmin::text from attempts"),
            await one(conn, "select xmin::text from history where kind = 'task.completed'"),
            await one(conn, "select xmin::text from tasks where id = %s", mine.id),
            await one(conn, "select xmin::text from runs"),
        }
    assert len(commits) == 1
