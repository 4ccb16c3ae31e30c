"""Workstations as people look at them. One function for each statement in
sql/queries/workstation_screens.sql."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.types.json import Jsonb

from scheduler.store.rows import Row, fetch_column, fetch_row, fetch_rows
from sql.statements import statements

SCREENS = statements("workstation_screens")
Conn = AsyncConnection[Any]


async def workstations(
    conn: Conn,
    *,
    limit: int,
    after: str = "",
    states: Sequence[str] | None = None,
    label: Mapping[str, str] | None = None,
    text: str | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn,
        SCREENS["workstations"],
        limit=limit,
        after=after,
        states=None if states is None else list(states),
        label=None if label is None else Jsonb(label),
        text=text,
    )


async def counts(conn: Conn) -> dict[str, int]:
    rows = await fetch_rows(conn, SCREENS["counts"])
    return {row["seen"]: row["workstations"] for row in rows}


async def needing(conn: Conn, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["needing"], limit=limit)


async def sites(conn: Conn, name: str, limit: int) -> list[str]:
    return await fetch_column(conn, SCREENS["sites"], name=name, limit=limit)


async def named(conn: Conn, names: Sequence[str]) -> list[Row]:
    return await fetch_rows(conn, SCREENS["named"], names=list(names))


async def one(conn: Conn, name: str) -> Row | None:
    return await fetch_row(conn, SCREENS["one"], name=name)


async def in_hand(conn: Conn, workstations: Sequence[int], *, each: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["in_hand"], workstations=list(workstations), each=each)


async def presence(conn: Conn, workstations: Sequence[int], *, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["presence"], workstations=list(workstations), limit=limit)


async def sightings(conn: Conn, workstation: int, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["sightings"], workstation=workstation, limit=limit)


async def commands(conn: Conn, workstation: int, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["commands"], workstation=workstation, limit=limit)


async def metrics(conn: Conn, workstation: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["metrics"], workstation=workstation)


async def recent(conn: Conn, workstation: int, *, most: int, limit: int) -> list[Row]:
    return await fetch_rows(
        conn, SCREENS["recent"], workstation=workstation, most=most, limit=limit
    )


async def work(conn: Conn, workstation: int, *, most: int, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["work"], workstation=workstation, most=most, limit=limit)


async def asked(conn: Conn, workstation: int, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["asked"], workstation=workstation, limit=limit)


async def next_up(conn: Conn, queues: Sequence[str], *, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["next_up"], queues=list(queues), limit=limit)


async def of_tasks(conn: Conn, run: UUID, positions: Sequence[int]) -> dict[int, Row]:
    rows = await fetch_rows(conn, SCREENS["of_tasks"], run=run, positions=list(positions))
    return {row["position"]: row for row in rows}


async def of_queues(
    conn: Conn,
    queues: Sequence[str],
    holders: Sequence[int],
    *,
    run: UUID,
    limit: int,
) -> list[Row]:
    return await fetch_rows(
        conn,
        SCREENS["of_queues"],
        queues=list(queues),
        holders=list(holders),
        run=run,
        limit=limit,
    )


async def of_holders(conn: Conn, holders: Sequence[int]) -> dict[int, Row]:
    rows = await fetch_rows(conn, SCREENS["of_holders"], holders=list(holders))
    return {row["holder"]: row for row in rows}


async def invitations(conn: Conn, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["invitations"], limit=limit)


async def invitation(conn: Conn, id: int) -> Row | None:
    return await fetch_row(conn, SCREENS["invitation"], id=id)


async def joined(conn: Conn, invitation: int, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["joined"], invitation=invitation, limit=limit)


async def found(conn: Conn, text: str, *, limit: int) -> list[Row]:
    return await fetch_rows(conn, SCREENS["found"], text=text, limit=limit)
