"""Who changed what. One function for each statement in sql/queries/audit.sql."""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_column, fetch_planned, fetch_row
from sql.statements import statements

AUDIT = statements("audit")
Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks, by which token, from where, for what."""

    actor: str
    token: int | None  # None for somebody who is signed in
    source: str
    operation: str


async def act_as(conn: Conn, actor: Actor) -> None:
    await execute(conn, AUDIT["act_as"], actor=json.dumps(asdict(actor)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which changes somebody wants to see; None stands for all."""

    actor: str | None = None
    entity: str | None = None
    entity_id: str | None = None
    action: str | None = None
    operation: str | None = None
    source: str | None = None
    since: datetime | None = None
    until: datetime | None = None


async def page(
    conn: Conn,
    *,
    limit: int,
    after: int | None = None,
    actor: str | None = None,
    entity: str | None = None,
    entity_id: str | None = None,
) -> list[Row]:
    return await filtered(
        conn, Filter(actor=actor, entity=entity, entity_id=entity_id), limit=limit, after=after
    )


async def filtered(
    conn: Conn, filter: Filter, *, limit: int, after: int | None = None
) -> list[Row]:
    """Planned for the filters that are given, so that each finds its index."""
    return await fetch_planned(conn, AUDIT["page"], **asdict(filter), limit=limit, after=after)


async def look(
    conn: Conn, filter: Filter, *, limit: int, fields: int, length: int, after: int | None = None
) -> list[Row]:
    return await fetch_planned(
        conn,
        AUDIT["look"],
        **asdict(filter),
        limit=limit,
        after=after,
        fields=fields,
        length=length,
    )


async def get(conn: Conn, id: int) -> Row | None:
    return await fetch_row(conn, AUDIT["get"], id=id)


async def entities(conn: Conn) -> list[str]:
    return await fetch_column(conn, AUDIT["entities"])
