"""Bearer tokens, by their digest. One function for each statement in sql/queries/tokens.sql."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_row, fetch_rows, fetch_value
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
    scopes: Sequence[str] | None = None,
    by: str | None = None,
) -> int:
    token: int = await fetch_value(
        conn,
        TOKENS["create"],
        name=name,
        prefix=prefix,
        digest=digest,
        role=role,
        expires_at=expires_at,
        scopes=None if scopes is None else list(scopes),
        by=by,
    )
    return token


async def find(conn: Conn, digests: Sequence[bytes]) -> list[Row]:
    return await fetch_rows(conn, TOKENS["find"], digests=list(digests))


async def has_admin(conn: Conn) -> bool:
    return bool(await fetch_value(conn, TOKENS["has_admin"]))


async def used(conn: Conn, ids: Sequence[int]) -> None:
    await execute(conn, TOKENS["used"], ids=list(ids))


async def get(conn: Conn, token: int) -> Row | None:
    return await fetch_row(conn, TOKENS["get"], id=token)


async def all(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, TOKENS["all"])


async def revoke(conn: Conn, token: int) -> bool:
    return await execute(conn, TOKENS["revoke"], id=token) == 1


async def has_other_admin(conn: Conn, token: int) -> bool:
    return bool(await fetch_value(conn, TOKENS["has_other_admin"], id=token))
