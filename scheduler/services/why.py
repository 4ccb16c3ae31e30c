"""Gathers what lies around a run, and asks why it waits."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain.why import Surroundings, explain
from scheduler.services import runs as run_service
from scheduler.store import holders, limits, placements, queues, tasks
from scheduler.store.rows import Row
from scheduler.store.workstations import SILENCE

Conn = AsyncConnection[Any]


async def why(conn: Conn, run: UUID) -> list[str]:
    found = await run_service.get(conn, run)
    rows = await tasks.of_run(conn, run)
    return explain(found, rows, await surroundings(conn, rows))


async def surroundings(conn: Conn, tasks: Sequence[Row]) -> Surroundings:
    """What these tasks may be kept by."""
    is_placed = any(task["placement"] is not None for task in tasks)
    living = await holders.all(conn)
    rows = await queues.all(conn)
    return Surroundings(
        now=(await queues.moment(conn)).now,
        paused={row["name"]: row["note"] for row in rows if row["paused_at"]},
        served=frozenset(q for row in living if row["state"] == "ACTIVE" for q in row["queues"]),
        limits={row["key"]: (row["taken"], row["size"]) for row in await limits.usage(conn)},
        holders={row["id"]: row for row in living},
        ahead={row["name"]: row["ready"] for row in rows},
        stations=await placements.seen(conn, SILENCE) if is_placed else (),
    )
