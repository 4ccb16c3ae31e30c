"""Holders and their leases. One function for each statement in sql/queries/holders.sql."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_column, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

HOLDERS = statements("holders")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who holds: a name that stays, and the incarnation of the runner behind it."""

    name: str
    kind: str
    incarnation: str
    host: str
    pid: int
    version: str
    queues: Sequence[str]
    slots: int


async def retire_others(conn: Conn, name: str, incarnation: str) -> list[int]:
    return await fetch_column(conn, HOLDERS["retire_others"], name=name, incarnation=incarnation)


async def register(conn: Conn, identity: Identity, lease: timedelta) -> int:
    holder: int = await fetch_value(
        conn,
        HOLDERS["register"],
        name=identity.name,
        kind=identity.kind,
        incarnation=identity.incarnation,
        host=identity.host,
        pid=identity.pid,
        version=identity.version,
        queues=list(identity.queues),
        slots=identity.slots,
        lease=lease,
    )
    return holder


async def renew(conn: Conn, holder: int, lease: timedelta) -> str | None:
    """The holder's state, or None if it was declared gone and must stop."""
    row = await fetch_row(conn, HOLDERS["renew"], id=holder, lease=lease)
    return row["state"] if row else None


async def retire(conn: Conn, holder: int) -> bool:
    return bool(await fetch_column(conn, HOLDERS["retire"], id=holder))


async def expire(conn: Conn, lease: timedelta) -> list[Row]:
    return await fetch_rows(conn, HOLDERS["expire"], lease=lease)


async def drain(conn: Conn, name: str, state: str) -> bool:
    return bool(await fetch_column(conn, HOLDERS["drain"], name=name, state=state))


async def all(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, HOLDERS["all"])


async def forget(conn: Conn) -> int:
    return await execute(conn, HOLDERS["forget"])
