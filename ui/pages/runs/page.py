"""Runs: a table, a timeline or a board, whose every filter is in the address."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import Conn
from scheduler.domain.counts import Count
from scheduler.domain.errors import Invalid
from scheduler.domain.states import RunState
from scheduler.services import run_lists, run_views
from scheduler.services.run_views import Facets
from scheduler.store import dashboard, process_types, queues
from scheduler.store.runs import Filter
from ui import frame, lists, words
from ui.drawing import runs_axis
from ui.lists import Asked
from ui.pages.runs import saved
from ui.pages.runs.listing import CELLS, LIST, filter_of, in_seconds, reading
from ui.pages.runs.routes import router
from ui.pages.runs.usual import LATEST, late

Connection = AsyncConnection[Any]

SHOWN = 50
DRAWN = 400
TYPES = 500
VIEWS = (("table", "Table"), ("timeline", "Timeline"), ("board", "Board"))
GOING_ON = frozenset(state.value for state in RunState if not state.is_final)
SPANS = {"1h": timedelta(hours=1), "6h": timedelta(hours=6), "24h": timedelta(days=1)} | {
    "7d": timedelta(days=7), "30d": timedelta(days=30),
}  # fmt: skip
SPAN = "24h"
# What stands together on the board, the most urgent first.
COLUMNS = (
    ("Waiting", ("PENDING",)),
    ("Running", ("IN_PROGRESS",)),
    ("Held", ("HOLDING", "HELD")),
    ("Ending", ("STOPPING", "COMPENSATING")),
    ("Failed", ("FAILED",)),
    ("Stopped", ("STOPPED",)),
    ("Completed", ("COMPLETED",)),
)


@router.get("/runs")
async def ui_runs(request: Request, conn: Conn) -> Response:
    asked = LIST.read(request)
    if asked.is_untidy:
        return asked.tidied()
    view = asked.one_of("view", [name for name, _ in VIEWS]) or "table"
    try:
        if changed := in_seconds(asked):
            return frame.see(asked.href(**changed))
        filter = filter_of(asked)
    except Invalid as fault:
        return await page(request, conn, asked, view, Filter(), fault)
    if asked.format:
        return await lists.exported(asked, "runs", CELLS, reading(filter))
    return await page(request, conn, asked, view, filter, None)


async def page(
    request: Request,
    conn: Connection,
    asked: Asked,
    view: str,
    filter: Filter,
    fault: Invalid | None,
) -> Response:
    facets = await run_views.facets(conn, filter)
    return await frame.page(
        request,
        conn,
        "runs.html",
        status=200 if fault is None else 422,
        asked=asked,
        view=view,
        views=[
            (text, asked.href(view=None if name == "table" else name), name == view)
            for name, text in VIEWS
        ],
        fault=fault,
        facets=facets,
        going_on=GOING_ON,
        total=await total(conn, filter, facets),
        types=[each["name"] for each in await process_types.page(conn, limit=TYPES)],
        saved=saved.of(request),
        here=saved.here(request),
        stream="/ui/stream" if asked.is_first else None,
        **await PARTS[view](request, conn, asked, filter),
    )


async def total(conn: Connection, filter: Filter, facets: Facets) -> Count:
    """What would have to be looked at one by one is counted once, for the facets."""
    if filter.labels or run_lists.is_search(filter):
        return run_views.total(facets, filter)
    return await run_lists.count(conn, filter)


async def table(
    request: Request, conn: Connection, asked: Asked, filter: Filter
) -> Mapping[str, Any]:
    found = await run_lists.page(conn, filter, limit=SHOWN, after=asked.run_cursor())
    names = sorted({row["type"] for row in found.rows if row["finished_at"] is None})
    usual = await dashboard.usual(conn, names, LATEST)
    now = datetime.now(UTC)
    return {
        "rows": [{**row, "is_late": late(row, usual, now)} for row in found.rows],
        "next": asked.next(found.next),
    }


async def board(
    request: Request, conn: Connection, asked: Asked, filter: Filter
) -> Mapping[str, Any]:
    found = await run_views.board(conn, filter)
    wanted = {str(each) for each in filter.states}
    columns = [
        (title, states, [row for state in states for row in found.get(state, [])])
        for title, states in COLUMNS
        if not wanted or wanted & set(states)
    ]
    return {"columns": columns, "most": run_views.COLUMN}


async def timeline(
    request: Request, conn: Connection, asked: Asked, filter: Filter
) -> Mapping[str, Any]:
    now = (await queues.moment(conn)).now
    span = asked.one_of("last", list(SPANS)) or SPAN
    end = filter.created_to or now
    start = filter.created_from or end - SPANS[span]
    within = replace(filter, created_from=start, created_to=end)
    found = await run_lists.page(conn, within, limit=DRAWN)
    if found.next is not None:
        start = min(row["started_at"] or row["created_at"] for row in found.rows)
    tz = frame.look_of(request).tz
    bars = [runs_axis.Bar(**bar(row, now)) for row in found.rows]
    return {
        "picture": runs_axis.draw(bars, start, max(end, start + timedelta(seconds=1)), tz),
        "drawn": len(bars),
        "is_cut": found.next is not None,
        "spans": [(each, asked.href(last=each), each == span) for each in SPANS],
        "is_bounded": filter.created_from is not None,
    }


def bar(row: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    start = row["started_at"] or row["created_at"]
    end = row["finished_at"] or now
    word = words.state(row["state"])
    took = words.duration(end - start)
    name = f", {row['record_id']}" if row["record_id"] else ""
    return {
        "lane": row["type"],
        "start": start,
        "end": end,
        "tone": word.tone,
        "text": f"{row['type']}{name}: {word.text}, {took}",
        "href": f"/ui/runs/{row['id']}",
    }


PARTS = {"table": table, "timeline": timeline, "board": board}
