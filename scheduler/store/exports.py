"""Files that somebody asked for. One function for each statement in sql/queries/exports.sql."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, execute, fetch_column, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

EXPORTS = statements("exports")
Conn = AsyncConnection[Any]


async def create(
    conn: Conn,
    export: UUID,
    *,
    what: str,
    format: str,
    filters: dict[str, Any],
    by: str,
    life: timedelta,
) -> None:
    await execute(
        conn,
        EXPORTS["create"],
        id=export,
        what=what,
        format=format,
        filters=Jsonb(filters),
        by=by,
        life=life,
    )


async def get(conn: Conn, export: UUID) -> Row | None:
    return await fetch_row(conn, EXPORTS["get"], id=export)


async def lock(conn: Conn, export: UUID) -> Row | None:
    """None if there is nothing more to do for it."""
    return await fetch_row(conn, EXPORTS["lock"], id=export)


async def add(conn: Conn, export: UUID, number: int, data: bytes) -> None:
    await execute(conn, EXPORTS["add"], id=export, number=number, data=data)


async def move(
    conn: Conn, export: UUID, *, cursor: str | None, rows: int, size: int, done: bool
) -> None:
    await execute(conn, EXPORTS["move"], id=export, cursor=cursor, rows=rows, size=size, done=done)


async def part(conn: Conn, export: UUID, number: int) -> bytes | None:
    found: bytes | None = await fetch_value(conn, EXPORTS["part"], id=export, number=number)
    return found


async def page(conn: Conn, *, after: UUID | None, limit: int) -> list[Row]:
    return await fetch_rows(conn, EXPORTS["page"], after=after, limit=limit)


async def delete(conn: Conn, export: UUID) -> bool:
    return bool(await fetch_column(conn, EXPORTS["delete"], id=export))


async def forget(conn: Conn) -> int:
    return await execute(conn, EXPORTS["forget"])


async def runs(
    conn: Conn,
    *,
    after: str | None,
    type: str | None,
    status: str | None,
    low: UUID | None,
    high: UUID | None,
    limit: int,
) -> list[Row]:
    return await fetch_rows(
        conn,
        EXPORTS["runs"],
        after=after,
        type=type,
        status=status,
        low=low,
        high=high,
        limit=limit,
    )


async def history(
    conn: Conn, *, after: str | None, since: datetime, until: datetime, limit: int
) -> list[Row]:
    return await fetch_rows(
        conn, EXPORTS["history"], after=after, since=since, until=until, limit=limit
    )
