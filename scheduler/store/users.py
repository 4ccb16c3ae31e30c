"""People. One function for each statement in sql/queries/users.sql."""

from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

USERS = statements("users")
Conn = AsyncConnection[Any]


async def create(
    conn: Conn, *, name: str, display_name: str, email: str | None, role: str, by: str
) -> int | None:
    made: int | None = await fetch_value(
        conn,
        USERS["create"],
        name=name,
        display_name=display_name,
        email=email,
        role=role,
        by=by,
    )
    return made


async def get(conn: Conn, name: str) -> Row | None:
    return await fetch_row(conn, USERS["get"], name=name)


async def lock(conn: Conn, name: str) -> Row | None:
    return await fetch_row(conn, USERS["lock"], name=name)


async def page(
    conn: Conn,
    *,
    limit: int,
    after: str | None = None,
    only: int | None = None,
    role: str | None = None,
    disabled: bool | None = None,
    text: str | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn,
        USERS["page"],
        after=after,
        only=only,
        role=role,
        disabled=disabled,
        text=text,
        limit=limit,
    )


async def change(
    conn: Conn, user: int, *, display_name: str, email: str | None, role: str, disabled: bool
) -> int:
    return await execute(
        conn,
        USERS["change"],
        id=user,
        display_name=display_name,
        email=email,
        role=role,
        disabled=disabled,
    )


async def delete(conn: Conn, user: int) -> int:
    return await execute(conn, USERS["delete"], id=user)


async def password(conn: Conn, name: str) -> Row | None:
    return await fetch_row(conn, USERS["password"], name=name)


async def set_password(conn: Conn, user: int, hash: str) -> None:
    await execute(conn, USERS["set_password"], id=user, hash=hash)


async def note_password(conn: Conn, user: int) -> None:
    await execute(conn, USERS["note_password"], id=user)


async def note_login(conn: Conn, user: int) -> None:
    await execute(conn, USERS["note_login"], id=user)


async def link(conn: Conn, user: int, *, digest: bytes, expires_at: datetime, by: str) -> None:
    await execute(conn, USERS["link"], id=user, digest=digest, expires_at=expires_at, by=by)


async def linked(conn: Conn, digest: bytes) -> Row | None:
    return await fetch_row(conn, USERS["linked"], digest=digest)


async def spend_link(conn: Conn, user: int, digest: bytes) -> bool:
    return await execute(conn, USERS["spend_link"], id=user, digest=digest) == 1


async def drop_links(conn: Conn, user: int) -> None:
    await execute(conn, USERS["drop_links"], id=user)
