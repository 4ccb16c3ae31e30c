"""What `doctor` asks the database. One function for each statement in sql/queries/health.sql."""

from datetime import date, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_column, fetch_rows, fetch_value
from sql.statements import statements

HEALTH = statements("health")
Conn = AsyncConnection[Any]


async def miscounted(conn: Conn, limit: int) -> list[UUID]:
    return await fetch_column(conn, HEALTH["miscounted"], limit=limit)


async def silent_holders(conn: Conn, patience: timedelta) -> list[Row]:
    return await fetch_rows(conn, HEALTH["silent_holders"], patience=patience)


async def other_versions(conn: Conn, version: str) -> list[Row]:
    return await fetch_rows(conn, HEALTH["other_versions"], version=version)


async def unkept_partitions(conn: Conn) -> date | None:
    day: date | None = await fetch_value(conn, HEALTH["unkept_partitions"])
    return day


async def clock(conn: Conn) -> float:
    return float(await fetch_value(conn, HEALTH["clock"]))
