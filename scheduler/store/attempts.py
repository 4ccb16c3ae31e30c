"""Attempts, as they were recorded. `boards.write` writes them."""

from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_rows, fetch_value
from sql.statements import statements

ATTEMPTS = statements("attempts")
Conn = AsyncConnection[Any]


async def of_task(conn: Conn, task: int) -> list[Row]:
    return await fetch_rows(conn, ATTEMPTS["of_task"], task=task)


async def find(conn: Conn, task: int, number: int, holder: int) -> str | None:
    state: str | None = await fetch_value(
        conn, ATTEMPTS["find"], task=task, number=number, holder=holder
    )
    return state
