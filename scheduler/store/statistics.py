"""What happened lately. One function for each statement in sql/queries/statistics.sql."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain.windows import Part
from scheduler.store.rows import Row, fetch_column, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

STATISTICS = statements("statistics")
Conn = AsyncConnection[Any]


async def now(conn: Conn) -> datetime:
    found: datetime = await fetch_value(conn, STATISTICS["now"])
    return found


async def counts(conn: Conn, parts: Sequence[Part], most: int) -> list[int]:
    return await fetch_column(conn, STATISTICS["counts"], **bounds(parts), most=most)


async def ends(conn: Conn, parts: Sequence[Part], weights: Sequence[float], each: int) -> list[Row]:
    """Without a state, of all of a type; without a type either, of all."""
    return await fetch_rows(
        conn, STATISTICS["ends"], **bounds(parts), weights=list(weights), each=each
    )


async def waits(conn: Conn, parts: Sequence[Part], each: int) -> list[Row]:
    return await fetch_rows(conn, STATISTICS["waits"], **bounds(parts), each=each)


async def living(conn: Conn, most: int) -> dict[str, int]:
    rows = await fetch_rows(conn, STATISTICS["living"], most=most)
    return {row["state"]: row["runs"] for row in rows}


async def letters(conn: Conn, since: datetime, most: int) -> Row:
    return await fetch_row(conn, STATISTICS["letters"], since=since, most=most) or {}


async def oldest(conn: Conn, limit: int) -> list[Row]:
    return await fetch_rows(conn, STATISTICS["oldest"], limit=limit)


def bounds(parts: Sequence[Part]) -> dict[str, Any]:
    return {"lows": [part.low for part in parts], "highs": [part.high for part in parts]}
