"""Process types and versions. One function for each statement in process_types.sql."""

import json
from collections.abc import Sequence
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import (
    Row,
    execute,
    fetch_column,
    fetch_planned,
    fetch_row,
    fetch_rows,
    fetch_value,
)
from sql.statements import statements

TYPES = statements("process_types")
Conn = AsyncConnection[Any]


async def lock(conn: Conn, name: str) -> Row | None:
    """A type that nobody else can publish, retire or reinstate before we are done."""
    return await fetch_row(conn, TYPES["lock"], name=name)


async def create(conn: Conn, name: str) -> bool:
    return bool(await fetch_column(conn, TYPES["create"], name=name))


async def advance(conn: Conn, name: str, version: int) -> None:
    await execute(conn, TYPES["advance"], name=name, version=version)


async def retire(conn: Conn, name: str, *, by: str, note: str | None) -> None:
    await execute(conn, TYPES["retire"], name=name, by=by, note=note)


async def reinstate(conn: Conn, name: str) -> None:
    await execute(conn, TYPES["reinstate"], name=name)


async def publish(
    conn: Conn, name: str, version: int, *, digest: str, document: dict[str, Any], by: str
) -> None:
    await execute(
        conn,
        TYPES["publish"],
        type=name,
        version=version,
        digest=digest,
        document=Jsonb(document),
        by=by,
    )


async def add_tasks(conn: Conn, name: str, version: int, rows: Sequence[dict[str, Any]]) -> None:
    await execute(conn, TYPES["add_tasks"], type=name, version=version, tasks=json.dumps(rows))


async def digest(conn: Conn, name: str, version: int) -> str | None:
    found: str | None = await fetch_value(conn, TYPES["digest"], type=name, version=version)
    return found


async def digests(conn: Conn, names: Sequence[str]) -> dict[str, str]:
    found = await fetch_rows(conn, TYPES["digests"], names=list(names))
    return {row["name"]: row["digest"] for row in found}


async def version_with(conn: Conn, name: str, digest: str) -> int | None:
    found: int | None = await fetch_value(conn, TYPES["version_with"], type=name, digest=digest)
    return found


async def get(conn: Conn, name: str, version: int | None = None) -> Row | None:
    return await fetch_row(conn, TYPES["get"], name=name, version=version)


async def all(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, TYPES["all"])


async def page(
    conn: Conn,
    *,
    limit: int,
    after: str | None = None,
    retired: bool | None = None,
    text: str | None = None,
) -> list[Row]:
    """With `retired` only those, or only the others."""
    return await fetch_planned(
        conn, TYPES["page"], limit=limit, after=after, retired=retired, text=text
    )


async def count(
    conn: Conn, most: int, *, retired: bool | None = None, text: str | None = None
) -> int:
    [row] = await fetch_planned(conn, TYPES["count"], most=most, retired=retired, text=text)
    return int(row["types"])


async def versions(conn: Conn, name: str, *, limit: int, below: int | None = None) -> list[Row]:
    return await fetch_rows(conn, TYPES["versions"], name=name, limit=limit, below=below)
