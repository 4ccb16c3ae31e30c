"""The history of all runs as one feed. One function for each statement in sql/queries/feed.sql."""

from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_rows, fetch_value
from sql.statements import statements

FEED = statements("feed")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Behind this event of this transaction; the ids of events begin with 1."""

    xid: int
    id: int

    def __str__(self) -> str:
        return f"{self.xid}-{self.id}"


START = Place(0, 0)


async def page(conn: Conn, after: Place, limit: int) -> list[Row]:
    return await fetch_rows(conn, FEED["page"], xid=str(after.xid), id=after.id, limit=limit)


async def now(conn: Conn) -> Place:
    return Place(int(await fetch_value(conn, FEED["now"])), 0)


def place_of(row: Row) -> Place:
    return Place(int(row["xid"]), row["id"])
