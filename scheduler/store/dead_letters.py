"""Tasks that gave up. One function for each statement in sql/queries/dead_letters.sql that reads
or closes them; `boards.write` writes and re-drives them."""

from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_column, fetch_row, fetch_rows
from sql.statements import statements

LETTERS = statements("dead_letters")
Conn = AsyncConnection[Any]


async def get(conn: Conn, letter: int) -> Row | None:
    return await fetch_row(conn, LETTERS["get"], id=letter)


async def lock(conn: Conn, letter: int) -> Row | None:
    return await fetch_row(conn, LETTERS["lock"], id=letter)


async def page(
    conn: Conn,
    *,
    state: str,
    limit: int,
    after: int | None = None,
    type: str | None = None,
    fingerprint: str | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn,
        LETTERS["page"],
        state=state,
        limit=limit,
        after=after,
        type=type,
        fingerprint=fingerprint,
    )


async def discard(conn: Conn, letter: int, *, by: str, note: str) -> bool:
    return bool(await fetch_column(conn, LETTERS["discard"], id=letter, by=by, note=note))


async def groups(conn: Conn, limit: int) -> list[Row]:
    return await fetch_rows(conn, LETTERS["groups"], limit=limit)
