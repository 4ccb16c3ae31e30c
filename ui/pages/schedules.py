"""Schedules: all of them with what comes next, their week, and the switch that stops them all."""

from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn
from scheduler.domain.errors import Invalid
from scheduler.services import schedules
from scheduler.store import process_types, schedule_lists
from scheduler.store import schedules as stored
from scheduler.store.rows import Row
from scheduler.store.schedule_lists import Filter, Place
from ui import frame, lists, query, timetable, written
from ui.drawing import week as drawn
from ui.lists import Asked, Column, Field, Listing
from ui.screen import Screen

router = APIRouter(prefix="/schedules", route_class=Screen)

SHOWN, EXPORTED, TYPES = 50, 500, 500
ON_A_WEEK = 100  # schedules that one calendar shows
PAST = 200  # ticks of each that it shows at most
FIRST, LAST = datetime(1971, 1, 1), datetime(2198, 1, 1)  # weeks that somebody may look at
WHETHER = ("true", "false")

FIELDS = (
    Field("type", "Type", "choice"),
    Field("record", "Record"),
    Field("paused", "Paused", "choice", WHETHER),
)
LIST = Listing(
    fields=FIELDS,
    columns=(
        Column("state", "State"),
        Column("schedule", "Schedule"),
        Column("when", "When"),
        Column("next", "Next"),
        Column("last", "Last"),
        Column("zone", "Zone", is_usual=False),
        Column("overlap", "Overlap", is_usual=False),
        Column("made", "Made by", is_usual=False),
    ),
)
WEEK = Listing(fields=FIELDS[:2])
CELLS: lists.Cells[Row] = {
    "id": lambda row: row["id"],
    "name": lambda row: row["name"],
    "type": lambda row: row["type"],
    "record": lambda row: row["record_id"],
    "state": timetable.state_of,
    "words": timetable.words_of,
    "next_at": lambda row: row["next_at"],
    "last_tick": lambda row: row["tick"],
    "last_result": lambda row: row["run_state"] or row["fate"],
    "last_run": lambda row: row["run_id"],
    "reason": lambda row: row["reason"],
    "paused_by": lambda row: row["paused_by"],
    "paused_until": lambda row: row["paused_until"],
    "note": lambda row: row["note"],
    "spec": lambda row: row["spec"],
}


@router.get("")
async def ui_schedules(request: Request, conn: Conn) -> Response:
    asked = LIST.read(request)
    if asked.is_untidy:
        return asked.tidied()
    filter, after = filter_of(asked), place_of(asked)
    if asked.format:
        return await lists.exported(asked, "schedules", CELLS, reading(filter))
    rows = await schedule_lists.page(conn, filter, limit=SHOWN + 1, after=after)
    return await frame.page(
        request,
        conn,
        "schedules.html",
        asked=asked,
        rows=[shown(row) for row in rows[:SHOWN]],
        next=asked.next(cursor_of(rows, SHOWN)),
        types=await types_of(conn),
        stopped=await stored.stopped(conn),
        tab="list",
        stream="/ui/stream" if asked.is_first else None,
    )


def filter_of(asked: Asked) -> Filter:
    paused = asked.one_of("paused", WHETHER)
    return Filter(
        type=asked.text("type"),
        record=asked.text("record"),
        paused=None if paused is None else paused == "true",
    )


async def types_of(conn: AsyncConnection[Any]) -> list[str]:
    return [each["name"] for each in await process_types.page(conn, limit=TYPES)]


def shown(row: Row) -> Row:
    return {**row, "state": timetable.state_of(row), "words": timetable.words_of(row)}


def cursor_of(rows: list[Row], shown: int) -> str | None:
    if len(rows) <= shown:
        return None
    last = rows[shown - 1]
    at = last["next_at"].isoformat() if last["next_at"] else ""
    return f"{at}~{last['id']}"


def place_of(asked: Asked) -> Place | None:
    text = asked.text_cursor()
    return place(text) if text else None


def place(text: str) -> Place:
    at, _, number = text.partition("~")
    try:
        moment = datetime.fromisoformat(at) if at else None
        if not number.isdecimal() or len(number) > 18 or (moment and moment.tzinfo is None):
            raise ValueError
    except ValueError:
        raise Invalid("this is no page of the list", field="cursor") from None
    return Place(moment, int(number))


def reading(filter: Filter) -> lists.Read[Row]:
    async def read(conn: AsyncConnection[Any], after: str | None) -> tuple[list[Row], str | None]:
        behind = place(after) if after else None
        rows = await schedule_lists.page(conn, filter, limit=EXPORTED + 1, after=behind)
        return rows[:EXPORTED], cursor_of(rows, EXPORTED)

    return read


@router.get("/calendar")
async def ui_schedules_calendar(request: Request, conn: Conn) -> Response:
    """The soonest, in the zone of whoever looks."""
    asked = WEEK.read(request)
    if asked.is_untidy:
        return asked.tidied()
    filter = Filter(type=asked.text("type"), record=asked.text("record"))
    rows = await schedule_lists.page(conn, filter, limit=ON_A_WEEK + 1)
    return await frame.page(
        request,
        conn,
        "schedules_calendar.html",
        asked=asked,
        types=await types_of(conn),
        stopped=await stored.stopped(conn),
        tab="calendar",
        is_partial=len(rows) > ON_A_WEEK,
        most=ON_A_WEEK,
        **await week_page(request, conn, rows[:ON_A_WEEK]),
    )


async def week_page(
    request: Request, conn: AsyncConnection[Any], rows: list[Row]
) -> dict[str, Any]:
    """A week of these: as a picture, and as a list beneath it."""
    now = await stored.moment(conn)
    monday = monday_of(request, now)
    ids = [row["id"] for row in rows]
    past = await schedule_lists.ticks_between(conn, ids, *timetable.ends_of(monday), each=PAST)
    marks, often, is_cut = timetable.marks_of(rows, past, monday, now)
    return {
        "monday": monday,
        "picture": drawn.week(marks, monday, now),
        "marks": sorted(marks, key=lambda each: each.at)[:PAST],
        "often": often,
        "is_cut": is_cut,
        "weeks": [
            (text, f"{monday + timedelta(days=days):%Y-%m-%d}")
            for text, days in (("← Week before", -7), ("Week after →", 7))
        ],
    }


def monday_of(request: Request, now: datetime) -> datetime:
    zone = frame.look_of(request).tz
    given = query.moment(request, "week", zone)
    if given is not None and not FIRST <= given.replace(tzinfo=None) < LAST:
        raise Invalid("no schedule looks that far", field="week")
    return timetable.week_of(given or now, zone)


@router.post("/stop-all")
async def ui_stop_schedules(request: Request, conn: Conn, by: By) -> Response:
    await schedules.stop_all(conn, by=by, note=written.note(request.state.form))
    return frame.see("/ui/schedules", said="schedules_stopped")


@router.post("/resume-all")
async def ui_resume_schedules(conn: Conn, by: By) -> Response:
    await schedules.resume_all(conn, by=by)
    return frame.see("/ui/schedules", said="schedules_resumed")
