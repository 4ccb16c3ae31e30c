"""One process type: how it does, its runs against its tasks, what starts it, and with what."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import Conn
from scheduler.services import definitions, run_lists
from scheduler.store import process_records, process_screens
from scheduler.store.process_records import Filter as RecordFilter
from scheduler.store.rows import Row
from scheduler.store.runs import Filter
from ui import figures, frame, query
from ui.drawing import grid
from ui.screen import Screen

router = APIRouter(prefix="/processes/{type}", route_class=Screen)

Connection = AsyncConnection[Any]
Type = Annotated[str, Path(min_length=1, max_length=63)]

SHOWN = 50
LATEST = 10  # runs on the first tab
DOES = 40  # tasks of a definition that are named there
LIVING = 1_000  # runs of each state among which those that go on are looked for
INPUTS, AMONG = 20, 100
SCHEDULES = 100

TABS = (
    ("Overview", ""),
    ("Grid", "/grid"),
    ("Runs", "/runs"),
    ("Schedules", "/schedules"),
    ("Definition", "/definition"),
    ("Inputs", "/inputs"),
)


@router.get("")
async def ui_process(type: Type, request: Request, conn: Conn) -> Response:
    found = await definitions.get(conn, type)
    records = await process_records.page(conn, RecordFilter(type=type), limit=SHOWN + 1)
    runs = await run_lists.page(conn, Filter(type=type), limit=LATEST)
    tasks = found["document"]["tasks"]
    return await tab(
        request,
        conn,
        found,
        "process.html",
        "",
        does=[done_by(each) for each in tasks[:DOES]],
        more_tasks=max(0, len(tasks) - DOES),
        records=records[:SHOWN],
        more_records=len(records) > SHOWN,
        runs=runs.rows,
        stream="/ui/stream",
    )


NOT_WORK = frozenset(
    {"name", "needs", "when", "after", "retry", "timeout", "queue", "priority", "description"}
    | {"on", "on_lost"}
    | {"env", "cwd", "on_failure", "undo", "for_each", "limit", "rate", "secrets", "labels"}
)
COMMANDS = ("run", "shell", "argv")


def done_by(task: Row) -> Row:
    """A task in a line: its name, and what it does as its author wrote it."""
    for name in COMMANDS:
        if name in task:
            given = task[name]
            told = given if isinstance(given, str) else " ".join(map(str, given))
            return {"name": task["name"], "kind": "", "does": told, "needs": needs(task)}
    kind = next((key for key in task if key not in NOT_WORK), "")
    return {"name": task["name"], "kind": kind.replace("_", " "), "does": "", "needs": needs(task)}


def needs(task: Row) -> list[str]:
    given = task.get("needs") or []
    return [given] if isinstance(given, str) else list(given)


@router.get("/grid")
async def ui_process_grid(type: Type, request: Request, conn: Conn) -> Response:
    found = await definitions.get(conn, type)
    after = query.run_id(request, "cursor")
    shown, next = await drawn(conn, Filter(type=type), after)
    return await tab(
        request,
        conn,
        found,
        "process_grid.html",
        "/grid",
        grid=shown,
        next=next,
        is_first=after is None,
        stream="/ui/stream" if after is None else None,
    )


async def drawn(conn: Connection, filter: Filter, after: Any) -> tuple[grid.Grid, Any]:
    """The runs of a page against their tasks, and where the older ones begin."""
    runs = await run_lists.page(conn, filter, limit=grid.RUNS, after=after)
    tasks = await process_screens.cells(conn, [row["id"] for row in runs.rows], grid.TASKS)
    return grid.draw(runs.rows, tasks, datetime.now(UTC)), runs.next


@router.get("/runs")
async def ui_process_runs(type: Type, request: Request, conn: Conn) -> Response:
    found = await definitions.get(conn, type)
    after = query.run_id(request, "cursor")
    runs = await run_lists.page(conn, Filter(type=type), limit=SHOWN, after=after)
    return await tab(
        request,
        conn,
        found,
        "process_runs.html",
        "/runs",
        runs=runs.rows,
        next=runs.next,
        is_first=after is None,
        stream="/ui/stream" if after is None else None,
    )


@router.get("/schedules")
async def ui_process_schedules(type: Type, request: Request, conn: Conn) -> Response:
    found = await definitions.get(conn, type)
    rows = await process_screens.schedules(conn, type=type, limit=SCHEDULES)
    return await tab(
        request, conn, found, "process_schedules.html", "/schedules", schedules=told(rows)
    )


def told(rows: list[Row]) -> list[Row]:
    return [{**row, "words": figures.words_of(row)} for row in rows]


@router.get("/inputs")
async def ui_process_inputs(type: Type, request: Request, conn: Conn) -> Response:
    found = await definitions.get(conn, type)
    rows = await process_screens.inputs_of_type(conn, type, among=AMONG, limit=INPUTS)
    return await tab(
        request, conn, found, "process_inputs.html", "/inputs", inputs=rows, among=AMONG
    )


async def tab(
    request: Request, conn: Connection, found: Row, template: str, here: str, **values: Any
) -> Response:
    """What every tab shows of the type, and its own."""
    name = found["name"]
    rows = await process_screens.figures_of_types(conn, [name], figures.LATEST)
    clocks = await process_screens.clocks_of_types(conn, [name])
    living = await process_screens.living_of_versions(conn, name, LIVING)
    base = f"/ui/processes/{name}"
    return await frame.page(
        request,
        conn,
        template,
        type=found,
        tabs=[(text, base + path, path == here) for text, path in TABS],
        figures=figures.figures(rows.get(name)),
        upcoming=figures.next_of(clocks.get(name)),
        living=living,
        **values,
    )
