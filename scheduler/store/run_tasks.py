"""A run's tasks by name. One function for each statement in sql/queries/run_tasks.sql."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_rows, fetch_value
from sql.statements import statements

RUN_TASKS = statements("run_tasks")
Conn = AsyncConnection[Any]

HIGHEST = 2**31 - 1


async def by_name(conn: Conn, run: UUID, name: str) -> int | None:
    task: int | None = await fetch_value(
        conn, RUN_TASKS["by_name"], run=run, name=name, position=position_of(name)
    )
    return task


def position_of(name: str) -> int | None:
    """None if there can be no such position."""
    found = int(name) if name.isdecimal() and len(name) <= 10 else HIGHEST + 1
    return found if found <= HIGHEST else None


async def names(conn: Conn, run: UUID, tasks: Sequence[int]) -> dict[int, str]:
    rows: list[Row] = await fetch_rows(conn, RUN_TASKS["names"], run=run, tasks=list(tasks))
    return {row["id"]: row["name"] for row in rows}


async def page(conn: Conn, run: UUID, *, after: int, limit: int) -> list[Row]:
    return await fetch_rows(conn, RUN_TASKS["page"], run=run, after=after, limit=limit)
