"""Workstations that servers call. One function for each statement in calling.sql."""

from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_rows, fetch_value
from sql.statements import statements

CALLING = statements("calling")
Conn = AsyncConnection[Any]


async def called(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, CALLING["called"])


async def take(conn: Conn, workstation: int) -> bool:
    return bool(await fetch_value(conn, CALLING["take"], workstation=workstation))


async def give_back(conn: Conn, workstation: int) -> None:
    await fetch_value(conn, CALLING["give_back"], workstation=workstation)


async def tell(conn: Conn, workstation: int, why: str | None) -> None:
    await execute(conn, CALLING["tell"], workstation=workstation, why=why)
