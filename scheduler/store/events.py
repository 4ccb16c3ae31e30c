"""What happened elsewhere. One function for each statement in sql/queries/events.sql."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.domain.events import NewEvent
from scheduler.store.rows import Row, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

EVENTS = statements("events")
Conn = AsyncConnection[Any]


async def add(conn: Conn, new: Sequence[NewEvent], *, by: Sequence[str]) -> list[Row]:
    return await fetch_rows(
        conn,
        EVENTS["add"],
        sources=[e.source for e in new],
        event_ids=[e.id for e in new],
        types=[e.type for e in new],
        keys=[e.key for e in new],
        data=[Jsonb(e.data) for e in new],
        attributes=[Jsonb(e.attributes) for e in new],
        times=[e.occurred_at for e in new],
        by=list(by),
    )


async def prune(conn: Conn, *, keep: timedelta, limit: int) -> int:
    found: int = await fetch_value(conn, EVENTS["prune"], keep=keep, limit=limit)
    return found


async def get(conn: Conn, event: int) -> Row | None:
    return await fetch_row(conn, EVENTS["get"], id=event)


async def page(
    conn: Conn,
    *,
    limit: int,
    after: int | None = None,
    type: str | None = None,
    key: str | None = None,
    source: str | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn, EVENTS["page"], limit=limit, after=after, type=type, key=key, source=source
    )
