"""What people look at of schedules. One function for each statement in schedule_lists.sql."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_rows
from sql.statements import statements

LISTS = statements("schedule_lists")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ended: those without a time come behind all others."""

    at: datetime | None
    id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    type: str | None = None
    record: str | None = None
    paused: bool | None = None


async def page(conn: Conn, filter: Filter, *, limit: int, after: Place | None = None) -> list[Row]:
    return await fetch_rows(
        conn,
        LISTS["page"],
        type=filter.type,
        record=filter.record,
        paused=filter.paused,
        is_tail=after is not None and after.at is None,
        after_at=after.at if after else None,
        after=after.id if after else None,
        limit=limit,
    )


async def ticks(
    conn: Conn,
    schedule: int,
    *,
    limit: int,
    after: datetime | None = None,
    states: Sequence[str] | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn,
        LISTS["ticks"],
        schedule=schedule,
        limit=limit,
        after=after,
        states=list(states) if states else None,
    )


async def ticks_between(
    conn: Conn, schedules: Sequence[int], since: datetime, until: datetime, *, each: int
) -> list[Row]:
    return await fetch_rows(
        conn,
        LISTS["ticks_between"],
        schedules=list(schedules),
        since=since,
        until=until,
        each=each,
    )
