"""Remote workers and their sessions. One function for each statement in sql/queries/remote.sql."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain import tasks
from scheduler.store.rows import (
    Row,
    fetch_all,
    fetch_column,
    fetch_row,
    fetch_rows,
    fetch_value,
)
from sql.statements import statements

REMOTE = statements("remote")
Conn = AsyncConnection[Any]

NAME = "remote:"  # how the names of such holders begin; no other worker has one


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """What a worker says of itself when it greets, and over which connection."""

    session: str
    token: int
    host: str
    pid: int
    version: str
    sdk: str
    queues: Sequence[str]
    slots: int
    carrier: str
    connection: UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed(tasks.Claimed):
    """With what an offer says of it."""

    position: int
    number: int
    iteration: int
    wanted: str | None
    type: str
    round: int


async def register(conn: Conn, name: str, said: Session, lease: timedelta) -> int | None:
    holder: int | None = await fetch_value(
        conn, REMOTE["register"], name=name, lease=lease, **values(said)
    )
    return holder


def values(said: Session) -> dict[str, Any]:
    return {
        "session": said.session,
        "token": said.token,
        "host": said.host,
        "pid": said.pid,
        "version": said.version,
        "sdk": said.sdk,
        "queues": list(said.queues),
        "slots": said.slots,
        "carrier": said.carrier,
        "connection": said.connection,
    }


async def find(conn: Conn, session: str) -> Row | None:
    return await fetch_row(conn, REMOTE["find"], session=session)


async def lock(conn: Conn, session: str) -> bool:
    return bool(await fetch_column(conn, REMOTE["lock"], session=session))


async def greet(conn: Conn, holder: int, said: Session, lease: timedelta) -> bool:
    """False for a holder that was declared gone."""
    found = await fetch_column(conn, REMOTE["greet"], holder=holder, lease=lease, **values(said))
    return bool(found)


async def revive(conn: Conn, holder: int, name: str, said: Session, lease: timedelta) -> bool:
    found = await fetch_column(
        conn,
        REMOTE["revive"],
        holder=holder,
        name=name,
        queues=list(said.queues),
        slots=said.slots,
        lease=lease,
    )
    return bool(found)


async def renew(
    conn: Conn, heard: Sequence[tuple[int, UUID, timedelta]], lease: timedelta
) -> dict[int, str]:
    """By holder: its connection, and how long ago it was heard. The states of those that may go
    on."""
    found = await fetch_rows(
        conn,
        REMOTE["renew"],
        holders=[holder for holder, _, _ in heard],
        connections=[connection for _, connection, _ in heard],
        ago=[ago for _, _, ago in heard],
        lease=lease,
    )
    return {row["id"]: row["state"] for row in found}


async def hands(conn: Conn, holders: Iterable[int]) -> list[Row]:
    return await fetch_rows(conn, REMOTE["hands"], holders=list(holders))


async def ready(conn: Conn, queues: Iterable[str]) -> list[str]:
    return await fetch_column(conn, REMOTE["ready"], queues=list(queues))


async def claim(
    conn: Conn, queue: str, *, holder: int, floors: Sequence[int], limit: int
) -> list[Claimed]:
    return await fetch_all(
        conn, Claimed, REMOTE["claim"], queue=queue, holder=holder, floors=floors, limit=limit
    )


async def overdue(conn: Conn, slack: timedelta, limit: int) -> list[Row]:
    return await fetch_rows(conn, REMOTE["overdue"], slack=slack, limit=limit)


async def wanted(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, REMOTE["wanted"])


async def last_served(conn: Conn, queue: str) -> datetime | None:
    at: datetime | None = await fetch_value(conn, REMOTE["last_served"], queue=queue)
    return at


async def retire(conn: Conn, holder: int) -> bool:
    return bool(await fetch_column(conn, REMOTE["retire"], holder=holder))


async def drain(conn: Conn, holder: int) -> bool:
    return bool(await fetch_column(conn, REMOTE["drain"], holder=holder))


async def of_tokens(conn: Conn, ids: Iterable[int]) -> set[int]:
    return set(await fetch_column(conn, REMOTE["of_tokens"], ids=list(ids)))
