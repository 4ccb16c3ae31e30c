"""What stands around every page of the dashboard. One function for each statement in
sql/queries/frame.sql."""

from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_row
from sql.statements import statements

FRAME = statements("frame")
Conn = AsyncConnection[Any]


async def needs(conn: Conn) -> Row:
    return await fetch_row(conn, FRAME["needs"]) or {}
