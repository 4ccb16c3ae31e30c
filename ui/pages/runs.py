"""Runs: a list whose every filter is in its address."""

from datetime import datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import Conn
from scheduler.domain.states import RunState
from scheduler.services import run_lists, run_lookup
from scheduler.store import process_types
from scheduler.store.rows import Row
from scheduler.store.runs import Filter
from ui import frame, lists, query
from ui.lists import Asked, Column, Field, Listing
from ui.screen import Screen

router = APIRouter(route_class=Screen)

SHOWN = 50
EXPORTED = 500  # runs that one look of an export takes
TYPES = 500
LATEST = 60  # runs of a type whose times say what is usual
STATES = tuple(state.value for state in RunState)

LIST = Listing(
    fields=(
        Field("type", "Type", "choice"),
        Field("record", "Record"),
        Field("error", "Error has"),
        Field("label", "Label", hint="name:value"),
        Field("created_from", "Since", "moment"),
        Field("created_to", "Before", "moment"),
        Field("status", "State", "states", STATES),
    ),
    columns=(
        Column("state", "State"),
        Column("process", "Process"),
        Column("run", "Run"),
        Column("tasks", "Tasks"),
        Column("began", "Began"),
        Column("took", "Took", is_num=True),
        Column("by", "By"),
        Column("labels", "Labels", is_usual=False),
    ),
)
CELLS: lists.Cells[Row] = {
    "id": lambda run: run["id"],
    "type": lambda run: run["type"],
    "record": lambda run: run["record_id"],
    "state": lambda run: run["state"],
    "tasks": lambda run: run["total"],
    "open": lambda run: run["open"],
    "created_at": lambda run: run["created_at"],
    "started_at": lambda run: run["started_at"],
    "finished_at": lambda run: run["finished_at"],
    "by": lambda run: run["triggered_by"],
    "error": lambda run: run["error"],
}


@router.get("/runs")
async def ui_runs(request: Request, conn: Conn) -> Response:
    asked = LIST.read(request)
    if asked.is_untidy:
        return asked.tidied()
    filter, cursor = filter_of(asked), asked.run_cursor()
    if asked.format:
        return await lists.exported(asked, "runs", CELLS, reading(filter))
    found = await run_lists.page(conn, filter, limit=SHOWN, after=cursor)
    return await frame.page(
        request,
        conn,
        "runs.html",
        asked=asked,
        rows=found.rows,
        next=asked.next(found.next),
        total=await run_lists.count(conn, filter),
        types=[each["name"] for each in await process_types.page(conn, limit=TYPES)],
        stream="/ui/stream" if asked.is_first else None,
    )


def filter_of(asked: Asked) -> Filter:
    return Filter(
        type=asked.text("type"),
        record=asked.text("record"),
        states=[RunState(each) for each in asked.among("status")],
        labels=asked.label(),
        error=asked.text("error"),
        created_from=asked.moment("created_from"),
        created_to=asked.moment("created_to"),
    )


def reading(filter: Filter) -> lists.Read[Row]:
    async def read(conn: AsyncConnection[Any], after: UUID | None) -> tuple[list[Row], UUID | None]:
        found = await run_lists.page(conn, filter, limit=EXPORTED, after=after)
        return found.rows, found.next

    return read


@router.get("/find")
async def ui_find(request: Request, conn: Conn) -> Response:
    """From a few characters to where they lead: a run by its id, or processes by a name."""
    text = query.text(request, "q")
    if text is None:
        return frame.see("/ui/runs")
    found = await runs_called(conn, text)
    if len(found) == 1:
        return frame.see(f"/ui/runs/{found[0]['id']}")
    return frame.see("/ui/processes", q=text)


async def runs_called(conn: AsyncConnection[Any], text: str) -> list[Row]:
    digits = text.replace("-", "").lower()
    is_id = 6 <= len(digits) <= 32 and set(digits) <= set("0123456789abcdef")
    return await run_lookup.by_short_id(conn, text) if is_id else []


def late(run: Row, usual: dict[str, float], now: datetime) -> bool:
    """Whether a run goes on for longer than those of its type do."""
    typical, since = usual.get(run["type"]), run["started_at"]
    if typical is None or since is None or run["finished_at"] is not None:
        return False
    return bool((now - since).total_seconds() > max(1.5 * typical, typical + 2))
