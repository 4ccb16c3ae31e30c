"""Runs by a part of their id. One function for each statement in sql/queries/run_lookup.sql."""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import fetch_column
from sql.statements import statements

LOOKUP = statements("run_lookup")
Conn = AsyncConnection[Any]


async def by_prefix(conn: Conn, low: UUID, high: UUID) -> list[UUID]:
    return await fetch_column(conn, LOOKUP["by_prefix"], low=low, high=high)


async def by_suffix(conn: Conn, suffix: str) -> list[UUID]:
    return await fetch_column(conn, LOOKUP["by_suffix"], suffix=suffix, length=len(suffix))
