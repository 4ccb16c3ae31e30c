"""Runs that somebody chose. One function for each statement in sql/queries/run_selections.sql."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, execute, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

SELECTIONS = statements("run_selections")
Conn = AsyncConnection[Any]


async def create(
    conn: Conn,
    selection: UUID,
    runs: Sequence[UUID],
    *,
    filters: Mapping[str, Any],
    is_capped: bool,
    life: timedelta,
    by: str,
) -> None:
    await execute(
        conn,
        SELECTIONS["create"],
        id=selection,
        filters=Jsonb(dict(filters)),
        runs=list(runs),
        is_capped=is_capped,
        life=life,
        by=by,
    )


async def fill(conn: Conn, selection: UUID, runs: Sequence[UUID]) -> None:
    await execute(conn, SELECTIONS["fill"], id=selection, runs=list(runs))


async def get(conn: Conn, selection: UUID) -> Row | None:
    return await fetch_row(conn, SELECTIONS["get"], id=selection)


async def begin(
    conn: Conn, selection: UUID, *, action: str, wish: Mapping[str, Any], by: str
) -> bool:
    """False if somebody has begun with it already."""
    return bool(
        await execute(
            conn, SELECTIONS["begin"], id=selection, action=action, wish=Jsonb(dict(wish)), by=by
        )
    )


async def take(conn: Conn, selection: UUID) -> UUID | None:
    run: UUID | None = await fetch_value(conn, SELECTIONS["take"], selection=selection)
    return run


async def decide(
    conn: Conn, selection: UUID, run: UUID, result: str, detail: str | None = None
) -> None:
    await execute(
        conn, SELECTIONS["decide"], selection=selection, run=run, result=result, detail=detail
    )


async def leave(conn: Conn, selection: UUID, detail: str) -> int:
    return await execute(conn, SELECTIONS["leave"], selection=selection, detail=detail)


async def finish(conn: Conn, selection: UUID) -> None:
    await execute(conn, SELECTIONS["finish"], id=selection)


async def progress(conn: Conn, selection: UUID) -> dict[str | None, int]:
    """How many there are of each result; of None, how many nobody has decided on."""
    rows = await fetch_rows(conn, SELECTIONS["progress"], selection=selection)
    return {row["result"]: row["runs"] for row in rows}


async def page(conn: Conn, selection: UUID, *, limit: int, after: UUID | None = None) -> list[Row]:
    return await fetch_rows(conn, SELECTIONS["page"], selection=selection, limit=limit, after=after)


async def troubles(conn: Conn, selection: UUID, limit: int) -> list[Row]:
    return await fetch_rows(conn, SELECTIONS["troubles"], selection=selection, limit=limit)


async def forget(conn: Conn, limit: int) -> None:
    await execute(conn, SELECTIONS["forget"], limit=limit)
