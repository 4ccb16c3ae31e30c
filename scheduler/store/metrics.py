"""What is measured in the database. One function for each statement in sql/queries/metrics.sql."""

from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

METRICS = statements("metrics")
Conn = AsyncConnection[Any]


async def living_runs(conn: Conn) -> dict[str, int]:
    rows = await fetch_rows(conn, METRICS["living_runs"])
    return {row["state"]: row["runs"] for row in rows}


async def recent_attempts(conn: Conn) -> dict[str, int]:
    rows = await fetch_rows(conn, METRICS["recent_attempts"])
    return {row["state"]: row["attempts"] for row in rows}


async def lags(conn: Conn) -> Row:
    return await fetch_row(conn, METRICS["lags"]) or {}


async def leases(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, METRICS["leases"])


async def open_letters(conn: Conn) -> int:
    return int(await fetch_value(conn, METRICS["open_letters"]))
