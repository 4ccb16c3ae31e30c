"""One workstation: what it is, what it does, how it went, and what may be asked of it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from edge import identity
from scheduler.api.state import By, Conn
from scheduler.domain.errors import NotFound, Refusal
from scheduler.services import workstations
from scheduler.store import queues
from scheduler.store import workstation_screens as stored
from scheduler.store.rows import Row
from ui import frame
from ui.drawing import line
from ui.drawing.line import Spot
from ui.drawing.svg import Node
from ui.forms import Form
from ui.forms_of_workstations import labels_of, reason_of, written
from ui.machine import facts_of, machine_of, number, used
from ui.pages.workstations import ribbons, with_machine
from ui.screen import Screen

router = APIRouter(prefix="/workstations", route_class=Screen)

DAY = timedelta(days=1)
HELD, RECENT, AMONG, COMMANDS, SIGHTINGS = 100, 20, 500, 30, 30
UNREADABLE = "unreadable"

Name = Annotated[str, Path(alias="workstation", min_length=1, max_length=200)]


@router.get("/{workstation}")
async def ui_workstation(workstation: Name, request: Request, conn: Conn) -> Response:
    return await page(request, conn, workstation)


async def found(conn: AsyncConnection[Any], name: str) -> Row:
    row = await stored.one(conn, name)
    if row is None:
        raise NotFound(f"there is no workstation {name[:200]!r}")
    return {**row, "labels_of_both": {**row["told_labels"], **row["labels"]}}


async def page(
    request: Request,
    conn: AsyncConnection[Any],
    name: str,
    *,
    fault: Refusal | None = None,
    typed: Form | None = None,
    verb: str = "",
) -> Response:
    row = await found(conn, name)
    id = row["id"]
    return await frame.page(
        request,
        conn,
        "workstation.html",
        status=frame.status_of(fault) if fault else 200,
        station=with_machine(row),
        fingerprint=fingerprint(row["public_key"]),
        told=facts_of(row["facts"]),
        policy=facts_of(row["policy"]),
        labels_written=written(row["labels"]),
        held=await stored.in_hand(conn, [id], each=HELD),
        recent=await stored.recent(conn, id, most=AMONG, limit=RECENT),
        commands=[with_state(each) for each in await stored.commands(conn, id, limit=COMMANDS)],
        sightings=await stored.sightings(conn, id, limit=SIGHTINGS),
        charts=await charts(conn, id),
        doctor=doctor_of(row["facts"]),
        ribbon=(await ribbons(conn, [row]))[id],
        fault=fault,
        typed=typed or Form([]),
        tried=verb,
        stream="/ui/stream",
    )


def fingerprint(key: str) -> str:
    try:
        return identity.fingerprint(key)
    except ValueError:
        return UNREADABLE


def with_state(command: Row) -> Row:
    if command["done_at"] is not None:
        state = "APPLIED" if command["applied"] else "REFUSED"
    else:
        state = "DELIVERED" if command["delivered_at"] is not None else "REQUESTED"
    return {**command, "state": state}


@dataclass(frozen=True, slots=True)
class Check:
    name: str
    state: str
    said: str


def doctor_of(facts: Mapping[str, Any]) -> list[Check]:
    """What it found when it looked at itself, if it told."""
    told = facts.get("doctor")
    if not isinstance(told, Sequence) or isinstance(told, str):
        return []
    words = {"ok": "CHECK_OK", "warning": "CHECK_WARNING"}
    return [
        Check(
            str(each.get("name", ""))[:60],
            words.get(str(each.get("state")), "CHECK_FAULT"),
            str(each.get("said", ""))[:300],
        )
        for each in told[:40]
        if isinstance(each, Mapping)
    ]


@dataclass(frozen=True, slots=True)
class Chart:
    name: str
    now: str
    drawn: Node


Read = Callable[[Mapping[str, Any]], float | None]
FIGURES: Sequence[tuple[str, Read, float | None, str]] = (
    ("CPU", lambda told: number(told, "cpu"), 1.0, "percent"),
    ("Memory", lambda told: used(told, "memory"), 1.0, "percent"),
    ("Disk", lambda told: used(told, "disk"), 1.0, "percent"),
    ("Temperature", lambda told: number(told, "temperature"), None, "degrees"),
    ("To be sent", lambda told: number(told, "outbox_items"), None, "count"),
)


async def charts(conn: AsyncConnection[Any], workstation: int) -> list[Chart]:
    """Of the last day; what it never told has none."""
    rows = await stored.metrics(conn, workstation)
    if not rows:
        return []
    start = (await queues.moment(conn)).now - DAY
    told = [((row["at"] - start) / DAY, row["metrics"]) for row in rows]
    made = [chart(name, read, most, unit, told) for name, read, most, unit in FIGURES]
    return [each for each in made if each is not None]


def chart(
    name: str,
    read: Read,
    most: float | None,
    unit: str,
    told: Sequence[tuple[float, Mapping[str, Any]]],
) -> Chart | None:
    spots = [Spot(at, value) for at, each in told if (value := read(each)) is not None]
    if not spots:
        return None
    low, high = min(spot.value for spot in spots), max(spot.value for spot in spots)
    label = f"{name} over 24 hours, between {said(low, unit)} and {said(high, unit)}"
    return Chart(name, said(spots[-1].value, unit), line.draw(spots, label, most=most))


def said(value: float, unit: str) -> str:
    if unit == "percent":
        return f"{value:.0%}"
    return f"{value:.0f} °C" if unit == "degrees" else f"{value:.0f}"


Command = Callable[[AsyncConnection[Any], str, Form, str], Awaitable[Any]]


async def accept(conn: AsyncConnection[Any], name: str, form: Form, by: str) -> None:
    await workstations.accept(conn, name, by=by)


async def drain(conn: AsyncConnection[Any], name: str, form: Form, by: str) -> None:
    await workstations.drain(conn, name, reason_of(form), by=by)


async def undrain(conn: AsyncConnection[Any], name: str, form: Form, by: str) -> None:
    await workstations.undrain(conn, name, by=by)


VERBS: Mapping[str, Command] = {"accept": accept, "drain": drain, "undrain": undrain}


@router.get("/{workstation}/revoke")
async def ui_revoke_workstation_form(workstation: Name, request: Request, conn: Conn) -> Response:
    return await leaving(request, conn, workstation, "revoke")


@router.get("/{workstation}/remove")
async def ui_remove_workstation_form(workstation: Name, request: Request, conn: Conn) -> Response:
    return await leaving(request, conn, workstation, "remove")


async def leaving(
    request: Request,
    conn: AsyncConnection[Any],
    name: str,
    verb: str,
    *,
    fault: Refusal | None = None,
) -> Response:
    row = await found(conn, name)
    return await frame.page(
        request,
        conn,
        "workstation_leaving.html",
        status=frame.status_of(fault) if fault else 200,
        station=row,
        verb=verb,
        held=await stored.in_hand(conn, [row["id"]], each=HELD),
        machine=machine_of(row["metrics"]),
        fault=fault,
    )


@router.post("/{workstation}/revoke")
async def ui_revoke_workstation(
    workstation: Name, request: Request, conn: Conn, by: By
) -> Response:
    try:
        await workstations.revoke(conn, workstation, by=by)
    except Refusal as error:
        return await leaving(request, conn, workstation, "revoke", fault=error)
    return back(workstation, "workstation-revoke")


@router.post("/{workstation}/remove")
async def ui_remove_workstation(workstation: Name, request: Request, conn: Conn) -> Response:
    try:
        await workstations.remove(conn, workstation)
    except Refusal as error:
        return await leaving(request, conn, workstation, "remove", fault=error)
    return frame.see("/ui/workstations", said="workstation-remove")


@router.post("/{workstation}/labels")
async def ui_label_workstation(workstation: Name, request: Request, conn: Conn) -> Response:
    """All labels that people gave it, and the note, as they are to be."""
    form: Form = request.state.form
    try:
        labels: dict[str, str | None] = {**labels_of(form.get("labels"))}
        given = (await found(conn, workstation))["labels"]
        gone = {name: None for name in given if name not in labels}
        note = form.get("note").strip()[:2000] or None
        await workstations.change(conn, workstation, {"labels": {**gone, **labels}, "note": note})
    except Refusal as error:
        return await page(request, conn, workstation, fault=error, typed=form, verb="labels")
    return back(workstation, "workstation-labels")


@router.post("/{workstation}/accept")
async def ui_accept_workstation(
    workstation: Name, request: Request, conn: Conn, by: By
) -> Response:
    return await carried_out(request, conn, workstation, "accept", by)


@router.post("/{workstation}/drain")
async def ui_drain_workstation(workstation: Name, request: Request, conn: Conn, by: By) -> Response:
    return await carried_out(request, conn, workstation, "drain", by)


@router.post("/{workstation}/undrain")
async def ui_undrain_workstation(
    workstation: Name, request: Request, conn: Conn, by: By
) -> Response:
    return await carried_out(request, conn, workstation, "undrain", by)


async def carried_out(
    request: Request, conn: AsyncConnection[Any], name: str, verb: str, by: str
) -> Response:
    form: Form = request.state.form
    try:
        await VERBS[verb](conn, name, form, by)
    except Refusal as error:
        return await page(request, conn, name, fault=error, typed=form, verb=verb)
    if verb == "accept" and (joining := form.get("invitation")).isdecimal():
        return frame.see(f"/ui/invitations/{joining[:18]}", said="workstation-accept")
    return back(name, f"workstation-{verb}")


def back(name: str, said: str) -> Response:
    return frame.see(f"/ui/workstations/{quote(name, safe='')}", said=said)
