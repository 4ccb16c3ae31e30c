"""What the dashboard shows. One function for each statement in sql/queries/dashboard.sql."""

from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_row, fetch_rows
from sql.statements import statements

DASHBOARD = statements("dashboard")
Conn = AsyncConnection[Any]


async def needs(conn: Conn) -> Row:
    return await fetch_row(conn, DASHBOARD["needs"]) or {}


async def living(conn: Conn, limit: int) -> list[Row]:
    return await fetch_rows(conn, DASHBOARD["living"], limit=limit)


async def ended_badly(conn: Conn, limit: int) -> list[Row]:
    return await fetch_rows(conn, DASHBOARD["ended_badly"], limit=limit)


async def results_of_types(conn: Conn, names: Sequence[str], each: int) -> dict[str, list[str]]:
    rows = await fetch_rows(conn, DASHBOARD["results_of_types"], names=list(names), each=each)
    return {row["name"]: row["states"] for row in rows}


async def results_of_records(conn: Conn, names: Sequence[str], each: int) -> dict[str, list[str]]:
    rows = await fetch_rows(conn, DASHBOARD["results_of_records"], names=list(names), each=each)
    return {row["name"]: row["states"] for row in rows}


async def attempts_of(conn: Conn, tasks: Sequence[int], limit: int) -> list[Row]:
    return await fetch_rows(conn, DASHBOARD["attempts_of"], tasks=list(tasks), limit=limit)


async def usual(conn: Conn, names: Sequence[str], each: int) -> dict[str, float]:
    rows = await fetch_rows(conn, DASHBOARD["usual"], names=list(names), each=each)
    return {row["name"]: row["seconds"] for row in rows if row["seconds"] is not None}
