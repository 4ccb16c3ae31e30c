"""Looking for what somebody typed. One function for each statement in sql/queries/search.sql."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, fetch_planned, fetch_row, fetch_rows
from sql.statements import statements

SEARCH = statements("search")
Conn = AsyncConnection[Any]


async def by_key(conn: Conn, key: str) -> Row | None:
    return await fetch_row(conn, SEARCH["by_key"], key=key)


async def runs(conn: Conn, ids: Sequence[UUID]) -> list[Row]:
    return await fetch_rows(conn, SEARCH["runs"], ids=list(ids))


async def types(conn: Conn, text: str, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, SEARCH["types"], text=text, limit=limit)


async def records(conn: Conn, text: str, *, limit: int, most: int) -> list[Row]:
    return await fetch_rows(conn, SEARCH["records"], text=text, limit=limit, most=most)


async def schedules(conn: Conn, text: str, *, limit: int, most: int) -> list[Row]:
    return await fetch_rows(conn, SEARCH["schedules"], text=text, limit=limit, most=most)


async def events(conn: Conn, text: str, *, limit: int, most: int) -> list[Row]:
    return await fetch_rows(conn, SEARCH["events"], text=text, limit=limit, most=most)


async def labelled(conn: Conn, labels: Mapping[str, str], *, limit: int) -> list[Row]:
    """Planned for this label: one that many runs have is found on the way back from the newest."""
    given = Jsonb(dict(labels))
    return await fetch_planned(conn, SEARCH["labelled"], labels=given, limit=limit)
