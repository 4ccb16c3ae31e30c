"""Where tasks are carried out. One function for each statement in sql/queries/placements.sql."""

from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import fetch_column
from sql.statements import statements

PLACEMENTS = statements("placements")
Conn = AsyncConnection[Any]


async def ready_queues(conn: Conn) -> list[str]:
    return await fetch_column(conn, PLACEMENTS["ready_queues"])
