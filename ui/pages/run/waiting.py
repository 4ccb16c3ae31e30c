"""Why a run does not go on, with who and what stands before it."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain import places
from scheduler.domain.places import of_queue
from scheduler.domain.states import FINAL_RUNS, RunState
from scheduler.domain.why import explain
from scheduler.services import station_runs, why
from scheduler.store import mirrors, run_screens, workstation_screens
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

EXPLAINED = 12  # tasks
HOLDERS = 12
COUNTED = 1_000  # that stand before one
STATIONS = 8


@dataclass(frozen=True, slots=True)
class Waiting:
    reasons: Sequence[str]
    is_more: bool = False
    places: Sequence[str] = ()  # where its tasks stand in a row
    holders: Sequence[Row] = ()  # who has what it waits for
    held_by: str | None = None
    held_at: datetime | None = None
    approvals: bool = False
    letters: Sequence[Row] = field(default_factory=list)
    stations: Sequence[Row] = ()  # workstations that it waits for, or that have it in hand


async def look(conn: Conn, run: Row) -> Waiting:
    found = await here(conn, run)
    station = await mirrors.station_of(conn, run["id"])
    asked = [] if station is None else await station_runs.told(conn, station, run["id"])
    return replace(found, reasons=[*found.reasons, *asked]) if asked else found


async def here(conn: Conn, run: Row) -> Waiting:
    state = RunState(run["state"])
    if state in FINAL_RUNS:
        return Waiting(explain(run, [], await why.surroundings(conn, [])))
    rows = await run_screens.open_(conn, run["id"], EXPLAINED + 1)
    shown = rows[:EXPLAINED]
    before = await run_screens.places(conn, [row["id"] for row in shown], COUNTED + 1)
    keys = sorted({row["blocked_on"] for row in shown if row["reason"] == "limit"} - {None})
    is_held = state in (RunState.HELD, RunState.HOLDING)
    held = await run_screens.held_by(conn, run["id"]) if is_held else None
    return Waiting(
        reasons=explain(run, shown, await why.surroundings(conn, shown)),
        is_more=len(rows) > EXPLAINED,
        places=[place(row, before[row["id"]]) for row in shown if row["id"] in before],
        holders=await run_screens.holding(conn, keys, HOLDERS) if keys else [],
        held_by=((held or {}).get("data") or {}).get("by"),
        held_at=held["at"] if held else None,
        approvals=any(row["reason"] == "approval" for row in shown),
        stations=await stations(conn, run, shown),
    )


async def stations(conn: Conn, run: Row, tasks: Sequence[Row]) -> Sequence[Row]:
    """Whoever is asked for by name, has something in hand, or decides about all of it."""
    queues = sorted({row["queue"] for row in tasks if row["queue"].startswith(places.NAMED)})
    holders = sorted({row["holder"] for row in tasks} - {None})
    return await workstation_screens.of_queues(conn, queues, holders, run=run["id"], limit=STATIONS)


def place(row: Row, before: int) -> str:
    """Where a task stands in the row of its queue, or of those that wait for its limit."""
    number = f"more than {COUNTED}" if before > COUNTED else str(before)
    stand = "stands" if before == 1 else "stand"
    if row["state"] == "READY" and (at := of_queue(row["queue"])):
        ahead = f": {number} {stand} before it" if before else " is the next one"
        return f"{row['name']}{ahead} for {at}"
    where = f"queue {row['queue']}" if row["state"] == "READY" else f"limit {row['blocked_on']}"
    if before == 0:
        return f"{row['name']} is the next one of {where}"
    return f"{row['name']}: {number} {stand} before it in {where}"
