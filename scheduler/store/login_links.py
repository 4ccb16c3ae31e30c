"""Links that let somebody in once. One function for each statement in
sql/queries/login_links.sql."""

from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, fetch_row, fetch_value
from sql.statements import statements

LOGIN_LINKS = statements("login_links")
Conn = AsyncConnection[Any]


async def make(
    conn: Conn, *, digest: bytes, user: int | None, by: str, length: timedelta
) -> datetime:
    expires_at: datetime = await fetch_value(
        conn, LOGIN_LINKS["make"], digest=digest, user=user, by=by, length=length
    )
    return expires_at


async def spend(conn: Conn, digest: bytes) -> Row | None:
    return await fetch_row(conn, LOGIN_LINKS["spend"], digest=digest)
