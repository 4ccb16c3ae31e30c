"""Search: from a few characters to runs, types, records, schedules and events.

The same as a page, and as a few lines of JSON for whoever asks for these.
"""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse
from psycopg import AsyncConnection

from scheduler.api.state import Conn
from scheduler.services import run_lists, run_lookup
from scheduler.services.access import Caller
from scheduler.store import search, workstation_screens
from scheduler.store.rows import Row
from scheduler.store.runs import Filter
from ui import access, frame, query, session
from ui.screen import Screen

router = APIRouter(route_class=Screen)

SHOWN, FEW = 20, 6  # of each kind: on the page, and in a short answer
AMONG = 5_000  # records, schedules and events that are looked through
RETIRED = "retired"
DIGITS = re.compile(r"[0-9a-f-]{6,36}", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Hit:
    kind: str
    text: str
    note: str
    href: str
    state: str | None = None


@dataclass(frozen=True, slots=True)
class Group:
    kind: str
    hits: Sequence[Hit]
    note: str = ""  # how far it was looked, where that is not all
    more: str | None = None  # where all of them are


@router.get("/find")
async def ui_find(request: Request, conn: Conn) -> Response:
    text = query.text(request, "q") or ""
    caller = session.person_of(request).caller
    if wants_json(request):
        groups = await found(conn, caller, text, FEW, with_errors=False)
        hits = [asdict(hit) for group in groups for hit in (*group.hits, *starts(caller, group))]
        return JSONResponse({"q": text, "items": hits}, headers={"Cache-Control": "no-store"})
    groups = await found(conn, caller, text, SHOWN, with_errors=True)
    only = [hit for group in groups for hit in group.hits]
    if len(only) == 1 and "all" not in request.query_params:
        return frame.see(only[0].href)
    return await frame.page(
        request, conn, "search.html", q=text, groups=groups, total=len(only), shown=SHOWN
    )


def starts(caller: Caller, group: Group) -> list[Hit]:
    """What could be started of what was found."""
    routes = {"type": "ui_start_form", "record": "ui_start_record_form"}
    if group.hits[0].kind == "workstation":
        return [
            Hit(
                "station",
                f"Station page of {hit.text}",
                "",
                f"/ui/stations/{hit.href.rpartition('/')[2]}",
            )
            for hit in group.hits
        ]
    return [
        Hit("start", f"Start {hit.text}", "", f"{hit.href}/start")
        for hit in group.hits
        if hit.kind in routes and hit.note != RETIRED and access.may(caller, routes[hit.kind])
    ]


def wants_json(request: Request) -> bool:
    return "application/json" in request.headers.get("accept", "")


async def found(
    conn: AsyncConnection[Any], caller: Caller, text: str, limit: int, *, with_errors: bool
) -> list[Group]:
    """What this caller may see, each kind at most so often; nothing for nothing."""
    if not text:
        return []
    groups = [await runs_called(conn, text, limit)]
    if access.may(caller, "ui_process"):
        groups.append(await types(conn, text, limit))
    if access.may(caller, "ui_record"):
        groups.append(await records(conn, text, limit))
    if access.may(caller, "ui_schedules"):
        groups.append(await schedules(conn, text, limit))
    if access.may(caller, "ui_workstation"):
        groups.append(await workstations(conn, text, limit))
    if (label := label_of(text)) is not None:
        groups.append(await labelled(conn, label, text, limit))
    if with_errors:
        groups.append(await failing(conn, text, limit))
    if access.may(caller, "ui_event"):
        groups.append(await events(conn, text, limit))
    return [group for group in groups if group.hits]


async def runs_called(conn: AsyncConnection[Any], text: str, limit: int) -> Group:
    """By an idempotency key, an id, or a part of one."""
    by_key = await search.by_key(conn, text)
    rows = [by_key] if by_key else []
    if DIGITS.fullmatch(text) and len(text.replace("-", "")) <= 32:
        rows += await run_lookup.by_short_id(conn, text) if has_digits(text) else []
    unique = {row["id"]: row for row in rows}
    hits = [run_hit(row) for row in unique.values()]
    if by_key:
        hits[0] = Hit("run", hits[0].text, f"idempotency key {text}", hits[0].href, hits[0].state)
    return Group("Runs by id or idempotency key", hits[:limit])


def has_digits(text: str) -> bool:
    return len(text.replace("-", "")) >= run_lookup.SHORTEST


def run_hit(row: Row) -> Hit:
    what = " ".join(filter(None, (row["type"], row["record_id"])))
    note = f"began {row['created_at']:%d %b %Y %H:%M} UTC"
    return Hit("run", f"{what} {str(row['id'])[-8:]}", note, run_page(row["id"]), row["state"])


def run_page(run: UUID) -> str:
    return f"/ui/runs/{run}"


async def types(conn: AsyncConnection[Any], text: str, limit: int) -> Group:
    rows = await search.types(conn, text, limit=limit)
    hits = [
        Hit(
            "type",
            row["name"],
            RETIRED if row["retired_at"] else "",
            f"/ui/processes/{quote(row['name'], safe='')}",
        )
        for row in rows
    ]
    return Group("Types", hits, more=frame.address("/ui/processes", q=text))


async def records(conn: AsyncConnection[Any], text: str, limit: int) -> Group:
    rows = await search.records(conn, text, limit=limit, most=AMONG)
    hits = [
        Hit(
            "record",
            row["id"],
            " ".join(filter(None, (row["type"], row["description"][:100]))),
            f"/ui/records/{quote(row['id'], safe='')}",
            row["state"],
        )
        for row in rows
    ]
    return Group("Records", hits, f"among the first {AMONG:,}".replace(",", "\u2009"))


async def schedules(conn: AsyncConnection[Any], text: str, limit: int) -> Group:
    rows = await search.schedules(conn, text, limit=limit, most=AMONG)
    hits = [
        Hit(
            "schedule",
            f"{row['type'] or row['record_id']} {row['name']}",
            "paused" if row["paused_at"] else "",
            f"/ui/schedules/{row['id']}",
        )
        for row in rows
    ]
    return Group("Schedules", hits, f"among the first {AMONG:,}".replace(",", "\u2009"))


async def workstations(conn: AsyncConnection[Any], text: str, limit: int) -> Group:
    rows = await workstation_screens.found(conn, text, limit=limit)
    hits = [
        Hit(
            "workstation",
            row["name"],
            "",
            f"/ui/workstations/{quote(row['name'], safe='')}",
            row["seen"],
        )
        for row in rows
    ]
    return Group("Workstations", hits, more=frame.address("/ui/workstations", q=text))


def label_of(text: str) -> dict[str, str] | None:
    name, colon, value = text.partition(":")
    return {name.strip(): value.strip()} if colon and name.strip() and value.strip() else None


async def labelled(
    conn: AsyncConnection[Any], label: dict[str, str], text: str, limit: int
) -> Group:
    rows = await search.labelled(conn, label, limit=limit)
    more = frame.address("/ui/runs", label=text)
    return Group("Runs with this label", [run_hit(row) for row in rows], more=more)


async def failing(conn: AsyncConnection[Any], text: str, limit: int) -> Group:
    found = await run_lists.page(conn, Filter(error=text), limit=limit)
    hits = [
        Hit("run", run_hit(row).text, row["error"][:200], run_page(row["id"]), row["state"])
        for row in found.rows
    ]
    note = f"among the newest {run_lists.SEARCHED:,} errors".replace(",", "\u2009")
    return Group("Runs with this error", hits, note, frame.address("/ui/runs", error=text))


async def events(conn: AsyncConnection[Any], text: str, limit: int) -> Group:
    rows = await search.events(conn, text, limit=limit, most=AMONG)
    hits = [
        Hit(
            "event",
            row["type"],
            " ".join(filter(None, (row["key"], f"from {row['source']}"))),
            f"/ui/events/{row['id']}",
        )
        for row in rows
    ]
    return Group("Events", hits, f"among the newest {AMONG:,}".replace(",", "\u2009"))
