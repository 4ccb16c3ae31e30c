"""What stands around every page of the dashboard. One function for each statement in
sql/queries/frame.sql."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

FRAME = statements("frame")
Conn = AsyncConnection[Any]


async def needs(conn: Conn) -> Row:
    return await fetch_row(conn, FRAME["needs"]) or {}


async def hours(conn: Conn, lows: Sequence[UUID], highs: Sequence[UUID], *, most: int) -> list[Row]:
    return await fetch_rows(conn, FRAME["hours"], lows=list(lows), highs=list(highs), most=most)


async def coming(conn: Conn, limit: int) -> list[Row]:
    return await fetch_rows(conn, FRAME["coming"], limit=limit)


async def missed(conn: Conn) -> int:
    found: int = await fetch_value(conn, FRAME["missed"])
    return found
