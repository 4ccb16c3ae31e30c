"""What people read of logs. One function for each statement in sql/queries/log_reading.sql."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.output import Chunk
from scheduler.store.rows import Row, fetch_all, fetch_rows
from sql.statements import statements

READING = statements("log_reading")
Conn = AsyncConnection[Any]


async def from_(conn: Conn, task: int, attempt: int, start: int, limit: int) -> list[Chunk]:
    values = {"task": task, "attempt": attempt, "from": start, "limit": limit}
    return await fetch_all(conn, Chunk, READING["from_"], **values)


async def before(conn: Conn, task: int, attempt: int, end: int, limit: int) -> list[Chunk]:
    return await fetch_all(
        conn, Chunk, READING["before"], task=task, attempt=attempt, to=end, limit=limit
    )


async def latest(
    conn: Conn,
    run: UUID,
    since: datetime,
    before: datetime | None,
    *,
    tasks: int,
    each: int,
    limit: int,
) -> list[Row]:
    return await fetch_rows(
        conn,
        READING["latest"],
        run=run,
        since=since,
        before=before,
        tasks=tasks,
        each=each,
        limit=limit,
    )


async def parts(conn: Conn, keys: Sequence[tuple[int, int, int]], since: datetime) -> list[Chunk]:
    return await fetch_all(
        conn,
        Chunk,
        READING["parts"],
        tasks=[task for task, _, _ in keys],
        attempts=[attempt for _, attempt, _ in keys],
        starts=[start for _, _, start in keys],
        since=since,
    )
