"""Attempts, as they were recorded. `boards.write` writes them."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_rows
from sql.statements import statements

ATTEMPTS = statements("attempts")
Conn = AsyncConnection[Any]


async def of_task(conn: Conn, task: int) -> list[Row]:
    return await fetch_rows(conn, ATTEMPTS["of_task"], task=task)


async def known(
    conn: Conn, holder: int, keys: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], str]:
    rows = await fetch_rows(
        conn,
        ATTEMPTS["known"],
        holder=holder,
        tasks=[task for task, _ in keys],
        numbers=[number for _, number in keys],
    )
    return {(row["task_id"], row["number"]): row["state"] for row in rows}
