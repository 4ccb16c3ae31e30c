"""Chores: work about processes. One function for each statement in sql/queries/chores.sql."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, execute, fetch_column, fetch_rows, fetch_value
from sql.statements import statements

CHORES = statements("chores")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """What a worker says of an attempt of its own."""

    job: int
    worker: int
    attempt: int  # how many were counted when it was fetched
    status: str
    state: str
    server: str
    counted: int = 1
    at: datetime | None = None
    started: datetime | None = None
    error: str | None = None
    trace: str | None = None


async def share(conn: Conn, lock: str) -> int | None:
    found: int | None = await fetch_value(conn, CHORES["share"], lock=lock)
    return found


async def defer(
    conn: Conn,
    chore: str,
    args: Mapping[str, Any],
    *,
    lock: str | None,
    at: datetime | None,
    priority: int,
) -> int:
    made: int = await fetch_value(
        conn,
        CHORES["defer"],
        chore=chore,
        args=Jsonb(dict(args)),
        lock=lock,
        at=at,
        priority=priority,
    )
    return made


async def finish(conn: Conn, ended: Ended) -> bool:
    """False if somebody else has it, or had it."""
    return bool(await fetch_column(conn, CHORES["finish"], **asdict(ended)))


async def beat(conn: Conn, worker: int) -> bool:
    """False if this worker was declared gone."""
    return bool(await fetch_column(conn, CHORES["beat"], worker=worker))


async def in_hand(conn: Conn, worker: int) -> set[int]:
    return set(await fetch_column(conn, CHORES["in_hand"], worker=worker))


async def stalled(conn: Conn, *, silent: timedelta, limit: int) -> list[Row]:
    return await fetch_rows(conn, CHORES["stalled"], silent=silent, limit=limit)


async def give_back(
    conn: Conn,
    job: int,
    *,
    attempt: int,
    most: int,
    counted: int,
    state: str,
    server: str,
    error: str,
) -> bool:
    found = await fetch_column(
        conn,
        CHORES["give_back"],
        job=job,
        attempt=attempt,
        most=most,
        counted=counted,
        state=state,
        server=server,
        error=error,
    )
    return bool(found)


async def merge(conn: Conn, job: int, *, server: str) -> bool:
    return bool(await fetch_column(conn, CHORES["merge"], job=job, server=server))


async def forget_workers(conn: Conn, silent: timedelta) -> int:
    return await execute(conn, CHORES["forget_workers"], silent=silent)


async def sweep(conn: Conn, limit: int) -> int:
    return await execute(conn, CHORES["sweep"], limit=limit)


async def forget_history(conn: Conn, *, life: timedelta, limit: int) -> int:
    return await execute(conn, CHORES["forget_history"], life=life, limit=limit)


async def forget_failed(conn: Conn, *, life: timedelta, limit: int, server: str) -> int:
    values = {"life": life, "limit": limit, "server": server}
    return len(await fetch_column(conn, CHORES["forget_failed"], **values))


async def plan(conn: Conn, chore: str, every: timedelta) -> None:
    await execute(conn, CHORES["plan"], chore=chore, every=every)


async def planned(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, CHORES["planned"])


async def due(conn: Conn, chores: Sequence[str]) -> list[str]:
    return await fetch_column(conn, CHORES["due"], chores=list(chores))


async def note_progress(
    conn: Conn, job: int, *, done: int, total: int | None, note: str | None
) -> None:
    await execute(conn, CHORES["note_progress"], job=job, done=done, total=total, note=note)


async def page(
    conn: Conn,
    *,
    status: str | None = None,
    chore: str | None = None,
    id: int | None = None,
    after: int | None = None,
    limit: int = 1,
) -> list[Row]:
    """The newest first."""
    return await fetch_rows(
        conn, CHORES["page"], status=status, chore=chore, id=id, after=after, limit=limit
    )


async def counts(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, CHORES["counts"])


async def history(
    conn: Conn,
    *,
    chore: str | None = None,
    job: int | None = None,
    state: str | None = None,
    after: int | None = None,
    limit: int,
) -> list[Row]:
    """The newest first."""
    return await fetch_rows(
        conn, CHORES["history"], chore=chore, job=job, state=state, after=after, limit=limit
    )


async def run_now(conn: Conn, job: int) -> bool:
    return bool(await fetch_column(conn, CHORES["run_now"], job=job))


async def retry(conn: Conn, job: int) -> bool:
    return bool(await fetch_column(conn, CHORES["retry"], job=job))


async def failed(conn: Conn, chore: str, limit: int) -> list[int]:
    return await fetch_column(conn, CHORES["failed"], chore=chore, limit=limit)


async def delete(conn: Conn, job: int, *, by: str) -> bool:
    return bool(await fetch_column(conn, CHORES["delete"], job=job, by=by))


async def wake(conn: Conn) -> None:
    await execute(conn, CHORES["wake"])
