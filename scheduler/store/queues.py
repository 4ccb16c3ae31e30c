"""Queues: pauses and sizes. One function for each statement in sql/queries/queues.sql."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_column, fetch_one, fetch_rows
from sql.statements import statements

QUEUES = statements("queues")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The database's time, and the queues that have a size."""

    now: datetime
    names: list[str]
    sizes: list[int]

    @property
    def limited(self) -> dict[str, int]:
        return dict(zip(self.names, self.sizes, strict=True))


async def pause(conn: Conn, name: str, *, note: str | None, by: str) -> None:
    await execute(conn, QUEUES["pause"], name=name, note=note, by=by)


async def resume(conn: Conn, name: str, *, by: str) -> bool:
    return bool(await fetch_column(conn, QUEUES["resume"], name=name, by=by))


async def resize(conn: Conn, name: str, size: int | None, *, by: str) -> None:
    await execute(conn, QUEUES["resize"], name=name, size=size, by=by)


async def all(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, QUEUES["all"])


async def paused(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, QUEUES["paused"])


async def moment(conn: Conn) -> Moment:
    found = await fetch_one(conn, Moment, QUEUES["moment"])
    assert found is not None  # a select without a table always answers
    return found
