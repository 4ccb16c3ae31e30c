"""What the earlier systems show. One function for each statement in sql/queries/aliases.sql."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_row, fetch_rows
from sql.statements import statements

ALIASES = statements("aliases")
Conn = AsyncConnection[Any]


async def annotate(
    conn: Conn, record: str, *, input_text: str | None, schedule: str | None
) -> None:
    await execute(conn, ALIASES["annotate"], id=record, input_text=input_text, schedule=schedule)


async def records(
    conn: Conn,
    *,
    limit: int,
    id: str | None = None,
    type: str | None = None,
    states: Sequence[str] | None = None,
    after: str | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn,
        ALIASES["records"],
        id=id,
        type=type,
        states=None if states is None else list(states),
        after=after,
        limit=limit,
    )


async def tasks(
    conn: Conn, records: Sequence[str], *, bytes: int, position: int | None = None
) -> list[Row]:
    return await fetch_rows(
        conn, ALIASES["tasks"], records=list(records), bytes=bytes, position=position
    )


async def results(conn: Conn, runs: Sequence[UUID]) -> list[Row]:
    return await fetch_rows(conn, ALIASES["results"], runs=list(runs))


async def statistics(conn: Conn) -> Row:
    return await fetch_row(conn, ALIASES["statistics"]) or {}


async def load(conn: Conn) -> Row:
    return await fetch_row(conn, ALIASES["load"]) or {}
