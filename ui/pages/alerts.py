"""Alerts: what rules found, whom it reached, and what to do about both."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn
from scheduler.domain.errors import Conflict, Invalid, Refusal
from scheduler.domain.notifications import TITLES
from scheduler.services import notifications
from scheduler.store import notifications as stored
from scheduler.store.rows import Row
from ui import frame, lists
from ui.forms import Form
from ui.lists import Asked, Column, Field, Listing
from ui.screen import Screen

router = APIRouter(prefix="/alerts", route_class=Screen)

SHOWN, EXPORTED = 50, 500
STATES = ("PENDING", "DELIVERED", "FAILED")
SILENT = {
    "snoozed": "the rule was asleep",
    "quiet": "the rule had just spoken of the same",
    "too many": "the rule had spoken too often that day",
}
Id = Annotated[int, Path(alias="alert", ge=1, le=2**63 - 1)]
DeliveryId = Annotated[int, Path(alias="delivery", ge=1, le=2**63 - 1)]
Connection = AsyncConnection[Any]

LIST = Listing(
    fields=(
        Field("rule", "Rule", "choice"),
        Field("open", "Told and not acknowledged", "choice", ("true",)),
    ),
    columns=(
        Column("what", "What"),
        Column("subject", "Of"),
        Column("rule", "Rule"),
        Column("at", "Found"),
        Column("told", "Told"),
        Column("seen", "Acknowledged"),
    ),
)
DELIVERIES = Listing(
    fields=(
        Field("channel", "Channel", "choice"),
        Field("status", "State", "choice", STATES),
        Field("notification", "Alert", "number"),
    ),
    columns=(
        Column("state", "State"),
        Column("subject", "Of"),
        Column("channel", "Channel"),
        Column("answer", "Answer"),
        Column("attempts", "Attempts", is_num=True),
        Column("tried", "Tried"),
        Column("do", "What can be done"),
    ),
)
TOLD = ("id", "rule", "event", "subject", "data", "at", "silent", "acknowledged_at")
CELLS: lists.Cells[Row] = {name: itemgetter(name) for name in (*TOLD, "acknowledged_by")}
SENT = ("id", "notification", "rule", "subject", "channel", "status", "attempts", "next_at")
OF_DELIVERY: lists.Cells[Row] = {
    name: itemgetter(name) for name in (*SENT, "answer", "error", "tried_at", "delivered_at")
}


@router.get("")
async def ui_alerts(request: Request, conn: Conn) -> Response:
    asked = LIST.read(request)
    if asked.is_untidy:
        return asked.tidied()
    filter = {"rule": asked.text("rule"), "open": asked.one_of("open") is not None}
    if asked.format:
        return await lists.exported(asked, "alerts", CELLS, reading(stored.page, filter))
    rows = await page_of(conn, asked, stored.page, filter)
    rules = await stored.rules(conn)
    return await frame.page(
        request,
        conn,
        "alerts.html",
        asked=asked,
        rows=[with_words(row) for row in rows[:SHOWN]],
        next=asked.next(cursor_of(rows, SHOWN)),
        rules=[rule["name"] for rule in rules],
        tab="",
        stream="/ui/stream" if asked.is_first else None,
    )


async def page_of(conn: Connection, asked: Asked, page: Any, filter: dict[str, Any]) -> list[Row]:
    """One row more than is shown tells whether there are others."""
    found: list[Row] = await page(conn, limit=SHOWN + 1, after=asked.number_cursor(), **filter)
    return found


def cursor_of(rows: Sequence[Row], shown: int) -> int | None:
    return int(rows[shown - 1]["id"]) if len(rows) > shown else None


def reading(page: Any, filter: dict[str, Any]) -> lists.Read[Row]:
    async def read(conn: Connection, after: int | None) -> tuple[list[Row], int | None]:
        rows = await page(conn, limit=EXPORTED + 1, after=after, **filter)
        return rows[:EXPORTED], cursor_of(rows, EXPORTED)

    return read


def with_words(row: Row) -> Row:
    event = "test" if row["data"].get("test") else row["event"]
    return {
        **row,
        "title": TITLES[event],
        "why": SILENT.get(row["silent"] or "", row["silent"]),
        "run": row["data"].get("run"),
        "schedule": row["data"].get("schedule"),
    }


@router.get("/deliveries")
async def ui_deliveries(request: Request, conn: Conn) -> Response:
    return await deliveries_page(request, conn)


async def deliveries_page(
    request: Request, conn: Connection, fault: Refusal | None = None
) -> Response:
    asked = DELIVERIES.read(request)
    if asked.is_untidy:
        return asked.tidied()
    filter = {
        "channel": asked.text("channel"),
        "status": asked.one_of("status"),
        "notification": asked.number("notification"),
    }
    if asked.format:
        read = reading(stored.deliveries, filter)
        return await lists.exported(asked, "deliveries", OF_DELIVERY, read)
    rows = await page_of(conn, asked, stored.deliveries, filter)
    return await frame.page(
        request,
        conn,
        "alerts_deliveries.html",
        status=frame.status_of(fault) if fault else 200,
        asked=asked,
        rows=rows[:SHOWN],
        next=asked.next(cursor_of(rows, SHOWN)),
        channels=[each["name"] for each in await stored.channels(conn)],
        fault=fault,
        tab="deliveries",
        stream="/ui/stream" if asked.is_first else None,
    )


@router.post("/deliveries/{delivery}/redeliver")
async def ui_redeliver(delivery: DeliveryId, request: Request, conn: Conn) -> Response:
    await notifications.redeliver(conn, delivery)
    back = request.state.form.get("back")
    path = f"/ui/alerts/{back}" if back.isdecimal() and len(back) < 19 else "/ui/alerts/deliveries"
    return frame.see(path, said="redelivered")


@router.get("/{alert}")
async def ui_alert(alert: Id, request: Request, conn: Conn) -> Response:
    return await alert_page(request, conn, alert)


async def alert_page(
    request: Request, conn: Connection, alert: int, fault: Refusal | None = None
) -> Response:
    found = await notifications.get(conn, alert)
    return await frame.page(
        request,
        conn,
        "alert.html",
        status=frame.status_of(fault) if fault else 200,
        alert=with_words(found),
        deliveries=await stored.deliveries(conn, notification=alert, limit=SHOWN),
        fault=fault,
        stream="/ui/stream",
    )


@router.post("/{alert}/acknowledge")
async def ui_acknowledge(alert: Id, request: Request, conn: Conn, by: By) -> Response:
    try:
        await notifications.acknowledge(conn, alert, by=by)
    except Conflict as fault:
        return await alert_page(request, conn, alert, fault)
    return frame.see(f"/ui/alerts/{alert}", said="acknowledged")


@router.post("/chosen/confirm")
async def ui_acknowledge_confirm(request: Request, conn: Conn) -> Response:
    """Exactly those that were ticked and are still open, before they are acknowledged."""
    ids = chosen(request.state.form)
    found = [row for each in ids if (row := await stored.get(conn, each)) is not None]
    still = [with_words(row) for row in found if row["acknowledged_at"] is None]
    if not still:
        raise Conflict("all of these were acknowledged before")
    return await frame.page(request, conn, "alerts_confirm.html", rows=still)


@router.post("/chosen/decide")
async def ui_acknowledge_many(request: Request, conn: Conn, by: By) -> Response:
    for each in chosen(request.state.form):
        await stored.acknowledge(conn, each, by=by)
    return frame.see("/ui/alerts", said="acknowledged")


def chosen(form: Form) -> list[int]:
    """Those that were ticked, and never all instead of none."""
    given = list(dict.fromkeys(form.all("id")))
    if not 1 <= len(given) <= SHOWN:
        raise Invalid(f"choose 1 to {SHOWN} alerts", field="id")
    if any(not (each.isascii() and each.isdecimal() and len(each) < 19) for each in given):
        raise Invalid("this is no alert", field="id")
    return [int(each) for each in given]
