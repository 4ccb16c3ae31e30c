"""Starts that are committed together. One function for each statement in sql/queries/starts.sql."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, AsyncCursor
from psycopg.rows import dict_row

from scheduler.store.rows import Row, execute, fetch_column, fetch_rows
from sql.statements import statements

STARTS = statements("starts")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Key:
    """An idempotency key, what it was used for, and the run that is to be its own."""

    key: str
    digest: str
    run: UUID


async def versions(
    conn: Conn, wishes: Sequence[tuple[str, int | None]]
) -> dict[tuple[str, int | None], int]:
    """What is not there is left out."""
    found = await fetch_rows(
        conn,
        STARTS["versions"],
        types=[type for type, _ in wishes],
        versions=[version for _, version in wishes],
    )
    return {(row["type"], row["asked"]): row["version"] for row in found}


async def remember(conn: Conn, keys: Sequence[Key]) -> set[UUID]:
    """The runs that got their key; the keys of the others are another run's."""
    return set(
        await fetch_column(
            conn,
            STARTS["remember"],
            keys=[each.key for each in keys],
            digests=[each.digest for each in keys],
            runs=[each.run for each in keys],
        )
    )


async def remembered(conn: Conn, keys: Sequence[str]) -> dict[str, Key]:
    rows = await fetch_rows(conn, STARTS["remembered"], keys=list(keys))
    return {row["key"]: Key(row["key"], row["digest"], row["run_id"]) for row in rows}


async def patience(conn: Conn) -> None:
    await execute(conn, STARTS["patience"])


async def rows(conn: Conn, ids: Sequence[UUID]) -> AsyncCursor[Row]:
    """Asked for, but not waited for: within a pipeline they come with whatever is sent next."""
    cursor = conn.cursor(row_factory=dict_row)
    return await cursor.execute(STARTS["rows"], {"ids": list(ids)})
