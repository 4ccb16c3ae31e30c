"""A schedule that is made or changed: a form that shows the next times before it is stored."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn, TheCatalog
from scheduler.domain.documents import UnreadableDocument, load, plain
from scheduler.domain.errors import Conflict, Invalid, NotFound, Refusal
from scheduler.domain.schedule_reading import read_schedule
from scheduler.domain.schedule_words import in_words
from scheduler.domain.schedules import CatchUp, Plan, ScheduleSpec
from scheduler.services import schedules, ticking
from scheduler.store import schedules as stored
from scheduler.store.rows import Row
from scheduler.store.schedules import Target
from ui import frame, query, timetable, written
from ui.forms import Form
from ui.pages.schedules import types_of
from ui.screen import Screen

router = APIRouter(prefix="/schedules", route_class=Screen)

Id = Annotated[int, Path(alias="schedule", ge=1, le=2**63 - 1)]
Connection = AsyncConnection[Any]
REFUSED = (Invalid, Conflict, NotFound)

KINDS = ("cron", "every", "at")
PLAIN = ("name", "description", "zone", "start", "end", "jitter", "overlap", "workstation")
REST = ("anchor", "input", "blackouts", "catch_up", "window", "per_minute", "priority")
FIELDS = (*PLAIN, *KINDS, *REST, "type", "record")


@router.get("/new")
async def ui_new_schedule(request: Request, conn: Conn) -> Response:
    given = {
        "kind": "cron",
        "type": query.text(request, "type") or "",
        "record": query.text(request, "record") or "",
        "zone": frame.look_of(request).zone,
        "catch_up": CatchUp().policy.value,
    }
    return await form_page(request, conn, given)


@router.post("/new")
async def ui_create_schedule(request: Request, conn: Conn, catalog: TheCatalog, by: By) -> Response:
    """With `do=check`, nothing is stored."""
    form: Form = request.state.form
    spec = None
    try:
        spec, target = read_schedule(document_of(form)), target_of(form)
        await schedules.check(conn, catalog, target, spec)
        if form.get("do") == "check":
            return await form_page(request, conn, values_of(form), spec=spec, target=target)
        made = await schedules.create(conn, catalog, target, spec, by=by)
    except REFUSED as fault:
        return await form_page(request, conn, values_of(form), spec=spec, fault=fault)
    return frame.see(f"/ui/schedules/{made['id']}", said="schedule_made")


@router.get("/{schedule}/edit")
async def ui_edit_schedule(schedule: Id, request: Request, conn: Conn) -> Response:
    row = await schedules.get(conn, schedule)
    try:
        spec = ticking.plan_of(row).spec
    except Invalid as fault:
        return await form_page(request, conn, values_of_row(row), row=row, fault=fault)
    return await form_page(request, conn, values_of_row(row), row=row, spec=spec)


@router.post("/{schedule}/edit")
async def ui_change_schedule(
    schedule: Id, request: Request, conn: Conn, catalog: TheCatalog
) -> Response:
    """With `do=check`, nothing is stored. What somebody else stored meanwhile is shown."""
    form: Form = request.state.form
    row, spec = await schedules.get(conn, schedule), None
    try:
        spec = read_schedule(document_of(form))
        if form.get("do") == "check":
            await schedules.check(conn, catalog, ticking.target_of(row), spec)
            return await form_page(request, conn, values_of(form), row=row, spec=spec)
        await schedules.change(conn, catalog, schedule, spec, expected=written.version(form))
    except REFUSED as fault:
        return await form_page(request, conn, values_of(form), row=row, spec=spec, fault=fault)
    return frame.see(f"/ui/schedules/{schedule}", said="schedule_changed")


async def form_page(
    request: Request,
    conn: Connection,
    given: Mapping[str, str],
    *,
    row: Row | None = None,
    spec: ScheduleSpec | None = None,
    target: Target | None = None,
    fault: Refusal | None = None,
) -> Response:
    of = ticking.target_of(row) if row else target
    is_outdated = isinstance(fault, schedules.Outdated)
    return await frame.page(
        request,
        conn,
        "schedule_form.html",
        status=frame.status_of(fault) if fault else 200,
        given={"version": str(row["version"]) if row else "", **given},
        schedule=row,
        theirs=row["spec"] if row and is_outdated else None,
        types=[(each, each) for each in await types_of(conn)] if row is None else [],
        fault=fault,
        faults=written.fields_at_fault(fault, FIELDS),
        words=in_words(plan_of(spec, of)) if spec else None,
        policy=timetable.policy(spec) if spec else "",
        coming=await coming(request, conn, spec, of) if spec else [],
    )


def plan_of(spec: ScheduleSpec, target: Target | None) -> Plan:
    """Before somebody says what it is for, its hashes are those of nothing in particular."""
    return Plan(spec, ticking.key_of(target or Target(type="draft"), spec.name))


async def coming(
    request: Request, conn: Connection, spec: ScheduleSpec, target: Target | None
) -> list[timetable.Next]:
    now = await stored.moment(conn)
    return timetable.upcoming(plan_of(spec, target), now, frame.look_of(request).zone)


# Between what is written and what a schedule says


def target_of(form: Form) -> Target:
    type, record = form.get("type").strip(), form.get("record").strip()
    if bool(type) == bool(record):
        raise Invalid("say either which type or which record it starts", field="type")
    return Target(type=type or None, record=record or None)


def document_of(form: Form) -> dict[str, Any]:
    """What was filled in, as the document that the API takes."""
    kind = form.get("kind") if form.get("kind") in KINDS else "cron"
    given: dict[str, Any] = {name: form.get(name).strip() for name in PLAIN}
    given[kind] = form.get(kind).strip()
    if kind == "every":
        given["anchor"] = form.get("anchor").strip()
    given["input"] = written.object_of(form, "input")
    given["blackouts"] = blackouts_of(form)
    given["catch_up"] = catch_up_of(form)
    found = {name: value for name, value in given.items() if value not in ("", {}, [], None)}
    if form.get("priority").strip():
        found["priority"] = written.whole(form, "priority", usual=0, least=0, most=9)
    return found


def blackouts_of(form: Form) -> Any:
    text = form.get("blackouts")
    if not text.strip():
        return []
    try:
        [node] = load(text)
    except (UnreadableDocument, ValueError) as fault:
        raise Invalid(f"blackouts: {fault}", field="blackouts") from None
    return plain(node)


def catch_up_of(form: Form) -> dict[str, Any]:
    given = {"policy": form.get("catch_up").strip(), "window": form.get("window").strip()}
    found: dict[str, Any] = {name: value for name, value in given.items() if value}
    if form.get("per_minute").strip():
        found["per_minute"] = written.whole(form, "per_minute", usual=60, most=6000)
    return found


def values_of(form: Form) -> dict[str, str]:
    """What somebody wrote is there again."""
    names = (*FIELDS, "kind", "version")
    return {name: form.get(name) for name in names}


def values_of_row(row: Row) -> dict[str, str]:
    spec: dict[str, Any] = row["spec"]
    kind = next((each for each in KINDS if each in spec), "cron")
    catch_up = spec.get("catch_up", {})
    if isinstance(catch_up, str):
        catch_up = {"policy": catch_up}
    found = {name: spec.get(name, "") for name in (*PLAIN, *KINDS, "anchor", "priority")}
    found |= {
        "kind": kind,
        "name": row["name"],
        "input": frame.pretty(spec["input"]) if spec.get("input") else "",
        "blackouts": frame.pretty(spec["blackouts"]) if spec.get("blackouts") else "",
        "catch_up": catch_up.get("policy", CatchUp().policy.value),
        "window": catch_up.get("window", ""),
        "per_minute": catch_up.get("per_minute", ""),
    }
    return {name: str(value) for name, value in found.items()}
