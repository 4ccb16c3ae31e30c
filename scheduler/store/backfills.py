"""Backfills. One function for each statement in sql/queries/backfills.sql."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_column, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

BACKFILLS = statements("backfills")
Conn = AsyncConnection[Any]


async def create(
    conn: Conn,
    schedule: int,
    *,
    from_at: datetime,
    until_at: datetime,
    per_minute: int,
    at_once: int,
    next_tick: datetime,
    by: str,
) -> int:
    made: int = await fetch_value(
        conn,
        BACKFILLS["create"],
        schedule=schedule,
        from_at=from_at,
        until_at=until_at,
        per_minute=per_minute,
        at_once=at_once,
        next_tick=next_tick,
        by=by,
    )
    return made


async def get(conn: Conn, schedule: int, backfill: int) -> Row | None:
    return await fetch_row(conn, BACKFILLS["get"], schedule=schedule, id=backfill)


async def page(conn: Conn, schedule: int, *, limit: int, after: int | None = None) -> list[Row]:
    return await fetch_rows(conn, BACKFILLS["page"], schedule=schedule, limit=limit, after=after)


async def cancel(conn: Conn, schedule: int, backfill: int, *, by: str) -> bool:
    """False if it has ended already."""
    found = await fetch_column(conn, BACKFILLS["cancel"], schedule=schedule, id=backfill, by=by)
    return bool(found)


async def due(conn: Conn) -> Row | None:
    return await fetch_row(conn, BACKFILLS["due"])


async def living(conn: Conn, runs: Sequence[UUID], record: str | None) -> list[UUID]:
    return await fetch_column(conn, BACKFILLS["living"], runs=list(runs), record=record)


async def move(
    conn: Conn,
    backfill: int,
    *,
    next_tick: datetime | None,
    next_at: datetime,
    living: Sequence[UUID],
    started: int,
    passed_over: int,
) -> None:
    await execute(
        conn,
        BACKFILLS["move"],
        id=backfill,
        next_tick=next_tick,
        next_at=next_at,
        living=list(living),
        started=started,
        passed_over=passed_over,
    )
