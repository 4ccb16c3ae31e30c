"""Tasks that gave up. One function for each statement in sql/queries/dead_letters.sql that reads
or closes them; `boards.write` writes and re-drives them."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_column, fetch_planned, fetch_row, fetch_rows
from sql.statements import statements

LETTERS = statements("dead_letters")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which dead letters somebody wants to see; None stands for all."""

    state: str = "OPEN"
    run: UUID | None = None
    type: str | None = None
    task: str | None = None
    fingerprint: str | None = None
    made_from: datetime | None = None
    made_to: datetime | None = None


async def get(conn: Conn, letter: int) -> Row | None:
    return await fetch_row(conn, LETTERS["get"], id=letter)


async def chosen(conn: Conn, letters: Sequence[int]) -> list[Row]:
    return await fetch_rows(conn, LETTERS["chosen"], ids=list(letters))


async def runs(conn: Conn, letters: Sequence[int]) -> list[UUID]:
    return await fetch_column(conn, LETTERS["runs"], ids=list(letters))


async def lock(conn: Conn, letters: Sequence[int]) -> list[Row]:
    return await fetch_rows(conn, LETTERS["lock"], ids=list(letters))


async def page(conn: Conn, filter: Filter, *, limit: int, after: int | None = None) -> list[Row]:
    return await fetch_planned(conn, LETTERS["page"], **asdict(filter), limit=limit, after=after)


async def count(conn: Conn, filter: Filter, most: int) -> int:
    [row] = await fetch_planned(conn, LETTERS["count"], **asdict(filter), most=most)
    return int(row["letters"])


async def discard(conn: Conn, letters: Sequence[int], *, by: str, note: str) -> list[int]:
    """Those that were open till now."""
    return await fetch_column(conn, LETTERS["discard"], ids=list(letters), by=by, note=note)


async def groups(conn: Conn, limit: int) -> list[Row]:
    return await fetch_rows(conn, LETTERS["groups"], limit=limit)
