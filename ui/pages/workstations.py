"""Fleet: every workstation, whether it is there, what it has in hand and what it keeps to send."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn
from scheduler.domain.errors import Conflict, Invalid, Refusal
from scheduler.services import workstations
from scheduler.store import queues
from scheduler.store import workstation_screens as stored
from scheduler.store.rows import Row
from ui import frame, lists
from ui.drawing import ribbon
from ui.drawing.svg import Node
from ui.forms import Form
from ui.forms_of_workstations import labels_of, reason_of
from ui.lists import Asked, Column, Field, Listing
from ui.machine import SITE, is_off, machine_of
from ui.screen import Screen

router = APIRouter(prefix="/workstations", route_class=Screen)

SHOWN, EXPORTED = 50, 200
HELD = 3
SITES, INVITED = 100, 20
PRESENCES = 2_000
WEEK = timedelta(days=7)
STATES = ("ONLINE", "LATE", "OFFLINE", "DRAINING", "PENDING", "REVOKED")
VERBS = ("drain", "undrain", "label")

LIST = Listing(
    fields=(
        Field("q", "Name or host has"),
        Field("label", "Has the label", hint="line=2"),
        Field("site", "Site", "choice"),
        Field("seen", "State", "states", STATES),
    ),
    columns=(
        Column("name", "Workstation"),
        Column("state", "State"),
        Column("hand", "In hand"),
        Column("week", "Last 7 days"),
        Column("link", "Connection"),
        Column("outbox", "To be sent"),
        Column("machine", "Machine"),
        Column("version", "Version"),
        Column("since", "Joined", is_usual=False),
    ),
)
CELLS: lists.Cells[Row] = {
    "name": lambda row: row["name"],
    "state": lambda row: row["seen"],
    "draining": lambda row: row["draining"],
    "site": lambda row: row["labels"].get(SITE),
    "labels": lambda row: " ".join(f"{name}={value}" for name, value in row["labels"].items()),
    "heard_at": lambda row: row["heard_at"],
    "carrier": lambda row: row["carrier"],
    "round_trip": lambda row: row["round_trip"],
    "skew": lambda row: row["skew"],
    "version": lambda row: row["version"],
    "slots": lambda row: row["slots"],
    "in_hand": lambda row: row["in_hand"],
    "outbox_items": lambda row: machine_of(row["metrics"]).outbox,
    "outbox_bytes": lambda row: machine_of(row["metrics"]).outbox_bytes,
    "temperature": lambda row: machine_of(row["metrics"]).temperature,
    "disk_used": lambda row: machine_of(row["metrics"]).disk_used,
    "created_at": lambda row: row["created_at"],
}


@router.get("")
async def ui_workstations(request: Request, conn: Conn) -> Response:
    asked = LIST.read(request)
    if asked.is_untidy:
        return asked.tidied()
    if asked.format:
        return await lists.exported(asked, "workstations", CELLS, reading(asked), after="")
    rows, next = await reading(asked, SHOWN)(conn, asked.text_cursor() or "")
    held = await stored.in_hand(conn, [row["id"] for row in rows], each=HELD)
    return await frame.page(
        request,
        conn,
        "workstations.html",
        asked=asked,
        workstations=[with_machine(row) for row in rows],
        next=asked.next(next),
        counts_of=await stored.counts(conn),
        held=by_workstation(held),
        ribbons=await ribbons(conn, rows),
        sites=await stored.sites(conn, SITE, SITES),
        invitations=await stored.invitations(conn, limit=INVITED) if asked.is_first else [],
        states=STATES,
        stream="/ui/stream" if asked.is_first else None,
    )


def reading(asked: Asked, limit: int = EXPORTED) -> lists.Read[Row]:
    states, text = asked.among("seen"), asked.text("q")
    label = labels_of(asked.text("label") or "", "label")
    if site := asked.text("site"):
        label[SITE] = site

    async def read(conn: AsyncConnection[Any], after: str) -> tuple[list[Row], str | None]:
        rows = await stored.workstations(
            conn,
            limit=limit + 1,
            after=after,
            states=states or None,
            label=label or None,
            text=text,
        )
        return rows[:limit], rows[limit - 1]["name"] if len(rows) > limit else None

    return read


def with_machine(row: Row) -> Row:
    return {**row, "machine": machine_of(row["metrics"]), "is_off": is_off(row)}


def by_workstation(rows: Sequence[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = {}
    for row in rows:
        found.setdefault(row["workstation"], []).append(row)
    return found


async def ribbons(conn: AsyncConnection[Any], rows: Sequence[Row]) -> Mapping[int, Node]:
    """When each was there within the week."""
    now = (await queues.moment(conn)).now
    stretches: dict[int, list[tuple[datetime, datetime]]] = {row["id"]: [] for row in rows}
    for each in await stored.presence(conn, list(stretches), limit=PRESENCES):
        stretches[each["workstation"]].append((each["since"], each["until"]))
    return {
        row["id"]: ribbon.ribbon(stretches[row["id"]], now - WEEK, WEEK, row["name"])
        for row in rows
    }


@router.post("/chosen/confirm")
async def ui_workstations_confirm(request: Request, conn: Conn) -> Response:
    """Shows exactly which were chosen, before anything is asked of them."""
    form: Form = request.state.form
    names, verb = chosen(form), verb_of(form.get("action"))
    return await preview(request, conn, names, verb)


async def preview(
    request: Request,
    conn: AsyncConnection[Any],
    names: Sequence[str],
    verb: str,
    *,
    fault: Refusal | None = None,
    written: Form | None = None,
) -> Response:
    found = [row for row in await stored.named(conn, names) if row["state"] != "REVOKED"]
    if not found:
        raise Conflict("none of these is there any more")
    held = await stored.in_hand(conn, [row["id"] for row in found], each=HELD)
    return await frame.page(
        request,
        conn,
        "workstations_confirm.html",
        status=frame.status_of(fault) if fault else 200,
        workstations=found,
        left_out=len(names) - len(found),
        verb=verb,
        held=by_workstation(held),
        fault=fault,
        written=written or Form([]),
    )


@router.post("/chosen/decide")
async def ui_decide_workstations(request: Request, conn: Conn, by: By) -> Response:
    form: Form = request.state.form
    names, verb = chosen(form), verb_of(form.get("action"))
    try:
        changed = labels_of(form.get("labels"), field="labels") if verb == "label" else {}
        if verb == "label" and not changed:
            raise Invalid("write at least one label, such as line=2", field="labels")
        reason = reason_of(form) if verb == "drain" else ""
    except Invalid as error:
        return await preview(request, conn, names, verb, fault=error, written=form)
    done, missed = [], []
    for name in names:
        try:
            await change(conn, name, verb, reason=reason, labels=changed, by=by)
            done.append(name)
        except Refusal as error:
            missed.append((name, error))
    return await frame.page(
        request, conn, "workstations_done.html", done=done, missed=missed, verb=verb
    )


async def change(
    conn: AsyncConnection[Any],
    name: str,
    verb: str,
    *,
    reason: str,
    labels: Mapping[str, str],
    by: str,
) -> None:
    if verb == "drain":
        await workstations.drain(conn, name, reason, by=by)
    elif verb == "undrain":
        await workstations.undrain(conn, name, by=by)
    else:
        await workstations.label(conn, name, labels, by=by)


def verb_of(given: str) -> str:
    if given not in VERBS:
        raise Invalid("a workstation is drained, undrained or given labels", field="action")
    return given


def chosen(form: Form) -> list[str]:
    """Those that were ticked, and never all instead of none."""
    given = list(dict.fromkeys(form.all("id")))
    if not 1 <= len(given) <= SHOWN or any(not 1 <= len(each) <= 200 for each in given):
        raise Invalid(f"choose 1 to {SHOWN} workstations", field="id")
    return given
