"""Processes: the types, and the records that are saved of them, with how they do."""

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Request, Response

from scheduler.api.state import Conn
from scheduler.domain.counts import MOST, Count
from scheduler.domain.states import RunState
from scheduler.store import process_records, process_screens, process_types
from scheduler.store.process_records import Filter as RecordFilter
from scheduler.store.process_screens import Filter as TypeFilter
from scheduler.store.rows import Row
from ui import figures, frame, lists
from ui.lists import Asked, Column, Field, Listing
from ui.screen import Screen

router = APIRouter(route_class=Screen)

SHOWN = 50
EXPORTED = 500
TYPES = 500  # that the menu of a filter names
STATES = tuple(state.value for state in RunState)
RETIRED: dict[str | None, bool | None] = {None: False, "only": True, "with": None}

OF_TYPES = Listing(
    fields=(
        Field("q", "Name or description has"),
        Field("label", "Label", hint="owner:anna"),
        Field("retired", "Retired ones", "choice", ("only", "with")),
    ),
    columns=(
        Column("type", "Type"),
        Column("next", "Next"),
        Column("strip", "Last 20 runs"),
        Column("rate", "Good", is_num=True),
        Column("takes", "Takes", is_num=True),
        Column("most", "95 % within", is_num=True),
        Column("version", "Version", is_num=True, is_usual=False),
        Column("tasks", "Tasks", is_num=True, is_usual=False),
        Column("published", "Published", is_usual=False),
    ),
)
OF_RECORDS = Listing(
    fields=(
        Field("q", "Id or description has"),
        Field("type", "Type", "choice"),
        Field("status", "State of the latest run", "states", STATES),
    ),
    columns=(
        Column("record", "Record"),
        Column("type", "Type"),
        Column("latest", "Latest run"),
        Column("next", "Next"),
        Column("strip", "Last 20 runs"),
        Column("rate", "Good", is_num=True),
        Column("takes", "Takes", is_num=True),
        Column("most", "95 % within", is_num=True, is_usual=False),
        Column("changed", "Changed", is_usual=False),
    ),
)
TYPE_CELLS: lists.Cells[Row] = {
    "name": lambda row: row["name"],
    "version": lambda row: row["version"],
    "description": lambda row: row["description"],
    "labels": lambda row: row["labels"],
    "tasks": lambda row: row["tasks"],
    "published_at": lambda row: row["published_at"],
    "published_by": lambda row: row["published_by"],
    "retired_at": lambda row: row["retired_at"],
}
RECORD_CELLS: lists.Cells[Row] = {
    "id": lambda row: row["id"],
    "type": lambda row: row["type"],
    "description": lambda row: row["description"],
    "status": lambda row: row["current_status"],
    "run": lambda row: row["current_run"],
    "input": lambda row: row["input"],
    "priority": lambda row: row["priority"],
    "started_when": lambda row: row["started_when"],
    "error": lambda row: row["last_error_message"],
    "updated_at": lambda row: row["updated_at"],
}


@router.get("/processes")
async def ui_processes(request: Request, conn: Conn) -> Response:
    asked = OF_TYPES.read(request)
    if asked.is_untidy:
        return asked.tidied()
    filter = types_asked(asked)
    if asked.format:
        return await lists.exported(asked, "process-types", TYPE_CELLS, reading_types(filter))
    rows, cursor = cut(
        await process_screens.types(conn, filter, limit=SHOWN + 1, after=asked.text_cursor()),
        SHOWN,
        "name",
    )
    names = [row["name"] for row in rows]
    found = await process_screens.figures_of_types(conn, names, figures.LATEST)
    clocks = await process_screens.clocks_of_types(conn, names)
    return await frame.page(
        request,
        conn,
        "processes.html",
        asked=asked,
        types=rows,
        next=asked.next(cursor),
        total=Count.of(await process_screens.count_types(conn, filter, MOST + 1)),
        figures=figures.all_figures(found),
        clocks=figures.all_next(clocks),
        stream="/ui/stream" if asked.is_first else None,
    )


def types_asked(asked: Asked) -> TypeFilter:
    return TypeFilter(
        text=asked.text("q"), labels=asked.label(), retired=RETIRED[asked.one_of("retired")]
    )


def reading_types(filter: TypeFilter) -> lists.Read[Row]:
    async def read(conn: lists.Conn, after: Any) -> tuple[Sequence[Row], Any]:
        rows = await process_screens.types(conn, filter, limit=EXPORTED + 1, after=after)
        return cut(rows, EXPORTED, "name")

    return read


@router.get("/records")
async def ui_records(request: Request, conn: Conn) -> Response:
    asked = OF_RECORDS.read(request)
    if asked.is_untidy:
        return asked.tidied()
    filter = records_asked(asked)
    if asked.format:
        return await lists.exported(asked, "process-records", RECORD_CELLS, reading(filter))
    rows, cursor = cut(
        await process_records.page(conn, filter, limit=SHOWN + 1, after=asked.text_cursor()),
        SHOWN,
        "id",
    )
    ids = [row["id"] for row in rows]
    found = await process_screens.figures_of_records(conn, ids, figures.LATEST)
    clocks = await process_screens.clocks_of_records(conn, ids)
    return await frame.page(
        request,
        conn,
        "records.html",
        asked=asked,
        records=rows,
        next=asked.next(cursor),
        total=Count.of(await process_records.count(conn, filter, MOST + 1)),
        types=[row["name"] for row in await process_types.page(conn, limit=TYPES)],
        figures=figures.all_figures(found),
        clocks=figures.all_next(clocks),
        stream="/ui/stream" if asked.is_first else None,
    )


def records_asked(asked: Asked) -> RecordFilter:
    return RecordFilter(
        type=asked.text("type"), statuses=asked.among("status") or None, text=asked.text("q")
    )


def reading(filter: RecordFilter) -> lists.Read[Row]:
    async def read(conn: lists.Conn, after: Any) -> tuple[Sequence[Row], Any]:
        rows = await process_records.page(conn, filter, limit=EXPORTED + 1, after=after)
        return cut(rows, EXPORTED, "id")

    return read


def cut(rows: list[Row], limit: int, key: str) -> tuple[list[Row], Any]:
    """The page, and where the next one begins."""
    return rows[:limit], rows[limit - 1][key] if len(rows) > limit else None
