"""Who changed what. One function for each statement in sql/queries/audit.sql."""

import json
from dataclasses import asdict, dataclass
from typing import Any

from psycopg import AsyncConnection

from scheduler.store.rows import Row, execute, fetch_rows
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


async def page(
    conn: Conn,
    *,
    limit: int,
    after: int | None = None,
    actor: str | None = None,
    entity: str | None = None,
    entity_id: str | None = None,
) -> list[Row]:
    return await fetch_rows(
        conn,
        AUDIT["page"],
        limit=limit,
        after=after,
        actor=actor,
        entity=entity,
        entity_id=entity_id,
    )
