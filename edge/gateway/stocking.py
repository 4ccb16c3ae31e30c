"""What each workstation is to have for when it is alone: types that are placed on it, with all that
they start, and the schedules that it fires.

A schedule is fired by one side alone: by its workstation from when it is placed there, and here
again only when the workstation has said that it has it no more.
"""

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection

from edge.gateway.handing import children
from edge.messages import Stock
from scheduler.domain import graph, places, process_types
from scheduler.domain.definitions import ChildCall, ProcessType
from scheduler.domain.errors import Refusal
from scheduler.services.station_tokens import allowed_types
from scheduler.services.ticking import key_of, plan_of, poke, target_of
from scheduler.store import stocks, variables
from scheduler.store.rows import Row

log = logging.getLogger(__name__)
Conn = AsyncConnection[Any]

LARGEST = 600 << 10  # characters of all that one workstation has; a frame has room for it
MOST_CALLERS = 1_000  # of more than these grants alone decide


async def refresh(conn: Conn, seen: str) -> tuple[str, list[int]]:
    """Work out what workstations are to have, if something has changed since `seen`.

    Answers the workstations that are to have something else now.
    """
    changed = []
    async with conn.transaction():
        mark = await stocks.watermark(conn)
        if mark == seen or not await stocks.lock(conn):
            return seen, []
        await rouse(conn, await stocks.abandon(conn))
        stations, rows = await stocks.stations(conn), await stocks.types(conn)
        schedules = await assigned(conn, stations)
        system = (await variables.of_record(conn, None)).system
        known = Known(rows)
        calling = [row for row in stations if row["peers"]]
        revoked = await stocks.revoked(conn)
        called = [row for row in stations if row["address"]]
        for station in stations:
            asked = asked_by_peers(calling, station["name"])
            content = {
                **known.content(station, schedules, asked, system),
                "callers": callers(calling, revoked, station),
                "peers": peers(called, station),
            }
            if await stocks.put(conn, station["id"], digest(content), content):
                changed.append(station["id"])
        return await stocks.watermark(conn), changed


async def assigned(conn: Conn, stations: Sequence[Row]) -> list[Row]:
    """The schedules that workstations fire now, each once."""
    ids = {station["name"]: station["id"] for station in stations}
    placed = await stocks.schedules(conn)
    ours = [
        row
        for row in placed
        if (id := ids.get(row["spec"]["workstation"])) and row["workstation"] in (None, id)
    ]
    await stocks.part(conn, [row["id"] for row in ours])
    await stocks.assign(conn, [(row["id"], ids[row["spec"]["workstation"]]) for row in ours])
    return ours


def asked_by_peers(stations: Sequence[Row], name: str) -> set[str]:
    """Types that other workstations may start there; who may start all says none by name."""
    allowed = (row["peers"] for row in stations)
    return {type for peers in allowed for each in (name, "*") for type in peers.get(each, ())}


def callers(stations: Sequence[Row], revoked: Sequence[Row], mine: Row) -> dict[str, Any] | None:
    """Who may start what there, and who is let in no more: others may show grants that count no
    more, and see to what they had started."""
    found = {
        row["name"]: {"key": row["public_key"], "types": types}
        for row in stations
        if row is not mine and (types := allowed_types(row, mine["name"]))
    }
    if len(found) > MOST_CALLERS:
        return None
    return found | {row["name"]: {"key": row["public_key"], "types": []} for row in revoked}


def peers(stations: Sequence[Row], mine: Row) -> str:
    """Another text whenever what it is told of those whom it may call is another one."""
    if not mine["peers"]:
        return ""
    known = [
        (row["name"], row["address"], row["public_key"], types)
        for row in stations
        if row is not mine and (types := allowed_types(mine, row["name"]))
    ]
    return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:32]


class Known:
    """The newest types, read once."""

    def __init__(self, rows: Sequence[Row]) -> None:
        self.rows = {row["name"]: row for row in rows}
        self.types = {row["name"]: each for row in rows if (each := readable(row)) is not None}

    def content(
        self,
        station: Row,
        schedules: Sequence[Row],
        asked: set[str],
        system: Mapping[str, Any],
    ) -> dict[str, Any]:
        mine = [row for row in schedules if row["spec"]["workstation"] == station["name"]]
        names = {row["type"] for row in mine} | set(self.placed(station)) | asked
        found: dict[str, Any] = {
            "labels": station["labels"],
            "types": [],
            "schedules": [told(row, system) for row in mine],
            "retired": [],
        }
        size = len(json.dumps(found))
        for name in self.closure(names):
            row = {key: self.rows[name][key] for key in ("name", "version", "document")}
            size += len(json.dumps(row))
            if size > LARGEST:
                log.warning("too many types for a workstation", extra={"station": station["name"]})
                break
            found["types"].append(row)
            if self.rows[name]["is_retired"]:
                found["retired"].append(name)
        return found

    def placed(self, station: Row) -> Iterator[str]:
        """Processes that tasks of any type hand over to it."""
        for definition in self.types.values():
            for task in definition.tasks:
                if isinstance(task.work, ChildCall) and task.placement is not None:
                    place = graph.known_place(task)
                    if place and places.matches(place, station["name"], station["labels"]):
                        yield task.work.type

    def closure(self, names: set[str]) -> list[str]:
        """With all that they start."""
        found: set[str] = set()
        todo = sorted(names)
        while todo:
            name = todo.pop()
            if name not in found and name in self.types:
                found.add(name)
                todo += [child for child, _ in children(self.types[name])]
        return sorted(found)


def readable(row: Row) -> ProcessType | None:
    try:
        return process_types.from_document(row["document"])
    except Refusal:
        return None


def told(row: Row, system: Mapping[str, Any]) -> dict[str, Any]:
    tick = row["next_tick"]
    return {
        "id": row["id"],
        "key": key_of(target_of(row), row["name"]),
        "type": row["type"],
        "spec": row["spec"],
        "is_paused": row["is_paused"],
        "system": dict(system),
        **({"next_tick": tick.isoformat()} if tick and row["workstation"] is None else {}),
    }


def digest(content: Mapping[str, Any]) -> str:
    """Where a schedule begins is said once, and makes no other revision."""
    plain = {
        **content,
        "schedules": [
            {name: value for name, value in each.items() if name != "next_tick"}
            for each in content["schedules"]
        ],
    }
    return hashlib.sha256(json.dumps(plain, sort_keys=True).encode()).hexdigest()[:32]


async def due(conn: Conn, workstation: int) -> Stock | None:
    """What it is to have, unless it has said that it has."""
    row = await stocks.due(conn, workstation)
    if row is None:
        return None
    content = row["content"]
    types = tuple(json.dumps(each) for each in content.get("types", ()))
    schedules = tuple(json.dumps(each) for each in content.get("schedules", ()))
    return Stock(
        row["wanted"],
        types,
        schedules,
        labels=content.get("labels") or {},
        callers=content.get("callers"),
        retired=tuple(content.get("retired") or ()),
        peers=content.get("peers") or "",
        at=row["at"],
    )


async def kept(conn: Conn, workstation: int, revision: str) -> None:
    """It has it. What it fires no more is fired here again."""
    await rouse(conn, await stocks.keep(conn, workstation, revision))


async def rouse(conn: Conn, schedules: Sequence[int]) -> None:
    if not schedules:
        return
    for row in await stocks.to_rouse(conn, schedules):
        plan = plan_of(row)
        tick = plan.after(row["now"])
        at = plan.due(tick) if tick and row["paused_at"] is None else None
        await stocks.rouse(conn, row["id"], tick, at)
    await poke(conn)
