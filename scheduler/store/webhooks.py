"""Webhooks. One function for each statement in sql/queries/webhooks.sql."""

from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, execute, fetch_row, fetch_rows
from sql.statements import statements

WEBHOOKS = statements("webhooks")
Conn = AsyncConnection[Any]


async def put(conn: Conn, name: str, *, spec: dict[str, Any], by: str) -> Row:
    return await fetch_row(conn, WEBHOOKS["put"], name=name, spec=Jsonb(spec), by=by) or {}


async def get(conn: Conn, name: str) -> Row | None:
    return await fetch_row(conn, WEBHOOKS["get"], name=name)


async def lock(conn: Conn, name: str) -> Row | None:
    return await fetch_row(conn, WEBHOOKS["lock"], name=name)


async def page(conn: Conn, *, limit: int, after: str = "") -> list[Row]:
    return await fetch_rows(conn, WEBHOOKS["page"], after=after, limit=limit)


async def rotate(conn: Conn, webhook: int, *, spec: dict[str, Any], overlap: timedelta) -> None:
    await execute(conn, WEBHOOKS["rotate"], id=webhook, spec=Jsonb(spec), overlap=overlap)


async def delete(conn: Conn, name: str) -> int:
    return await execute(conn, WEBHOOKS["delete"], name=name)


async def keys(conn: Conn, name: str) -> list[Row]:
    return await fetch_rows(conn, WEBHOOKS["keys"], name=name)
