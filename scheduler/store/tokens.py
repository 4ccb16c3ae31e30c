"""Bearer tokens, by their digest. One function for each statement in sql/queries/tokens.sql."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

TOKENS = statements("tokens")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """Whose tokens somebody sees: everybody's, else those of a user and one that stands alone."""

    of_all: bool = False
    user: int | None = None
    token: int | None = None


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
    user: int | None = None,
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
        user=user,
    )
    return token


async def find(conn: Conn, digests: Sequence[bytes]) -> list[Row]:
    return await fetch_rows(conn, TOKENS["find"], digests=list(digests))


async def has_admin(conn: Conn) -> bool:
    return bool(await fetch_value(conn, TOKENS["has_admin"]))


async def used(conn: Conn, ids: Sequence[int]) -> None:
    await execute(conn, TOKENS["used"], ids=list(ids))


async def get(conn: Conn, token: int, sight: Sight) -> Row | None:
    return await fetch_row(
        conn,
        TOKENS["get"],
        id=token,
        of_all=sight.of_all,
        user=sight.user,
        token=sight.token,
    )


async def chosen(conn: Conn, ids: Sequence[int], sight: Sight) -> list[Row]:
    return await fetch_rows(
        conn,
        TOKENS["chosen"],
        ids=list(ids),
        of_all=sight.of_all,
        user=sight.user,
        token=sight.token,
    )


async def page(
    conn: Conn,
    sight: Sight,
    *,
    limit: int,
    after: int | None = None,
    name: str | None = None,
    role: str | None = None,
    state: str | None = None,
    text: str | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn,
        TOKENS["page"],
        of_all=sight.of_all,
        user=sight.user,
        token=sight.token,
        name=name,
        role=role,
        state=state,
        text=text,
        after=after,
        limit=limit,
    )


async def revoke(conn: Conn, token: int) -> bool:
    return await execute(conn, TOKENS["revoke"], id=token) == 1


async def revoke_digest(conn: Conn, digest: bytes) -> None:
    await execute(conn, TOKENS["revoke_digest"], digest=digest)


async def revoke_of_user(conn: Conn, user: int) -> int:
    return await execute(conn, TOKENS["revoke_of_user"], user=user)


async def has_other_admin(conn: Conn, *, token: int | None = None, user: int | None = None) -> bool:
    return bool(await fetch_value(conn, TOKENS["has_other_admin"], token=token, user=user))
