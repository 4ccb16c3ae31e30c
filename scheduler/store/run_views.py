"""Lists of runs as somebody looks at them. One function for each statement in run_views.sql."""

from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_planned
from scheduler.store.runs import Filter
from sql.statements import statements

VIEWS = statements("run_views")
Conn = AsyncConnection[Any]


async def facets(conn: Conn, filter: Filter, *, most: int) -> list[Row]:
    return await fetch_planned(conn, VIEWS["facets"], **filter.values(), most=most)


async def board(conn: Conn, filter: Filter, *, most: int, each: int) -> list[Row]:
    return await fetch_planned(conn, VIEWS["board"], **filter.values(), most=most, each=each)
