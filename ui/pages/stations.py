"""The page of one station: what is done there, and the few big buttons that this allows."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, tzinfo
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn, TheCatalog
from scheduler.domain import places
from scheduler.domain.errors import Conflict, Forbidden, Invalid, NotFound, Refusal
from scheduler.domain.faults import Unfit
from scheduler.domain.states import RunState
from scheduler.services import approvals, instructions, runs
from scheduler.services.access import Caller
from scheduler.services.approvals import Decision
from scheduler.services.catalog import Catalog
from scheduler.store import mirrors, placements
from scheduler.store import workstation_screens as stored
from scheduler.store.rows import Row
from ui import access, buttons, frame, kiosk, schema_forms, schema_values, session, words
from ui.forms import Form
from ui.kiosk import Button, Coming, Notice, Question, Station, Work
from ui.machine import machine_of
from ui.screen import Screen

router = APIRouter(prefix="/stations", route_class=Screen)

SHOWN, ASKED, COMING, QUEUES = 6, 6, 5, 20
AMONG = 200  # of the latest that were there
PREFIX = "data."
LONGEST = 2_000
SHAPES = {"hold": "HELD", "resume": "IN_PROGRESS", "stop": "STOPPED", "reset": "REDRIVEN"}
TEXTS = {"hold": "Hold", "resume": "Resume", "stop": "Stop", "retry": "Reset"}
VERBS = {"hold": "hold", "resume": "resume", "stop": "stop", "retry": kiosk.RESET}
SAYS = {"hold": "hold", "resume": "resume", "stop": "stop", "reset": "retry"}

Name = Annotated[str, Path(alias="workstation", min_length=1, max_length=200)]
Verb = Annotated[str, Path(pattern="^(hold|resume|stop|reset)$")]


@router.get("/{workstation}")
async def ui_station(
    workstation: Name, request: Request, conn: Conn, catalog: TheCatalog
) -> Response:
    return await page(request, conn, catalog, workstation)


async def page(
    request: Request,
    conn: AsyncConnection[Any],
    catalog: Catalog,
    name: str,
    *,
    fault: Refusal | None = None,
    form: Form | None = None,
    refused: int | None = None,
) -> Response:
    row = await stored.one(conn, name)
    if row is None:
        raise NotFound(f"there is no workstation {name[:200]!r}")
    caller = session.person_of(request).caller
    asked = await stored.asked(conn, row["id"], limit=ASKED)
    is_asked = refused in [each["id"] for each in asked]
    station = Station(
        name=row["name"],
        state=row["seen"],
        home=f"/ui/stations/{quote(name, safe='')}",
        notices=notices(row, frame.look_of(request).tz),
        work=await work(conn, catalog, row, caller),
        questions=[
            question(each, caller, form, fault) if each["id"] == refused else question(each, caller)
            for each in asked
        ],
        coming=await coming(conn, row),
        draining=row["draining"],
    )
    return await frame.page(
        request,
        conn,
        "station.html",
        status=frame.status_of(fault) if fault else 200,
        station=station,
        shapes=SHAPES,
        links=[
            ("All of this workstation", f"/ui/workstations/{quote(name, safe='')}"),
            ("Dashboard", "/ui"),
        ],
        fault=None if is_asked else fault,
        stream="/ui/stream",
        refresh=kiosk.refresh(station),
        again=station.home,
        begin="",
    )


def notices(row: Row, zone: tzinfo) -> list[Notice]:
    found = []
    if row["state"] == "REVOKED":
        found.append(Notice("This workstation is revoked: nothing of it is heard any more.", "bad"))
    elif row["state"] == "PENDING":
        found.append(Notice("This workstation waits to be accepted.", "wait"))
    elif row["seen"] == "OFFLINE":
        heard = words.clock(row["heard_at"], zone, datetime.now(UTC))
        since = f"since {heard}" if row["heard_at"] else "so far"
        found.append(
            Notice(
                f"Out of reach {since}: it goes on by itself, and what is pressed here "
                "arrives when it is back.",
                "late",
            )
        )
    if row["draining"]:
        why = f": {row['drain_reason']}" if row["drain_reason"] else ""
        found.append(Notice(f"It takes no new work{why}"))
    if waits := machine_of(row["metrics"]).outbox:
        found.append(Notice(f"{words.plural(waits, 'update')} of it still to be sent", "idle"))
    return found


async def work(
    conn: AsyncConnection[Any], catalog: Catalog, station: Row, caller: Caller
) -> Sequence[Work]:
    rows = await stored.work(conn, station["id"], most=AMONG, limit=SHOWN)
    texts = await texts_of(conn, catalog, rows)
    return [job(row, station, texts.get((row["id"], row["task"]), ""), caller) for row in rows]


async def texts_of(
    conn: AsyncConnection[Any], catalog: Catalog, rows: Sequence[Row]
) -> Mapping[tuple[UUID, str], str]:
    found = {}
    for row in rows:
        if row["task"] is not None:
            which = (row["type"], row["type_version"], row["task"])
            text = await instructions.of_task(conn, catalog, *which, row["input"])
            found[row["id"], row["task"]] = text
    return found


def job(row: Row, station: Row, text: str, caller: Caller) -> Work:
    told = row["progress"] or {}
    far = told.get("progress")
    is_away = row["task"] is not None and station["seen"] == "OFFLINE"
    return Work(
        id=str(row["id"]),
        title=row["type"],
        record=row["record_id"],
        state=row["state"],
        task=row["task"],
        text=text,
        said="It asks something." if row["asks_there"] else str(told.get("text") or "")[:300],
        progress=min(1.0, max(0.0, float(far))) if isinstance(far, int | float) else None,
        since=row["since"],
        over=row["total"] - row["open"],
        total=row["total"],
        error=row["error"] or "",
        condition="UNREACHABLE" if is_away else "",
        href=f"/ui/runs/{row['id']}",
        buttons=pressable(RunState(row["state"]), caller),
    )


def pressable(state: RunState, caller: Caller) -> list[Button]:
    """Those that mean something now: what is over has a reset, what goes on has not."""
    found = {each.verb: each for each in buttons.of_run(state, caller)}
    shown = ["retry"] if state.is_final else ["resume" if is_held(state) else "hold", "stop"]
    return [Button(VERBS[verb], TEXTS[verb], found[verb].obstacle) for verb in shown]


def is_held(state: RunState) -> bool:
    return state in (RunState.HELD, RunState.HOLDING)


def question(
    row: Row, caller: Caller, form: Form | None = None, fault: Refusal | None = None
) -> Question:
    faults = fault.faults if isinstance(fault, Unfit) else ()
    return Question(
        id=str(row["id"]),
        message=row["message"],
        about=" ".join(filter(None, (row["type"], row["record_id"], row["task"]))),
        fields=schema_forms.fields_of(row["form"], {}, PREFIX, form=form, faults=faults),
        asked_at=row["asked_at"],
        due_at=row["due_at"],
        note=form.get("note") if form else "",
        fault=str(fault) if fault else "",
        obstacle=None
        if access.may(caller, "ui_station_answer")
        else f"To answer takes an operator; you are {caller.role}.",
    )


async def coming(conn: AsyncConnection[Any], station: Row) -> list[Coming]:
    labels = places.labels_of(station["labels"], station["told_labels"])
    ready = await placements.ready_queues(conn)
    mine = places.queues_for(station["name"], labels, ready)[:QUEUES]
    rows = await stored.next_up(conn, [f"ws:{station['name']}", *mine], limit=COMING)
    return [Coming(row["type"], row["task"], row["record_id"]) for row in rows]


@router.post("/{workstation}/answer")
async def ui_station_answer(
    workstation: Name, request: Request, conn: Conn, catalog: TheCatalog
) -> Response:
    form: Form = request.state.form
    approval = number_of(form.get("id"))
    if form.get("more"):
        return await page(request, conn, catalog, workstation, form=form, refused=approval)
    try:
        decision = await decision_of(conn, form, approval)
        caller = session.person_of(request).caller
        decided = await approvals.decide(conn, catalog, approval, decision, caller)
    except (Invalid, Conflict, Forbidden) as error:
        return await page(
            request, conn, catalog, workstation, fault=error, form=form, refused=approval
        )
    if decided["state"] == "OPEN":
        return back(workstation, "asked")
    return back(workstation, "approved" if decision.approve else "rejected")


async def decision_of(conn: AsyncConnection[Any], form: Form, approval: int) -> Decision:
    if form.get("decision") not in ("approve", "reject"):
        raise Invalid("say whether it is approved or rejected", field="decision")
    approve = form.get("decision") == "approve"
    asked = await approvals.get(conn, approval)
    data = schema_values.read(form, asked["form"], prefix=PREFIX) if approve else {}
    return Decision(approve=approve, data=data, note=form.get("note").strip()[:LONGEST] or None)


@router.post("/{workstation}/{verb}")
async def ui_station_command(
    workstation: Name, verb: Verb, request: Request, conn: Conn, catalog: TheCatalog, by: By
) -> Response:
    form: Form = request.state.form
    try:
        run = run_of(form.get("id"))
        await carry_out(conn, catalog, verb, run, form, by)
        is_asked = await mirrors.station_of(conn, run) is not None
    except (Invalid, Conflict) as error:
        return await page(request, conn, catalog, workstation, fault=error)
    return back(workstation, "asked" if is_asked else SAYS[verb])


async def carry_out(
    conn: AsyncConnection[Any], catalog: Catalog, verb: str, run: UUID, form: Form, by: str
) -> None:
    if verb == kiosk.HOLD:
        await runs.hold(conn, catalog, run, by=by)
    elif verb == kiosk.RESUME:
        await runs.resume(conn, catalog, run, by=by)
    elif verb == kiosk.STOP:
        why = form.get("why").strip()[:500] or None
        await runs.stop(conn, catalog, run, by=by, why=why)
    else:
        await runs.retry(conn, catalog, run, by=by)


def run_of(given: str) -> UUID:
    try:
        return UUID(given)
    except ValueError:
        raise NotFound("there is no such run") from None


def number_of(given: str) -> int:
    if not (given.isascii() and given.isdecimal() and int(given[:18]) > 0):
        raise NotFound("there is no such question")
    return int(given[:18])


def back(name: str, said: str) -> Response:
    return frame.see(f"/ui/stations/{quote(name, safe='')}", said=said)
