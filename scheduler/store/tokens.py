"""Bearer tokens, by their digest. One function for each statement in sql/queries/tokens.sql."""

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_row, fetch_value
from sql.statements import statements

TOKENS = statements("tokens")
Conn = AsyncConnection[Any]


async def create(
    conn: Conn,
    *,
    name: str,
    prefix: str,
    digest: bytes,
    role: str,
    expires_at: datetime | None = None,
) -> int:
    token: int = await fetch_value(
        conn,
        TOKENS["create"],
        name=name,
        prefix=prefix,
        digest=digest,
        role=role,
        expires_at=expires_at,
    )
    return token


async def find(conn: Conn, digest: bytes) -> Row | None:
    return await fetch_row(conn, TOKENS["find"], digest=digest)


async def has_admin(conn: Conn) -> bool:
    return bool(await fetch_value(conn, TOKENS["has_admin"]))


async def used(conn: Conn, token: int) -> None:
    await execute(conn, TOKENS["used"], id=token)
