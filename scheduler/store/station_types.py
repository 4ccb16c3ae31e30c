"""Types that workstations keep. One function for each statement in station_types.sql."""

from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import fetch_column
from sql.statements import statements

STATION_TYPES = statements("station_types")
Conn = AsyncConnection[Any]


async def wanted(conn: Conn, workstation: str, *, limit: int) -> list[str]:
    return await fetch_column(conn, STATION_TYPES["wanted"], workstation=workstation, limit=limit)
