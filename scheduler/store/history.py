"""A run's history, in the order of its numbers. `boards.write` writes it."""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_rows
from sql.statements import statements

HISTORY = statements("history")


async def of_run(
    conn: AsyncConnection[Any], run: UUID, *, after: int = 0, limit: int = 1000
) -> list[Row]:
    return await fetch_rows(conn, HISTORY["of_run"], run=run, after=after, limit=limit)
