"""Counts of each hour. One function for each statement in sql/queries/rollups.sql."""

from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_rows, fetch_value
from sql.statements import statements

ROLLUPS = statements("rollups")
Conn = AsyncConnection[Any]


async def next_hour(conn: Conn) -> datetime | None:
    found: datetime | None = await fetch_value(conn, ROLLUPS["next_hour"])
    return found


async def count(conn: Conn, hour: datetime, *, low: UUID, high: UUID) -> int:
    return await execute(conn, ROLLUPS["count"], hour=hour, low=low, high=high)


async def next_hour_of_attempts(conn: Conn) -> datetime | None:
    found: datetime | None = await fetch_value(conn, ROLLUPS["next_hour_of_attempts"])
    return found


async def count_attempts(conn: Conn, hour: datetime) -> int:
    return await execute(conn, ROLLUPS["count_attempts"], hour=hour)


async def page(conn: Conn, *, since: datetime, type: str | None, limit: int) -> list[Row]:
    return await fetch_rows(conn, ROLLUPS["page"], since=since, type=type, limit=limit)
