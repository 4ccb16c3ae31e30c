"""Workstations and what they have in hand. One function for each statement in workstations.sql."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from scheduler.store.output import Chunk
from scheduler.store.rows import Row, execute, fetch_column, fetch_row, fetch_rows, fetch_value
from sql.statements import statements

WORKSTATIONS = statements("workstations")
Conn = AsyncConnection[Any]
Key = tuple[int, int]  # a task and the number of an attempt

SILENCE = timedelta(seconds=50)  # after which a workstation cannot be reached


async def lock(conn: Conn, id: int) -> Row | None:
    return await fetch_row(conn, WORKSTATIONS["lock"], id=id)


async def hands(conn: Conn, workstation: int) -> list[Row]:
    """What it has in hand."""
    return await fetch_rows(
        conn, WORKSTATIONS["hands"], workstation=workstation, all=True, tasks=[], attempts=[]
    )


async def opened(
    conn: Conn, id: int, named: Collection[Key], *, all: bool
) -> tuple[Row | None, list[Row], list[Row]]:
    """Its row, locked; what it has in hand or speaks of; commands. One round trip, and what is read
    second is read under the lock."""
    keys = keys_of(sorted(named))
    async with conn.pipeline(), conn.cursor(row_factory=dict_row) as row:
        await row.execute(WORKSTATIONS["lock"], {"id": id})
        async with (
            conn.cursor(row_factory=dict_row) as hands,
            conn.cursor(row_factory=dict_row) as commands,
        ):
            await hands.execute(WORKSTATIONS["hands"], {"workstation": id, "all": all, **keys})
            await commands.execute(WORKSTATIONS["commands"], {"workstation": id})
            return await row.fetchone(), await hands.fetchall(), await commands.fetchall()


def keys_of(keys: Sequence[Key]) -> dict[str, list[int]]:
    return {"tasks": [task for task, _ in keys], "attempts": [number for _, number in keys]}


async def commands(conn: Conn, workstation: int) -> list[Row]:
    return await fetch_rows(conn, WORKSTATIONS["commands"], workstation=workstation)


async def delivered(conn: Conn, ids: Sequence[int]) -> int:
    return await execute(conn, WORKSTATIONS["delivered"], ids=list(ids))


async def greet(conn: Conn, id: int, **told: Any) -> None:
    documents = {name: Jsonb(told.pop(name)) for name in ("facts", "policy", "labels", "doubts")}
    await execute(conn, WORKSTATIONS["greet"], id=id, **documents, **told)


async def heard(
    conn: Conn,
    id: int,
    *,
    have: Sequence[int],
    safe: Sequence[int],
    doubts: dict[str, int],
    carrier: str,
    free: int | None,
    skew: float | None,
) -> None:
    await execute(
        conn,
        WORKSTATIONS["heard"],
        id=id,
        have=list(have),
        safe=list(safe),
        doubts=Jsonb(doubts),
        carrier=carrier,
        free=free,
        skew=skew,
    )


async def set_holder(conn: Conn, id: int, holder: int) -> None:
    await execute(conn, WORKSTATIONS["set_holder"], id=id, holder=holder)


async def accept(conn: Conn, workstation: int, key: Key) -> None:
    await execute(
        conn, WORKSTATIONS["accept"], workstation=workstation, task=key[0], attempt=key[1]
    )


async def began(conn: Conn, workstation: int, key: Key, *, at: datetime, pid: int) -> UUID | None:
    run: UUID | None = await fetch_value(
        conn,
        WORKSTATIONS["began"],
        workstation=workstation,
        task=key[0],
        attempt=key[1],
        at=at,
        pid=pid,
    )
    return run


async def close(conn: Conn, workstation: int, over: Sequence[tuple[Key, str | None, str]]) -> None:
    """Each with the kind of reason for which it was not taken, if it was not, and with words."""
    await execute(
        conn,
        WORKSTATIONS["close"],
        workstation=workstation,
        **keys_of([key for key, _, _ in over]),
        refusals=[refusal for _, refusal, _ in over],
        whys=[why for _, _, why in over],
    )


async def ended(conn: Conn, moments: Mapping[Key, datetime]) -> None:
    await execute(
        conn,
        WORKSTATIONS["ended"],
        tasks=[task for task, _ in moments],
        attempts=[attempt for _, attempt in moments],
        ats=list(moments.values()),
    )


async def append_output(conn: Conn, chunks: Sequence[Chunk]) -> None:
    await execute(
        conn,
        WORKSTATIONS["append_output"],
        tasks=[c.task_id for c in chunks],
        attempts=[c.attempt for c in chunks],
        starts=[c.start for c in chunks],
        streams=[c.stream for c in chunks],
        data=[c.data for c in chunks],
    )


async def logged(conn: Conn, workstation: int, ends: dict[Key, int]) -> list[UUID]:
    """How far each log is stored now; answers whose runs have news."""
    return await fetch_column(
        conn,
        WORKSTATIONS["logged"],
        workstation=workstation,
        **keys_of(list(ends)),
        logged=list(ends.values()),
    )


async def done(conn: Conn, workstation: int, id: int, *, applied: bool, why: str) -> Row | None:
    return await fetch_row(
        conn, WORKSTATIONS["done"], workstation=workstation, id=id, applied=applied, why=why
    )


async def ask_wanted(conn: Conn, workstations: Sequence[int]) -> list[int]:
    """Those of which something new is wanted."""
    return await fetch_column(conn, WORKSTATIONS["ask_wanted"], workstations=list(workstations))


async def ask(
    conn: Conn,
    workstation: int,
    verb: str,
    *,
    attempt: str | None = None,
    reason: str = "",
    grace: float | None = None,
    by: str,
    expires_in: timedelta | None = None,
    data: Mapping[str, Any] | None = None,
) -> int:
    command: int = await fetch_value(
        conn,
        WORKSTATIONS["ask"],
        data=Jsonb(dict(data or {})),
        workstation=workstation,
        verb=verb,
        attempt=attempt,
        reason=reason,
        grace=grace,
        by=by,
        expires_in=expires_in,
    )
    return command


async def claim(conn: Conn, workstation: int, queue: str, *, session: int, limit: int) -> list[Row]:
    """A transaction of its own, in one round trip: what is sent together commits together."""
    values = {"workstation": workstation, "queue": queue, "session": session, "limit": limit}
    async with conn.pipeline(), conn.cursor(row_factory=dict_row) as cursor:
        await conn.execute(WORKSTATIONS["lock"], {"id": workstation})
        await cursor.execute(WORKSTATIONS["claim"], values)
        return await cursor.fetchall()


async def sealing_key(conn: Conn, id: int) -> str | None:
    key: str | None = await fetch_value(conn, WORKSTATIONS["sealing_key"], id=id)
    return key


async def accepted(conn: Conn) -> list[Row]:
    return await fetch_rows(conn, WORKSTATIONS["accepted"])


async def ready_names(conn: Conn, workstations: Sequence[int]) -> list[int]:
    return await fetch_column(conn, WORKSTATIONS["ready_names"], workstations=list(workstations))


async def with_words(conn: Conn, workstations: Sequence[int]) -> list[int]:
    return await fetch_column(conn, WORKSTATIONS["with_words"], workstations=list(workstations))


async def overdue(conn: Conn, patience: timedelta, limit: int) -> list[int]:
    return await fetch_column(conn, WORKSTATIONS["overdue"], patience=patience, limit=limit)


async def keep_heard(conn: Conn, heard: Sequence[tuple[int, timedelta, int, float | None]]) -> int:
    """Of each: how long ago, how many slots are free there, how far its clock is off."""
    return await execute(
        conn,
        WORKSTATIONS["keep_heard"],
        ids=[id for id, _, _, _ in heard],
        agos=[ago for _, ago, _, _ in heard],
        free=[free for _, _, free, _ in heard],
        skews=[skew for _, _, _, skew in heard],
    )


async def facts(conn: Conn, ids: Sequence[int]) -> list[Row]:
    return await fetch_rows(conn, WORKSTATIONS["facts"], ids=list(ids))


async def count(conn: Conn) -> int:
    found: int = await fetch_value(conn, WORKSTATIONS["count"])
    return found


async def leave(conn: Conn, id: int, *, session: int, server: str) -> bool:
    found = await fetch_column(conn, WORKSTATIONS["leave"], id=id, session=session, server=server)
    return bool(found)


async def leave_all(conn: Conn, server: str) -> int:
    return await execute(conn, WORKSTATIONS["leave_all"], server=server)


async def see(conn: Conn, workstation: int, *, carrier: str, why: str) -> None:
    await execute(conn, WORKSTATIONS["see"], workstation=workstation, carrier=carrier, why=why)


async def unsee(conn: Conn, workstation: int, *, why: str) -> None:
    await execute(conn, WORKSTATIONS["unsee"], workstation=workstation, why=why)


async def measured(conn: Conn, workstation: int, at: datetime, metrics: Any) -> None:
    await execute(
        conn, WORKSTATIONS["measured"], workstation=workstation, at=at, metrics=Jsonb(metrics)
    )


async def measure(conn: Conn, id: int, metrics: Any) -> None:
    await execute(conn, WORKSTATIONS["measure"], id=id, metrics=Jsonb(metrics))


async def lost(
    conn: Conn, *, usual: timedelta, stopped: timedelta, settled: timedelta, limit: int
) -> list[Row]:
    return await fetch_rows(
        conn, WORKSTATIONS["lost"], usual=usual, stopped=stopped, settled=settled, limit=limit
    )


async def away(conn: Conn, runs: Sequence[UUID], silence: timedelta = SILENCE) -> list[Row]:
    return await fetch_rows(conn, WORKSTATIONS["away"], runs=list(runs), silence=silence)


async def end_sightings(conn: Conn, silence: timedelta, limit: int) -> int:
    return await execute(conn, WORKSTATIONS["end_sightings"], silence=silence, limit=limit)


async def settle(conn: Conn, after: timedelta, limit: int) -> int:
    return await execute(conn, WORKSTATIONS["settle"], after=after, limit=limit)


async def expire_commands(conn: Conn, limit: int) -> int:
    return await execute(conn, WORKSTATIONS["expire_commands"], limit=limit)


async def forget_commands(conn: Conn, keep: timedelta, limit: int) -> int:
    return await execute(conn, WORKSTATIONS["forget_commands"], keep=keep, limit=limit)


async def forget_sightings(conn: Conn, keep: timedelta, limit: int) -> int:
    return await execute(conn, WORKSTATIONS["forget_sightings"], keep=keep, limit=limit)


async def forget_hands(conn: Conn, limit: int) -> int:
    return await execute(conn, WORKSTATIONS["forget_hands"], limit=limit)


async def thin_metrics(conn: Conn, limit: int) -> int:
    return await execute(conn, WORKSTATIONS["thin_metrics"], limit=limit)
