"""Secrets, encrypted. One function for each statement in sql/queries/secrets.sql."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

SECRETS = statements("secrets")
Conn = AsyncConnection[Any]


async def create(
    conn: Conn, name: str, *, note: str | None, grants: Sequence[str] | None, by: str
) -> Row | None:
    return await fetch_row(
        conn, SECRETS["create"], name=name, note=note, grants=as_list(grants), by=by
    )


async def lock(conn: Conn, name: str) -> Row | None:
    return await fetch_row(conn, SECRETS["lock"], name=name)


async def put(
    conn: Conn,
    secret: int,
    *,
    version: int,
    key: str,
    sealed: bytes,
    fingerprint: str,
    note: str | None,
    grants: Sequence[str] | None,
    by: str,
) -> None:
    await execute(
        conn,
        SECRETS["put"],
        id=secret,
        version=version,
        key=key,
        sealed=sealed,
        fingerprint=fingerprint,
        note=note,
        grants=as_list(grants),
        by=by,
    )


async def change(
    conn: Conn, name: str, *, note: str | None, grants: Sequence[str] | None, by: str
) -> bool:
    changed = await fetch_value(
        conn, SECRETS["change"], name=name, note=note, grants=as_list(grants), by=by
    )
    return changed is not None


async def get(conn: Conn, name: str) -> Row | None:
    return await fetch_row(conn, SECRETS["get"], name=name)


async def page(
    conn: Conn, *, limit: int, after: str = "", text: str | None = None, type: str | None = None
) -> list[Row]:
    return await fetch_rows(conn, SECRETS["page"], after=after, limit=limit, text=text, type=type)


async def places(conn: Conn, name: str, *, limit: int, most: int) -> list[Row]:
    return await fetch_rows(conn, SECRETS["places"], name=name, limit=limit, most=most)


async def delete(conn: Conn, name: str) -> bool:
    return await fetch_value(conn, SECRETS["delete"], name=name) is not None


async def asked(conn: Conn, runs: Sequence[UUID], names: Sequence[str]) -> list[Row]:
    return await fetch_rows(conn, SECRETS["asked"], runs=list(runs), names=list(names))


async def used(conn: Conn, ids: Sequence[int]) -> None:
    await execute(conn, SECRETS["used"], ids=list(ids))


async def of_other_keys(conn: Conn, key: str, limit: int) -> list[Row]:
    return await fetch_rows(conn, SECRETS["of_other_keys"], key=key, limit=limit)


async def reseal(conn: Conn, key: str, ids: Sequence[int], sealed: Sequence[bytes]) -> None:
    await execute(conn, SECRETS["reseal"], key=key, ids=list(ids), sealed=list(sealed))


async def mark(conn: Conn, ids: Sequence[int], fingerprints: Sequence[str]) -> None:
    await execute(conn, SECRETS["mark"], ids=list(ids), fingerprints=list(fingerprints))


async def keys(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, SECRETS["keys"])


async def see_key(conn: Conn, key: str) -> None:
    await execute(conn, SECRETS["see_key"], key=key)


def as_list(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)
