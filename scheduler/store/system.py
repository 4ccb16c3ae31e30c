"""The system about itself. One function for each statement in sql/queries/system.sql."""

from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_row, fetch_rows
from sql.statements import statements

SYSTEM = statements("system")
Conn = AsyncConnection[Any]


async def server(conn: Conn) -> Row:
    found = await fetch_row(conn, SYSTEM["server"])
    assert found is not None  # a select without a table always answers
    return found


async def tables(conn: Conn, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, SYSTEM["tables"], limit=limit)


async def migrations(conn: Conn, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, SYSTEM["migrations"], limit=limit)


async def connections(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, SYSTEM["connections"])


async def servers(conn: Conn, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, SYSTEM["servers"], limit=limit)


async def slow(conn: Conn, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, SYSTEM["statements"], limit=limit)
