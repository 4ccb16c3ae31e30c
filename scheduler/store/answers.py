"""Answers that are given again. One function for each statement in sql/queries/answers.sql."""

import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_row, fetch_value
from sql.statements import statements

ANSWERS = statements("answers")
Conn = AsyncConnection[Any]


async def patience(conn: Conn) -> None:
    await execute(conn, ANSWERS["patience"])


async def impatience(conn: Conn) -> None:
    await execute(conn, ANSWERS["impatience"])


async def reserve(conn: Conn, *, token: int, key: str, digest: bytes) -> bool:
    """False if the key was used before."""
    found = await fetch_value(conn, ANSWERS["reserve"], token=token, key=key, digest=digest)
    return found is not None


async def keep(
    conn: Conn,
    *,
    token: int,
    key: str,
    status: int,
    headers: Mapping[str, str],
    body: bytes | None,
) -> None:
    await execute(
        conn,
        ANSWERS["keep"],
        token=token,
        key=key,
        status=status,
        headers=json.dumps(dict(headers)),
        body=body,
    )


async def get(conn: Conn, *, token: int, key: str) -> Row | None:
    return await fetch_row(conn, ANSWERS["get"], token=token, key=key)


async def forget(conn: Conn, age: timedelta) -> int:
    return await execute(conn, ANSWERS["forget"], age=age)
