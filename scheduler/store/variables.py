"""Values of the whole system. One function for each statement in sql/queries/variables.sql."""

from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, fetch_column, fetch_one, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

VARIABLES = statements("variables")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class OfRecord:
    system: dict[str, Any]
    record: dict[str, Any]


async def set(conn: Conn, name: str, value: Any, *, note: str, by: str) -> bool:
    """True if it was not there before."""
    return bool(
        await fetch_value(conn, VARIABLES["set"], name=name, value=Jsonb(value), note=note, by=by)
    )


async def get(conn: Conn, name: str) -> Row | None:
    return await fetch_row(conn, VARIABLES["get"], name=name)


async def all(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, VARIABLES["all"])


async def count(conn: Conn, name: str) -> int:
    """How many others there are."""
    return int(await fetch_value(conn, VARIABLES["count"], name=name))


async def delete(conn: Conn, name: str) -> bool:
    return bool(await fetch_column(conn, VARIABLES["delete"], name=name))


async def of_record(conn: Conn, record: str | None) -> OfRecord:
    found = await fetch_one(conn, OfRecord, VARIABLES["of_record"], record=record)
    return found or OfRecord({}, {})
