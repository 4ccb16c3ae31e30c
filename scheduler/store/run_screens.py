"""What the screens of one run show. One function for each statement in run_screens.sql."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_planned, fetch_row, fetch_rows
from sql.statements import statements

SCREENS = statements("run_screens")
Conn = AsyncConnection[Any]


async def tasks(
    conn: Conn,
    run: UUID,
    *,
    after: int,
    limit: int,
    of: int | None = None,
    state: str | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn, SCREENS["tasks"], run=run, after=after, of=of, state=state, limit=limit
    )


async def calls(conn: Conn, run: UUID, *, of: int, after: int, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["calls"], run=run, of=of, after=after, limit=limit)


async def items(conn: Conn, run: UUID) -> list[Row]:
    return await fetch_rows(conn, SCREENS["items"], run=run)


async def open_(conn: Conn, run: UUID, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["open"], run=run, limit=limit)


async def places(conn: Conn, tasks: Sequence[int], most: int) -> dict[int, int]:
    """How many are before each."""
    rows = await fetch_rows(conn, SCREENS["places"], tasks=list(tasks), most=most)
    return {row["id"]: row["before"] for row in rows}


async def holding(conn: Conn, keys: Sequence[str], limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["holding"], keys=list(keys), limit=limit)


async def held_by(conn: Conn, run: UUID) -> Row | None:
    return await fetch_row(conn, SCREENS["held_by"], run=run)


async def drawn(
    conn: Conn, run: UUID, limit: int, of: int | None = None, *, calls: bool = False
) -> list[Row]:
    return await fetch_rows(conn, SCREENS["drawn"], run=run, of=of, calls=calls, limit=limit)


async def names(conn: Conn, run: UUID, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["names"], run=run, limit=limit)


async def undoing(conn: Conn, run: UUID, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["undoing"], run=run, limit=limit)


async def done(conn: Conn, run: UUID, names: Sequence[str], limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["done"], run=run, names=list(names), limit=limit)


async def told(conn: Conn, run: UUID, *, after: int, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["told"], run=run, after=after, limit=limit)


async def rounds(conn: Conn, run: UUID, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["rounds"], run=run, limit=limit)


async def letters(conn: Conn, run: UUID, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["letters"], run=run, limit=limit)


async def last_good(conn: Conn, run: UUID, type: str, record: str | None, most: int) -> UUID | None:
    found = await fetch_planned(
        conn, SCREENS["last_good"], run=run, type=type, record=record, most=most
    )
    return found[0]["id"] if found else None


async def neighbours(conn: Conn, run: UUID, type: str, record: str | None) -> Row:
    [found] = await fetch_planned(conn, SCREENS["neighbours"], run=run, type=type, record=record)
    return found


async def file(conn: Conn, run: UUID, file: int) -> Row | None:
    return await fetch_row(conn, SCREENS["file"], run=run, file=file)


async def of_task(conn: Conn, run: UUID, task: int, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["of_task"], run=run, task=task, limit=limit)


async def holders(conn: Conn, ids: Sequence[int]) -> dict[int, Row]:
    rows = await fetch_rows(conn, SCREENS["holders"], holders=list(ids))
    return {row["id"]: row for row in rows}
