"""Events: what happened elsewhere, what it started, and who waited for it."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn
from scheduler.domain.errors import Invalid, Refusal
from scheduler.domain.events import NewEvent
from scheduler.services import event_lists, events
from scheduler.store import event_lists as stored
from scheduler.store.event_lists import Filter
from scheduler.store.rows import Row
from ui import frame, lists, query, written
from ui.forms import Form
from ui.lists import Asked, Column, Field, Listing
from ui.screen import Screen

router = APIRouter(prefix="/events", route_class=Screen)

SHOWN, EXPORTED, DECISIONS, WAITING = 50, 500, 200, 100
SOURCE = "dashboard"
FIELDS = ("type", "key", "source", "id", "data")
Id = Annotated[int, Path(alias="event", ge=1, le=2**63 - 1)]
Connection = AsyncConnection[Any]

LIST = Listing(
    fields=(
        Field("type", "Type"),
        Field("key", "About"),
        Field("source", "Source"),
        Field("since", "Since", "moment"),
        Field("until", "Before", "moment"),
    ),
    columns=(
        Column("at", "Came"),
        Column("type", "Type"),
        Column("key", "About"),
        Column("source", "Source"),
        Column("data", "Data"),
        Column("number", "Number", is_num=True),
        Column("occurred", "Happened", is_usual=False),
        Column("by", "Sent by", is_usual=False),
    ),
)
TOLD = ("id", "source", "event_id", "type", "key", "data", "attributes", "occurred_at")
CELLS: lists.Cells[Row] = {name: itemgetter(name) for name in (*TOLD, "received_at", "received_by")}


@router.get("")
async def ui_events(request: Request, conn: Conn) -> Response:
    asked = LIST.read(request)
    if asked.is_untidy:
        return asked.tidied()
    filter = filter_of(asked)
    if asked.format:
        return await lists.exported(asked, "events", CELLS, reading(filter))
    found = await event_lists.page(conn, filter, limit=SHOWN, after=asked.number_cursor())
    return await frame.page(
        request,
        conn,
        "events.html",
        asked=asked,
        rows=[{**row, "data_text": written.compact(row["data"])} for row in found.rows],
        next=asked.next(found.next),
        is_cut=found.is_cut,
        window=event_lists.WINDOW,
        stream="/ui/stream" if asked.is_first else None,
    )


def filter_of(asked: Asked) -> Filter:
    return Filter(
        type=asked.text("type"),
        key=asked.text("key"),
        source=asked.text("source"),
        since=asked.moment("since"),
        until=asked.moment("until"),
    )


def reading(filter: Filter) -> lists.Read[Row]:
    async def read(conn: Connection, after: int | None) -> tuple[list[Row], int | None]:
        found = await event_lists.page(conn, filter, limit=EXPORTED, after=after)
        return list(found.rows), found.next

    return read


@router.get("/new")
async def ui_new_event(request: Request, conn: Conn) -> Response:
    """Perhaps filled from one that was."""
    given = {"source": SOURCE, "id": written.nonce()}
    earlier = query.number(request, "like", 2**63 - 1)
    if earlier is not None:
        row = await events.get(conn, earlier)
        given |= {"type": row["type"], "key": row["key"], "data": frame.pretty(row["data"])}
    return await form_page(request, conn, given)


async def form_page(
    request: Request, conn: Connection, given: Mapping[str, str], fault: Refusal | None = None
) -> Response:
    return await frame.page(
        request,
        conn,
        "event_form.html",
        status=frame.status_of(fault) if fault else 200,
        given=given,
        fault=fault,
        faults=written.fields_at_fault(fault, FIELDS),
    )


@router.post("/new")
async def ui_send_event(request: Request, conn: Conn, by: By) -> Response:
    """Sent twice it is one event: its id is in the form."""
    form: Form = request.state.form
    try:
        stored_now = await events.receive(conn, [event_of(form)], by=by)
    except Invalid as fault:
        return await form_page(request, conn, {name: form.get(name) for name in FIELDS}, fault)
    if not stored_now:
        return frame.see("/ui/events", said="event_known", source=form.get("source").strip())
    return frame.see(f"/ui/events/{stored_now[0]['id']}", said="event_sent")


def event_of(form: Form) -> NewEvent:
    return NewEvent(
        source=form.get("source").strip(),
        id=form.get("id").strip() or events.new_event_id(),
        type=form.get("type").strip(),
        key=form.get("key").strip(),
        data=written.json_of(form, "data"),
    )


@router.get("/{event}")
async def ui_event(event: Id, request: Request, conn: Conn) -> Response:
    row = await events.get(conn, event)
    waits = await stored.waiting(conn, row["type"], row["key"], event=event, limit=WAITING)
    return await frame.page(
        request,
        conn,
        "event.html",
        event=row,
        run=run_of(row["source"]),
        webhook=row["received_by"].removeprefix("webhook ")
        if row["received_by"].startswith("webhook ")
        else None,
        decisions=await stored.decisions(conn, event, limit=DECISIONS),
        woken=[each for each in waits if each["state"] == "SUCCEEDED"],
        looked=[each for each in waits if each["state"] != "SUCCEEDED"],
        stream="/ui/stream",
    )


def run_of(source: str) -> UUID | None:
    """The run whose task emitted it."""
    try:
        return UUID(source.removeprefix("run:")) if source.startswith("run:") else None
    except ValueError:
        return None
