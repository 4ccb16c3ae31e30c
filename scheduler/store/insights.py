"""What counts of hours say. One function for each statement in sql/queries/insights.sql."""

from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_rows, fetch_value
from sql.statements import statements

INSIGHTS = statements("insights")
Conn = AsyncConnection[Any]


async def through(conn: Conn) -> datetime | None:
    found: datetime | None = await fetch_value(conn, INSIGHTS["through"])
    return found


async def types(conn: Conn, *, since: datetime, middle: datetime, limit: int) -> list[Row]:
    return await fetch_rows(conn, INSIGHTS["types"], since=since, middle=middle, limit=limit)


async def attempts(conn: Conn, *, since: datetime, limit: int) -> list[Row]:
    return await fetch_rows(conn, INSIGHTS["attempts"], since=since, limit=limit)


async def course(conn: Conn, *, since: datetime, until: datetime, step: timedelta) -> list[Row]:
    return await fetch_rows(conn, INSIGHTS["course"], since=since, until=until, step=step)
