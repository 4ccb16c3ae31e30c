"""Gathers what lies around a run, and asks why it waits."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain.why import Surroundings, explain
from scheduler.services import runs as run_service
from scheduler.services import station_runs
from scheduler.store import holders, limits, mirrors, placements, queues, remote, run_screens
from scheduler.store.rows import Row
from scheduler.store.workstations import SILENCE

Conn = AsyncConnection[Any]

MOST = 1_000  # tasks that are looked at
MOST_ASKED = 20  # queues that nobody serves


async def why(conn: Conn, run: UUID) -> list[str]:
    found = await run_service.get(conn, run)
    rows = await run_screens.open_(conn, run, MOST)
    station = None if found["finished_at"] else await mirrors.station_of(conn, run)
    if station is not None:
        return [*there(rows, station), *await station_runs.told(conn, station, run)]
    return explain(found, rows, await surroundings(conn, rows))


def there(tasks: Sequence[Row], station: Row) -> list[str]:
    """What a workstation decides about is known as it was last heard."""
    heard = station["heard_at"].isoformat(timespec="seconds") if station["heard_at"] else "never"
    said = f"The workstation {station['name']} decides about this run, and was last heard {heard}."
    open = [task for task in tasks if task["state"] in ("READY", "WAITING", "IN_PROGRESS")]
    return [said, *(f"{task['name']} is {task['state']} there." for task in open)]


async def surroundings(conn: Conn, tasks: Sequence[Row]) -> Surroundings:
    """What these tasks may be kept by."""
    is_placed = any(task["placement"] is not None for task in tasks)
    living = await holders.all(conn)
    rows = await queues.all(conn)
    served = frozenset(q for row in living if row["state"] == "ACTIVE" for q in row["queues"])
    waiting = {task["queue"] for task in tasks if task["state"] == "READY"}
    return Surroundings(
        now=(await queues.moment(conn)).now,
        paused={row["name"]: row["note"] for row in rows if row["paused_at"]},
        served=served,
        last_served={
            queue: await remote.last_served(conn, queue)
            for queue in sorted(waiting - served)[:MOST_ASKED]
        },
        limits={row["key"]: (row["taken"], row["size"]) for row in await limits.usage(conn)},
        holders={row["id"]: row for row in living},
        ahead={row["name"]: row["ready"] for row in rows},
        stations=await placements.seen(conn, SILENCE) if is_placed else (),
    )
