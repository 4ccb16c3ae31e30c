"""Runs that a workstation decides about: what people want of them is asked of it, and done there
when it hears of it. What cannot be asked is refused with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain.errors import Conflict
from scheduler.domain.wakes import Wake
from scheduler.store import mirrors, workstations
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

STEERING = frozenset({"hold", "resume", "stop", "kill"})  # which every agent knows


@dataclass(frozen=True, slots=True)
class Wanted:
    """`needs`: what its agent has to know for it, where not every one does."""

    verb: str
    why: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)
    needs: str = ""


async def ask(conn: Conn, station: Row, run: Row, wanted: Wanted, *, by: str) -> Wake:
    require_sense(station, run, wanted)
    if wanted.verb not in STEERING:
        await require_alone(conn, station, run["id"], wanted)
    await workstations.ask(
        conn,
        station["id"],
        wanted.verb,
        attempt=str(run["id"]),
        reason=wanted.why,
        by=by,
        data={**wanted.data, "by": by},
    )
    wake = Wake()
    wake.add(runs=[run["id"]], wanted=True)
    return wake


def require_sense(station: Row, run: Row, wanted: Wanted) -> None:
    name, verb = station["name"], wanted.verb
    if station["state"] != "ACCEPTED":
        state = station["state"].lower()
        raise Conflict(
            f"the workstation {name} decides about run {run['id']}, and is {state}",
            remedy="nothing more is heard of it: start the run's type again elsewhere",
        )
    if verb in STEERING and run["finished_at"] is not None:
        raise Conflict(f"the run is already {run['state']}: it cannot be asked to {verb}")
    if wanted.needs and wanted.needs not in station["does"]:
        raise Conflict(
            f"the workstation {name} decides about run {run['id']}, and its agent cannot be asked "
            f"for this ({wanted.needs})",
            remedy="ask for it at the machine, or install a newer agent there",
        )


async def require_alone(conn: Conn, station: Row, run: UUID, wanted: Wanted) -> None:
    """What begins something is asked for once; what comes second would do it twice."""
    waiting = await mirrors.asked(conn, station["id"], str(run), wanted.verb)
    place = wanted.data.get("position", wanted.data.get("task"))
    for each in waiting:
        if each["data"].get("position", each["data"].get("task")) == place:
            raise Conflict(
                f"{each['asked_by']} has asked the workstation {station['name']} for the same, "
                "and it has not answered yet",
                remedy="wait until it has heard of it; its page says what it was asked",
            )


async def told(conn: Conn, station: Row, run: UUID) -> list[str]:
    """What it was asked for lately, in words: what it has not heard of, or has refused."""
    rows = await mirrors.asked(conn, station["id"], str(run), None)
    return [sentence(station["name"], row) for row in rows if row["applied"] is not True]


def sentence(name: str, row: Row) -> str:
    asked = f"{row['asked_by']} asked {name} to {row['verb']} it"
    if row["done_at"] is not None:
        return f"{asked}, which it refused: {row['why']}."
    return f"{asked}; it has not {'answered' if row['delivered_at'] else 'heard of it'} yet."
