"""One process record: how it does, what it is started with, and what can be done with its run."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn, TheCatalog
from scheduler.domain.states import FINAL_RUNS, RunState
from scheduler.services import records, run_lists, runs
from scheduler.services.catalog import Catalog
from scheduler.store import process_screens
from scheduler.store.rows import Row
from scheduler.store.runs import Filter
from ui import access, buttons, figures, frame, query, session
from ui.buttons import Button
from ui.forms import Form
from ui.pages.process import AMONG, INPUTS, LATEST, SCHEDULES, SHOWN, drawn, told
from ui.screen import Screen

router = APIRouter(prefix="/records/{record}", route_class=Screen)

Connection = AsyncConnection[Any]
Record = Annotated[str, Path(min_length=1, max_length=200)]

TABS = (
    ("Overview", ""),
    ("Grid", "/grid"),
    ("Runs", "/runs"),
    ("Schedules", "/schedules"),
    ("Inputs", "/inputs"),
)


@router.get("")
async def ui_record(record: Record, request: Request, conn: Conn) -> Response:
    found = await records.get(conn, record)
    latest = await run_lists.page(conn, Filter(record=record), limit=LATEST)
    return await tab(request, conn, found, "record.html", "", runs=latest.rows, stream="/ui/stream")


@router.get("/grid")
async def ui_record_grid(record: Record, request: Request, conn: Conn) -> Response:
    found = await records.get(conn, record)
    after = query.run_id(request, "cursor")
    grid, next = await drawn(conn, Filter(record=record), after)
    return await tab(
        request,
        conn,
        found,
        "record_grid.html",
        "/grid",
        grid=grid,
        next=next,
        is_first=after is None,
        stream="/ui/stream" if after is None else None,
    )


@router.get("/runs")
async def ui_record_runs(record: Record, request: Request, conn: Conn) -> Response:
    found = await records.get(conn, record)
    after = query.run_id(request, "cursor")
    page = await run_lists.page(conn, Filter(record=record), limit=SHOWN, after=after)
    return await tab(
        request,
        conn,
        found,
        "record_runs.html",
        "/runs",
        runs=page.rows,
        next=page.next,
        is_first=after is None,
        stream="/ui/stream" if after is None else None,
    )


@router.get("/schedules")
async def ui_record_schedules(record: Record, request: Request, conn: Conn) -> Response:
    found = await records.get(conn, record)
    rows = await process_screens.schedules(conn, record=record, limit=SCHEDULES)
    return await tab(
        request, conn, found, "record_schedules.html", "/schedules", schedules=told(rows)
    )


@router.get("/inputs")
async def ui_record_inputs(record: Record, request: Request, conn: Conn) -> Response:
    found = await records.get(conn, record)
    rows = await process_screens.inputs_of_record(conn, record, among=AMONG, limit=INPUTS)
    return await tab(
        request, conn, found, "record_inputs.html", "/inputs", inputs=rows, among=AMONG
    )


async def tab(
    request: Request, conn: Connection, found: Row, template: str, here: str, **values: Any
) -> Response:
    """What every tab shows of the record, and its own."""
    record = found["id"]
    rows = await process_screens.figures_of_records(conn, [record], figures.LATEST)
    clocks = await process_screens.clocks_of_records(conn, [record])
    base = f"/ui/records/{quote(record, safe='')}"
    return await frame.page(
        request,
        conn,
        template,
        record=found,
        base=base,
        tabs=[(text, base + path, path == here) for text, path in TABS],
        buttons=buttons_of(request, found),
        is_living=is_living(found),
        figures=figures.figures(rows.get(record)),
        upcoming=figures.next_of(clocks.get(record)),
        **values,
    )


def is_living(found: Row) -> bool:
    return found["current_run"] is not None and RunState(found["current_status"]) not in FINAL_RUNS


VERBS = tuple(each for each in buttons.VERBS if each.name in ("hold", "resume", "stop"))


def buttons_of(request: Request, found: Row) -> list[Button]:
    """What may be done with the run that it shows."""
    caller = session.person_of(request).caller
    if not access.may(caller, "ui_record_command"):
        said = f"This takes an operator, and you are {caller.role}"
        return [Button(each.name, each.text, said) for each in VERBS]
    if not is_living(found):
        return [Button(each.name, each.text, "It does not run") for each in VERBS]
    state = RunState(found["current_status"])
    return [Button(each.name, each.text, buttons.obstacle(each, state, caller)) for each in VERBS]


Command = Callable[[Connection, Catalog, UUID, Form, str], Awaitable[Row]]


async def hold(conn: Connection, catalog: Catalog, run: UUID, form: Form, by: str) -> Row:
    return await runs.hold(conn, catalog, run, by=by)


async def resume(conn: Connection, catalog: Catalog, run: UUID, form: Form, by: str) -> Row:
    return await runs.resume(conn, catalog, run, by=by)


async def stop(conn: Connection, catalog: Catalog, run: UUID, form: Form, by: str) -> Row:
    why = form.get("why").strip()[:500] or None
    return await runs.stop(conn, catalog, run, by=by, why=why)


COMMANDS: Mapping[str, Command] = {"hold": hold, "resume": resume, "stop": stop}
Verb = Annotated[str, Path(pattern=f"^({'|'.join(COMMANDS)})$")]


@router.post("/do/{verb}")
async def ui_record_command(
    record: Record, verb: Verb, request: Request, conn: Conn, catalog: TheCatalog, by: By
) -> Response:
    run = await records.running(conn, record)
    await COMMANDS[verb](conn, catalog, run, request.state.form, by)
    return frame.see(f"/ui/records/{quote(record, safe='')}", said=verb)
