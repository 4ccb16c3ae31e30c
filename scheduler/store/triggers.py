"""Triggers. One function for each statement in sql/queries/triggers.sql."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, execute, fetch_row, fetch_rows, fetch_value
from scheduler.store.schedules import Target
from sql.statements import statements

TRIGGERS = statements("triggers")
Conn = AsyncConnection[Any]
Document = dict[str, Any]


async def create(
    conn: Conn,
    target: Target,
    name: str,
    *,
    spec: Document,
    declared: Document | None,
    origin: str,
    patterns: Sequence[str],
    remembers: bool,
    by: str,
) -> int | None:
    """Its id; None where there is one of that name."""
    found: int | None = await fetch_value(
        conn,
        TRIGGERS["create"],
        name=name,
        type=target.type,
        record=target.record,
        spec=Jsonb(spec),
        declared=None if declared is None else Jsonb(declared),
        origin=origin,
        patterns=list(patterns),
        remembers=remembers,
        by=by,
    )
    return found


async def get(conn: Conn, trigger: int) -> Row | None:
    return await fetch_row(conn, TRIGGERS["get"], id=trigger)


async def page(
    conn: Conn,
    *,
    limit: int,
    after: int | None = None,
    type: str | None = None,
    record: str | None = None,
    paused: bool | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn, TRIGGERS["page"], limit=limit, after=after, type=type, record=record, paused=paused
    )


async def lock(conn: Conn, trigger: int) -> Row | None:
    return await fetch_row(conn, TRIGGERS["lock"], id=trigger)


async def lock_all(conn: Conn, type: str) -> list[Row]:
    return await fetch_rows(conn, TRIGGERS["lock_all"], type=type)


async def change(
    conn: Conn,
    trigger: int,
    *,
    name: str,
    spec: Document,
    declared: Document | None,
    patterns: Sequence[str],
    remembers: bool,
) -> None:
    await execute(
        conn,
        TRIGGERS["change"],
        id=trigger,
        name=name,
        spec=Jsonb(spec),
        declared=None if declared is None else Jsonb(declared),
        patterns=list(patterns),
        remembers=remembers,
    )


async def delete(conn: Conn, trigger: int) -> int:
    return await execute(conn, TRIGGERS["delete"], id=trigger)


async def pause(conn: Conn, trigger: int, *, by: str, note: str | None) -> None:
    await execute(conn, TRIGGERS["pause"], id=trigger, by=by, note=note)


async def resume(conn: Conn, trigger: int) -> int:
    return await execute(conn, TRIGGERS["resume"], id=trigger)


async def all_patterns(conn: Conn) -> dict[int, list[str]]:
    rows = await fetch_rows(conn, TRIGGERS["all_patterns"])
    return {row["id"]: row["patterns"] for row in rows}


async def lock_remembering(conn: Conn, ids: Sequence[int]) -> list[Row]:
    return await fetch_rows(conn, TRIGGERS["lock_remembering"], ids=list(ids))


async def keep(conn: Conn, ids: Sequence[int]) -> list[Row]:
    return await fetch_rows(conn, TRIGGERS["keep"], ids=list(ids))


async def lock_due(conn: Conn, limit: int) -> list[Row]:
    return await fetch_rows(conn, TRIGGERS["lock_due"], limit=limit)
