"""What people look at of events. One function for each statement in event_lists.sql."""

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_rows, fetch_value
from sql.statements import statements

LISTS = statements("event_lists")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    type: str | None = None
    key: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def page(
    conn: Conn,
    filter: Filter,
    *,
    limit: int,
    window: int,
    after: int | None = None,
    least: int | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn,
        LISTS["page"],
        **asdict(filter),
        after=after,
        least=least,
        limit=limit,
        window=window,
    )


async def bottom(
    conn: Conn, *, window: int, after: int | None = None, least: int | None = None
) -> int | None:
    found: int | None = await fetch_value(
        conn, LISTS["bottom"], window=window, after=after, least=least
    )
    return found


async def first_since(conn: Conn, moment: datetime) -> int:
    found: int = await fetch_value(conn, LISTS["first_since"], moment=moment)
    return found


async def waiting(conn: Conn, type: str, key: str, *, event: int | None, limit: int) -> list[Row]:
    return await fetch_rows(conn, LISTS["waiting"], type=type, key=key, event=event, limit=limit)


async def decisions(conn: Conn, event: int, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, LISTS["decisions"], event=event, limit=limit)


async def of_trigger(
    conn: Conn, trigger: int, *, limit: int, after: int | None = None, fate: str | None = None
) -> list[Row]:
    return await fetch_rows(
        conn, LISTS["of_trigger"], trigger=trigger, limit=limit, after=after, fate=fate
    )


async def pending(conn: Conn, trigger: int, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, LISTS["pending"], trigger=trigger, limit=limit)


async def triggers(
    conn: Conn,
    *,
    limit: int,
    after: int | None = None,
    type: str | None = None,
    record: str | None = None,
    paused: bool | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn, LISTS["triggers"], limit=limit, after=after, type=type, record=record, paused=paused
    )
