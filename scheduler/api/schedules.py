"""Schedules: what is started when, their ticks, backfills, and a stop of all."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request, Response

from scheduler.api import editions, pages, starting
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import CREATED, problems
from scheduler.api.editions import IfMatch, Outdated
from scheduler.api.models import Run
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.schedule_models import (
    Backfill,
    BackfillPreview,
    CreateSchedule,
    Firing,
    Firings,
    PauseSchedule,
    PreviewBackfill,
    PreviewSchedule,
    ReplaceSchedule,
    Schedule,
    Spec,
    StartBackfill,
    State,
    Stopped,
    StopSchedules,
    Tick,
    TriggerSchedule,
    Zone,
)
from scheduler.api.starting import Key, Prefer
from scheduler.api.state import By, Conn, TheCatalog, TheServer
from scheduler.domain.calendars import zone_of
from scheduler.domain.errors import Invalid
from scheduler.domain.schedule_reading import moment_of, read_schedule
from scheduler.domain.schedule_words import distance_words, in_words, moment_words
from scheduler.domain.schedules import Plan, ScheduleSpec
from scheduler.services import backfills, schedules, ticking
from scheduler.services.backfills import Wish
from scheduler.store import backfills as stored_backfills
from scheduler.store import schedules as stored
from scheduler.store import ticks as stored_ticks
from scheduler.store.rows import Row

router = APIRouter(prefix="/schedules", tags=["schedules"], route_class=GuardedRoute)

BIG = 2**63 - 1
Id = Annotated[int, Path(alias="schedule", ge=1, le=BIG)]
BackfillId = Annotated[int, Path(alias="backfill", ge=1, le=BIG)]
Viewer = Annotated[Zone | None, Query(description="The zone of whoever looks.")]


@router.post("", status_code=201, responses=CREATED | problems(404, 409, 413, 422))
async def create_schedule(
    wish: CreateSchedule, conn: Conn, catalog: TheCatalog, by: By, response: Response
) -> Schedule:
    """Schedule runs of a type or of a record."""
    spec = spec_of(wish.spec)
    made = shown(await schedules.create(conn, catalog, wish.target, spec, by=by))
    response.headers["Location"] = f"/api/v1/schedules/{made.id}"
    response.headers["ETag"] = editions.tag(made.version, made)
    return made


@router.get("", responses=problems(422))
async def list_schedules(
    conn: Conn,
    type: Annotated[str | None, Query(max_length=63)] = None,
    record: Annotated[str | None, Query(max_length=200)] = None,
    paused: bool | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Schedule]:
    """List schedules in the order in which they were made."""
    rows = await stored.page(
        conn,
        type=type,
        record=record,
        paused=paused,
        after=pages.decode(cursor, pages.big_number),
        limit=limit + 1,
    )
    return pages.page_of(rows, limit, "id", shown)


@router.post("/preview", responses=problems(422))
async def preview_schedule(wish: PreviewSchedule, conn: Conn) -> Firings:
    """Say in words and times what a schedule would do; nothing is stored."""
    spec = spec_of(wish.spec)
    plan = Plan(spec, ticking.key_of(wish.target, spec.name))
    return firings(plan, await stored.moment(conn), wish.count, wish.zone)


@router.get("/stopped", responses=problems())
async def get_schedules_stopped(conn: Conn) -> Stopped:
    """Say whether all schedules are stopped, by whom and why."""
    return stopped(await stored.stopped(conn))


@router.post("/stop-all", responses=problems(409, 422))
async def stop_schedules(conn: Conn, by: By, wish: StopSchedules | None = None) -> Stopped:
    """Start nothing by any schedule or backfill until all are resumed; what runs goes on."""
    return stopped(await schedules.stop_all(conn, by=by, note=wish.note if wish else None))


@router.post("/resume-all", responses=problems(409, 422))
async def resume_schedules(conn: Conn, by: By) -> Stopped:
    """Let schedules go on; what was due meanwhile is written down as skipped."""
    await schedules.resume_all(conn, by=by)
    return stopped(None)


@router.get("/{schedule}", response_model=Schedule, responses=problems(404, 422))
async def get_schedule(
    schedule: Id, conn: Conn, request: Request, response: Response
) -> Schedule | Response:
    """Show a schedule; 304 if `If-None-Match` names what is there."""
    found = shown(await schedules.get(conn, schedule))
    if editions.label(request, response, found.version, found):
        return Response(status_code=304, headers={"ETag": response.headers["ETag"]})
    return found


@router.put("/{schedule}", responses=problems(404, 409, 412, 413, 422))
async def replace_schedule(
    schedule: Id,
    wish: ReplaceSchedule,
    conn: Conn,
    catalog: TheCatalog,
    response: Response,
    if_match: IfMatch = None,
) -> Schedule:
    """Change a schedule, for the future alone."""
    wanted = editions.expected(if_match)
    try:
        row = await schedules.change(conn, catalog, schedule, spec_of(wish.spec), expected=wanted)
    except schedules.Outdated as outdated:
        raise Outdated(str(outdated), remedy="read it again and repeat the change") from outdated
    done = shown(row)
    response.headers["ETag"] = editions.tag(done.version, done)
    return done


@router.delete("/{schedule}", status_code=204, responses=problems(404, 422))
async def delete_schedule(schedule: Id, conn: Conn) -> None:
    """Delete a schedule with its ticks; the runs that it started stay."""
    await schedules.delete(conn, schedule)


@router.get("/{schedule}/next", responses=problems(404, 422))
async def list_schedule_firings(
    schedule: Id,
    conn: Conn,
    count: Annotated[int, Query(ge=1, le=100)] = 10,
    zone: Viewer = None,
) -> Firings:
    """List what it will start next, outside of its blackouts."""
    row = await schedules.get(conn, schedule)
    return firings(ticking.plan_of(row), row["now"], count, zone)


@router.get("/{schedule}/ticks", responses=problems(404, 422))
async def list_schedule_ticks(
    schedule: Id,
    conn: Conn,
    status: State | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Tick]:
    """List its ticks, the newest first: what was started, and why something was not."""
    await schedules.get(conn, schedule)
    rows = await stored_ticks.page(
        conn, schedule, state=status, after=pages.decode(cursor, moment), limit=limit + 1
    )
    return pages.page_of(rows, limit, "tick", Tick.model_validate)


@router.post("/{schedule}/pause", responses=problems(404, 422))
async def pause_schedule(
    schedule: Id, conn: Conn, by: By, wish: PauseSchedule | None = None
) -> Schedule:
    """Start nothing by it, for ever or until a time; the note is shown to all."""
    wish = wish or PauseSchedule()
    until = await moment_for(conn, schedule, wish.until, "until") if wish.until else None
    return shown(await schedules.pause(conn, schedule, by=by, note=wish.note, until=until))


@router.post("/{schedule}/resume", responses=problems(404, 409, 422))
async def resume_schedule(schedule: Id, conn: Conn) -> Schedule:
    """Let a paused schedule go on; what was due meanwhile is written down as skipped."""
    return shown(await schedules.resume(conn, schedule))


@router.post("/{schedule}/trigger", status_code=201, responses=CREATED | problems(404, 409, 422))
async def trigger_schedule(
    schedule: Id,
    response: Response,
    server: TheServer,
    by: By,
    wish: TriggerSchedule | None = None,
    key: Key = None,
    prefer: Prefer = None,
) -> Run:
    """Start a run of it now, whatever its plan says."""
    input = wish.input if wish else None
    return await starting.started(
        server,
        response,
        lambda conn: schedules.trigger(conn, server.catalog, schedule, by=by, input=input, key=key),
        prefer,
    )


@router.post("/{schedule}/backfill/preview", responses=problems(404, 422))
async def preview_schedule_backfill(
    schedule: Id, wish: PreviewBackfill, conn: Conn
) -> BackfillPreview:
    """Say which past ticks of a range would be run."""
    found = await backfills.preview(conn, schedule, await range_of(conn, schedule, wish))
    return BackfillPreview(ticks=found.ticks, to_run=found.to_run, first=found.first)


@router.post("/{schedule}/backfill", status_code=201, responses=CREATED | problems(404, 409, 422))
async def start_schedule_backfill(
    schedule: Id, wish: StartBackfill, conn: Conn, by: By, response: Response
) -> Backfill:
    """Run the past ticks of a range that have no run, at a bounded pace."""
    wanted = await range_of(conn, schedule, wish, per_minute=wish.per_minute, at_once=wish.at_once)
    made = Backfill.model_validate(await backfills.start(conn, schedule, wanted, by=by))
    response.headers["Location"] = f"/api/v1/schedules/{schedule}/backfills/{made.id}"
    return made


@router.get("/{schedule}/backfills", responses=problems(404, 422))
async def list_schedule_backfills(
    schedule: Id, conn: Conn, limit: Limit = 50, cursor: Cursor = None
) -> Page[Backfill]:
    """List its backfills, the newest first."""
    await schedules.get(conn, schedule)
    after = pages.decode(cursor, pages.big_number)
    rows = await stored_backfills.page(conn, schedule, after=after, limit=limit + 1)
    return pages.page_of(rows, limit, "id", Backfill.model_validate)


@router.get("/{schedule}/backfills/{backfill}", responses=problems(404, 422))
async def get_schedule_backfill(schedule: Id, backfill: BackfillId, conn: Conn) -> Backfill:
    """Show how far a backfill is."""
    return Backfill.model_validate(await backfills.get(conn, schedule, backfill))


@router.post("/{schedule}/backfills/{backfill}/cancel", responses=problems(404, 409, 422))
async def cancel_schedule_backfill(
    schedule: Id, backfill: BackfillId, conn: Conn, by: By
) -> Backfill:
    """Start nothing more of a backfill; the runs that it started go on."""
    return Backfill.model_validate(await backfills.cancel(conn, schedule, backfill, by=by))


def spec_of(given: Spec) -> ScheduleSpec:
    return read_schedule(given.document())


def shown(row: Row) -> Schedule:
    return Schedule.model_validate({**row, **told_of(row)})


def told_of(row: Row) -> dict[str, Any]:
    """What its spec means, and what of it holds."""
    try:
        plan = ticking.plan_of(row)
    except Invalid as fault:
        return {"words": f"unreadable: {fault}", "overlap": None}
    return {"words": in_words(plan), "overlap": plan.spec.overlap.value}


def firings(plan: Plan, now: datetime, count: int, viewer: str | None) -> Firings:
    if viewer is not None:
        zone_of(viewer)
    zone = plan.spec.zone
    items = [
        Firing(
            tick=each.tick,
            starts_at=each.due,
            in_words=distance_words(each.tick, now),
            in_zone=moment_words(each.tick, zone),
            for_you=moment_words(each.tick, viewer) if viewer else None,
        )
        for each in schedules.firings(plan, now, count)
    ]
    return Firings(words=in_words(plan), zone=zone, items=items)


def stopped(row: Mapping[str, Any] | None) -> Stopped:
    return Stopped(stopped=True, **row) if row else Stopped(stopped=False)


def moment(value: Any) -> datetime:
    found = datetime.fromisoformat(pages.text(value))
    if found.tzinfo is None:
        raise ValueError("not a time of ours")
    return found.astimezone(UTC)


async def moment_for(conn: Conn, schedule: int, text: str, field: str) -> datetime:
    """A time that somebody wrote, in the schedule's zone unless it names another."""
    row = await schedules.get(conn, schedule)
    try:
        return moment_of(text, ticking.plan_of(row).zone)
    except Invalid as fault:
        raise Invalid(str(fault), field=field) from None


async def range_of(conn: Conn, schedule: int, wish: PreviewBackfill, **more: int) -> Wish:
    start = await moment_for(conn, schedule, wish.since, "from")
    end = await moment_for(conn, schedule, wish.until, "until")
    return Wish(start=start, end=end, **more)
