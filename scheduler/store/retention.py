"""What is kept for how long. One function for each statement in sql/queries/retention.sql."""

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_column, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

RETENTION = statements("retention")
Conn = AsyncConnection[Any]


async def rules(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, RETENTION["rules"])


async def put(
    conn: Conn,
    type: str | None,
    state: str,
    *,
    keep_for: timedelta,
    keep_last: int | None,
    by: str,
) -> Row | None:
    return await fetch_row(
        conn,
        RETENTION["put"],
        type=type,
        state=state,
        keep_for=keep_for,
        keep_last=keep_last,
        by=by,
    )


async def delete(conn: Conn, rule: int) -> bool:
    return bool(await fetch_column(conn, RETENTION["delete"], id=rule))


async def details(conn: Conn) -> Row | None:
    return await fetch_row(conn, RETENTION["details"])


async def keep_details(conn: Conn, keep_for: timedelta | None, *, by: str) -> None:
    await execute(conn, RETENTION["keep_details"], keep_for=keep_for, by=by)


async def nth(conn: Conn, type: str, state: str, last: int) -> UUID | None:
    found: UUID | None = await fetch_value(
        conn, RETENTION["nth"], type=type, state=state, last=last
    )
    return found


async def look(
    conn: Conn,
    *,
    state: str,
    type: str | None,
    others: Sequence[str],
    keep_for: timedelta,
    after: UUID,
    until: UUID,
    limit: int,
) -> list[Row]:
    return await fetch_rows(
        conn,
        RETENTION["look"],
        state=state,
        type=type,
        others=list(others),
        keep_for=keep_for,
        after=after,
        until=until,
        limit=limit,
    )


async def remove(conn: Conn, ids: Sequence[UUID]) -> int:
    return await execute(conn, RETENTION["remove"], ids=list(ids))


async def horizon(conn: Conn, keep_for: timedelta) -> date:
    found: date = await fetch_value(conn, RETENTION["horizon"], keep_for=keep_for)
    return found


async def drop_partitions(conn: Conn, before: date) -> int:
    dropped: int = await fetch_value(conn, RETENTION["drop_partitions"], before=before)
    return dropped
