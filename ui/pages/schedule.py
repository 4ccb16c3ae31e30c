"""One schedule: when it comes, what became of its ticks, and everything that can be done to it."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn, TheCatalog
from scheduler.domain.errors import Conflict, Invalid, Refusal
from scheduler.domain.schedules import Plan
from scheduler.domain.ticks import TickState
from scheduler.services import backfills, schedules, ticking
from scheduler.services.backfills import Wish
from scheduler.store import backfills as stored_backfills
from scheduler.store import schedule_lists
from scheduler.store import schedules as stored
from scheduler.store.rows import Row
from ui import frame, lists, query, timetable, written
from ui.forms import Form
from ui.lists import Asked, Column, Field, Listing
from ui.pages.schedules import shown, week_page
from ui.screen import Screen

router = APIRouter(prefix="/schedules/{schedule}", route_class=Screen)

SHOWN, EXPORTED, LATEST, BACKFILLS = 50, 500, 8, 20
FATES = tuple(state.value for state in TickState)
Id = Annotated[int, Path(alias="schedule", ge=1, le=2**63 - 1)]
Number = Annotated[int, Path(alias="backfill", ge=1, le=2**63 - 1)]
Connection = AsyncConnection[Any]

TICKS = Listing(
    fields=(Field("status", "What became of it", "states", FATES),),
    columns=(
        Column("tick", "Tick"),
        Column("fate", "What became of it"),
        Column("run", "Run"),
        Column("why", "Why"),
        Column("decided", "Decided on"),
    ),
)
CELLS: lists.Cells[Row] = {
    "tick": lambda row: row["tick"],
    "until": lambda row: row["until"],
    "state": lambda row: row["state"],
    "kind": lambda row: row["kind"],
    "run": lambda row: row["run_id"],
    "run_state": lambda row: row["run_state"],
    "reason": lambda row: row["reason"],
    "due_at": lambda row: row["due_at"],
    "decided_at": lambda row: row["decided_at"],
}


@router.get("")
async def ui_schedule(schedule: Id, request: Request, conn: Conn) -> Response:
    return await overview(request, conn, schedule)


async def overview(
    request: Request,
    conn: Connection,
    schedule: int,
    *,
    form: Form | None = None,
    fault: Refusal | None = None,
) -> Response:
    row = await schedules.get(conn, schedule)
    plan = plan_or_none(row)
    latest = await schedule_lists.ticks(conn, schedule, limit=LATEST)
    return await schedule_page(
        request,
        conn,
        row,
        "schedule.html",
        "",
        fault=fault,
        plan=plan,
        coming=coming(request, plan, row) if plan else [],
        zone=plan.spec.zone if plan else "UTC",
        policy=timetable.policy(plan.spec) if plan else "",
        latest=latest,
        late=(latest[0]["decided_at"] - latest[0]["due_at"]) if latest else None,
        form=form,
        stream="/ui/stream",
    )


def plan_or_none(row: Row) -> Plan | None:
    """None where what was stored once means nothing any more; its words say why."""
    try:
        return ticking.plan_of(row)
    except Invalid:
        return None


def coming(request: Request, plan: Plan, row: Row) -> list[timetable.Next]:
    return timetable.upcoming(plan, row["now"], frame.look_of(request).zone)


async def schedule_page(
    request: Request, conn: Connection, row: Row, template: str, tab: str, **values: Any
) -> Response:
    fault = values.get("fault")
    return await frame.page(
        request,
        conn,
        template,
        status=frame.status_of(fault) if fault else 200,
        schedule=shown(row),
        target=row["record_id"] or row["type"],
        stopped=await stored.stopped(conn),
        tab=tab,
        nonce=written.nonce(),
        zones=(zone_of(row),),
        **{"fault": None, **values},
    )


@router.get("/ticks")
async def ui_schedule_ticks(schedule: Id, request: Request, conn: Conn) -> Response:
    asked = TICKS.read(request)
    if asked.is_untidy:
        return asked.tidied()
    states = asked.among("status")
    if asked.format:
        return await lists.exported(asked, f"ticks-{schedule}", CELLS, reading(schedule, states))
    row = await schedules.get(conn, schedule)
    rows = await schedule_lists.ticks(
        conn, schedule, limit=SHOWN + 1, after=cursor_of(asked), states=states
    )
    return await schedule_page(
        request,
        conn,
        row,
        "schedule_ticks.html",
        "ticks",
        asked=asked,
        fates=FATES,
        rows=rows[:SHOWN],
        next=asked.next(rows[SHOWN - 1]["tick"].isoformat() if len(rows) > SHOWN else None),
        stream="/ui/stream" if asked.is_first else None,
    )


def cursor_of(asked: Asked) -> datetime | None:
    return query.moment(asked.request, "cursor", UTC)


def reading(schedule: int, states: list[str]) -> lists.Read[Row]:
    async def read(conn: Connection, after: datetime | None) -> tuple[list[Row], datetime | None]:
        rows = await schedule_lists.ticks(
            conn, schedule, limit=EXPORTED + 1, after=after, states=states
        )
        return rows[:EXPORTED], rows[EXPORTED - 1]["tick"] if len(rows) > EXPORTED else None

    return read


@router.get("/calendar")
async def ui_schedule_calendar(schedule: Id, request: Request, conn: Conn) -> Response:
    row = await schedules.get(conn, schedule)
    week = await week_page(request, conn, [row])
    return await schedule_page(request, conn, row, "schedule_calendar.html", "calendar", **week)


# What can be done to it


@router.post("/pause")
async def ui_pause_schedule(schedule: Id, request: Request, conn: Conn, by: By) -> Response:
    form: Form = request.state.form
    try:
        row = await schedules.get(conn, schedule)
        until = written.moment(form, "until", zone_of(row))
        await schedules.pause(conn, schedule, by=by, note=written.note(form), until=until)
    except (Invalid, Conflict) as fault:
        return await overview(request, conn, schedule, form=form, fault=fault)
    return frame.see(f"/ui/schedules/{schedule}", said="schedule_paused")


def zone_of(row: Row) -> str:
    plan = plan_or_none(row)
    return plan.spec.zone if plan else "UTC"


@router.post("/resume")
async def ui_resume_schedule(schedule: Id, request: Request, conn: Conn) -> Response:
    try:
        await schedules.resume(conn, schedule)
    except Conflict as fault:
        return await overview(request, conn, schedule, fault=fault)
    return frame.see(f"/ui/schedules/{schedule}", said="schedule_resumed")


@router.post("/trigger")
async def ui_trigger_schedule(
    schedule: Id, request: Request, conn: Conn, catalog: TheCatalog, by: By
) -> Response:
    form: Form = request.state.form
    try:
        begun = await schedules.trigger(
            conn,
            catalog,
            schedule,
            by=by,
            input=written.object_of(form, "input"),
            key=written.key_of(form),
        )
    except (Invalid, Conflict) as fault:
        return await overview(request, conn, schedule, form=form, fault=fault)
    return frame.see(f"/ui/runs/{begun.id}", said="started")


@router.get("/delete")
async def ui_delete_schedule_confirm(schedule: Id, request: Request, conn: Conn) -> Response:
    row = await schedules.get(conn, schedule)
    return await schedule_page(request, conn, row, "schedule_delete.html", "")


@router.post("/delete")
async def ui_delete_schedule(schedule: Id, conn: Conn) -> Response:
    await schedules.delete(conn, schedule)
    return frame.see("/ui/schedules", said="schedule_deleted")


# Backfills


@router.get("/backfills")
async def ui_schedule_backfills(schedule: Id, request: Request, conn: Conn) -> Response:
    """With a range in the address, also what it would run: nothing is done by looking."""
    return await backfills_page(request, conn, schedule)


async def backfills_page(
    request: Request,
    conn: Connection,
    schedule: int,
    *,
    form: Form | None = None,
    fault: Refusal | None = None,
) -> Response:
    row = await schedules.get(conn, schedule)
    given = form or Form(request.query_params.multi_items())
    preview = None
    if fault is None and given.get("from"):
        try:
            preview = await backfills.preview(conn, schedule, wish_of(given, row))
        except (Invalid, Conflict) as error:
            fault = error
    rows = await stored_backfills.page(conn, schedule, limit=BACKFILLS)
    return await schedule_page(
        request,
        conn,
        row,
        "schedule_backfills.html",
        "backfills",
        given=given,
        preview=preview,
        rows=[with_progress(each, row["now"]) for each in rows],
        fault=fault,
        stream="/ui/stream",
    )


def wish_of(form: Form, row: Row) -> Wish:
    zone = zone_of(row)
    start, end = written.moment(form, "from", zone), written.moment(form, "until", zone)
    if start is None or end is None:
        raise Invalid("give both ends of the range", field="until" if start else "from")
    return Wish(
        start=start,
        end=end,
        per_minute=written.whole(form, "per_minute", usual=60, most=6000),
        at_once=written.whole(form, "at_once", usual=1, most=100),
    )


def with_progress(row: Row, now: datetime) -> Row:
    """How far it is by the clock of its range, and how long the rest takes at its pace so far."""
    begin, whole = row["from_at"], row["until_at"] - row["from_at"]
    done = ((row["next_tick"] or row["until_at"]) - begin) / whole
    spent = now - row["made_at"]
    is_over = row["ended_at"] is not None
    left = spent * ((1 - done) / done) if 0.01 < done < 1 and not is_over else None
    return {**row, "percent": round(100 * done), "left": left}


@router.post("/backfills")
async def ui_start_backfill(schedule: Id, request: Request, conn: Conn, by: By) -> Response:
    form: Form = request.state.form
    try:
        row = await schedules.get(conn, schedule)
        await backfills.start(conn, schedule, wish_of(form, row), by=by)
    except (Invalid, Conflict) as fault:
        return await backfills_page(request, conn, schedule, form=form, fault=fault)
    return frame.see(f"/ui/schedules/{schedule}/backfills", said="backfill_started")


@router.post("/backfills/{backfill}/cancel")
async def ui_cancel_backfill(
    schedule: Id, backfill: Number, request: Request, conn: Conn, by: By
) -> Response:
    try:
        await backfills.cancel(conn, schedule, backfill, by=by)
    except Conflict as fault:
        return await backfills_page(request, conn, schedule, fault=fault)
    return frame.see(f"/ui/schedules/{schedule}/backfills", said="backfill_ended")
