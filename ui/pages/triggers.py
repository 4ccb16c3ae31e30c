"""Triggers: which events start what, what each decided, and a dry test against what was."""

from collections.abc import Mapping
from operator import itemgetter
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn, TheCatalog
from scheduler.domain.errors import Conflict, Invalid, NotFound, Refusal
from scheduler.domain.trigger_reading import KEYS, read_trigger
from scheduler.domain.triggers import Fate, TriggerSpec
from scheduler.services import trigger_trials, triggers
from scheduler.services.catalog import Catalog
from scheduler.services.trigger_trials import Trial
from scheduler.store import event_lists as stored
from scheduler.store import process_types
from scheduler.store.rows import Row
from scheduler.store.schedules import Target
from ui import frame, lists, query, written
from ui.forms import Form
from ui.lists import Column, Field, Listing
from ui.screen import Screen

router = APIRouter(prefix="/triggers", route_class=Screen)

SHOWN, EXPORTED, TYPES, PENDING = 50, 500, 500, 20
FATES = tuple(fate.value for fate in Fate)
SPEC_FIELDS = ("spec", "type", "record", "event_number")
Id = Annotated[int, Path(alias="trigger", ge=1, le=2**63 - 1)]
Connection = AsyncConnection[Any]
REFUSED = (Invalid, Conflict, NotFound)
SAMPLE = """event: order.created
# when: ${{ event.data.rush }}
# input: {order: "${{ event.key }}"}
# debounce: {key: "${{ event.key }}", quiet: 30s, max_wait: 5m}
"""

LIST = Listing(
    fields=(
        Field("type", "Type", "choice"),
        Field("record", "Record"),
        Field("paused", "Paused", "choice", ("true", "false")),
    ),
    columns=(
        Column("state", "State"),
        Column("trigger", "Trigger"),
        Column("events", "Events"),
        Column("rule", "Rule"),
        Column("last", "Decided last"),
        Column("made", "Made by", is_usual=False),
    ),
)
OF_DECISIONS = Listing(
    fields=(Field("fate", "What became of it", "choice", FATES),),
    columns=(
        Column("event", "Event"),
        Column("fate", "What became of it"),
        Column("run", "Run"),
        Column("why", "Why"),
        Column("at", "Decided"),
    ),
)
TOLD = ("id", "name", "type", "record_id", "spec", "origin", "version", "paused_at", "paused_by")
CELLS: lists.Cells[Row] = {name: itemgetter(name) for name in (*TOLD, "note", "created_at")}
DECIDED = ("event_id", "type", "key", "source", "fate", "run_id", "run_state", "reason")
OF_DECISION: lists.Cells[Row] = {name: itemgetter(name) for name in (*DECIDED, "decided_at")}


@router.get("")
async def ui_triggers(request: Request, conn: Conn) -> Response:
    asked = LIST.read(request)
    if asked.is_untidy:
        return asked.tidied()
    given = asked.one_of("paused", ("true", "false"))
    filter: dict[str, Any] = {
        "type": asked.text("type"),
        "record": asked.text("record"),
        "paused": None if given is None else given == "true",
    }
    if asked.format:
        return await lists.exported(asked, "triggers", CELLS, reading(filter))
    rows = await stored.triggers(conn, limit=SHOWN + 1, after=asked.number_cursor(), **filter)
    return await frame.page(
        request,
        conn,
        "triggers.html",
        asked=asked,
        rows=[shown(row) for row in rows[:SHOWN]],
        next=asked.next(rows[SHOWN - 1]["id"] if len(rows) > SHOWN else None),
        types=[each["name"] for each in await process_types.page(conn, limit=TYPES)],
        stream="/ui/stream" if asked.is_first else None,
    )


def shown(row: Row) -> Row:
    events = row["spec"].get("event", [])
    return {
        **row,
        "state": "PAUSED" if row["paused_at"] else "ACTIVE",
        "events": [events] if isinstance(events, str) else list(events),
        "rules": [each for each in RULES if each in row["spec"]],
    }


RULES = ("when", "dedup", "debounce", "batch", "throttle", "concurrency")


def reading(filter: dict[str, Any]) -> lists.Read[Row]:
    async def read(conn: Connection, after: int | None) -> tuple[list[Row], int | None]:
        rows = await stored.triggers(conn, limit=EXPORTED + 1, after=after, **filter)
        return rows[:EXPORTED], rows[EXPORTED - 1]["id"] if len(rows) > EXPORTED else None

    return read


# Made and changed


@router.get("/new")
async def ui_new_trigger(request: Request, conn: Conn) -> Response:
    given = {
        "type": query.text(request, "type") or "",
        "record": query.text(request, "record") or "",
        "spec": SAMPLE,
    }
    return await form_page(request, conn, given)


@router.post("/new")
async def ui_create_trigger(request: Request, conn: Conn, catalog: TheCatalog, by: By) -> Response:
    """With `do=check`, nothing is stored."""
    form: Form = request.state.form
    try:
        spec, target = spec_of(form), target_of(form)
        if form.get("do") == "check":
            await triggers.require_target(conn, target)
            return await checked(request, conn, catalog, form, spec, target)
        made = await triggers.create(conn, target, spec, by=by)
    except REFUSED as fault:
        return await form_page(request, conn, values_of(form), fault=fault)
    return frame.see(f"/ui/triggers/{made['id']}", said="trigger_made")


@router.get("/{trigger}/edit")
async def ui_edit_trigger(trigger: Id, request: Request, conn: Conn) -> Response:
    row = await triggers.get(conn, trigger)
    return await form_page(request, conn, {"spec": frame.pretty(row["spec"])}, row=row)


@router.post("/{trigger}/edit")
async def ui_change_trigger(
    trigger: Id, request: Request, conn: Conn, catalog: TheCatalog
) -> Response:
    form: Form = request.state.form
    row = await triggers.get(conn, trigger)
    try:
        spec = spec_of(form)
        if form.get("do") == "check":
            target = Target(type=row["type"], record=row["record_id"])
            return await checked(request, conn, catalog, form, spec, target, row=row)
        await triggers.change(conn, trigger, spec, expected=written.version(form))
    except REFUSED as fault:
        return await form_page(request, conn, values_of(form), row=row, fault=fault)
    return frame.see(f"/ui/triggers/{trigger}", said="trigger_changed")


async def checked(
    request: Request,
    conn: Connection,
    catalog: Catalog,
    form: Form,
    spec: TriggerSpec,
    target: Target,
    row: Row | None = None,
) -> Response:
    """The draft against an event that was, or, where none is named, against the latest ones."""
    trials = [
        await trigger_trials.try_out(conn, catalog, target, spec, number)
        for number in await tried(conn, form)
    ]
    return await form_page(request, conn, values_of(form), row=row, trials=trials, is_right=True)


LATEST = 10  # events that a draft is tried against where none is named


async def tried(conn: Connection, form: Form) -> list[int]:
    if form.get("event_number").strip():
        return [written.whole(form, "event_number", usual=1, most=999_999_999)]
    latest = await stored.page(conn, stored.Filter(), limit=LATEST, window=LATEST)
    return [each["id"] for each in latest]


def spec_of(form: Form) -> TriggerSpec:
    return read_trigger(written.document_of(form, "spec"))


def target_of(form: Form) -> Target:
    type, record = form.get("type").strip(), form.get("record").strip()
    if bool(type) == bool(record):
        raise Invalid("say either which type or which record it starts", field="type")
    return Target(type=type or None, record=record or None)


def values_of(form: Form) -> dict[str, str]:
    return {name: form.get(name) for name in (*SPEC_FIELDS, "version")}


async def form_page(
    request: Request,
    conn: Connection,
    given: Mapping[str, str],
    *,
    row: Row | None = None,
    fault: Refusal | None = None,
    trials: list[Trial] | None = None,
    is_right: bool = False,
) -> Response:
    faults = written.fields_at_fault(fault, (*SPEC_FIELDS, *KEYS))
    in_spec = [f"{name}: {what}" for name, what in faults.items() if name in KEYS]
    types = await process_types.page(conn, limit=TYPES) if row is None else []
    return await frame.page(
        request,
        conn,
        "trigger_form.html",
        status=frame.status_of(fault) if fault else 200,
        given={"version": str(row["version"]) if row else "", **given},
        trigger=row,
        theirs=row["spec"] if row and isinstance(fault, triggers.Outdated) else None,
        types=[(each["name"], each["name"]) for each in types],
        fault=fault,
        faults={**faults, **({"spec": "; ".join(in_spec)} if in_spec else {})},
        trials=trials,
        is_right=is_right,
    )


# One


@router.get("/{trigger}")
async def ui_trigger(trigger: Id, request: Request, conn: Conn, catalog: TheCatalog) -> Response:
    """With the number of an event in the address, also what it would make of that one."""
    asked = OF_DECISIONS.read(request)
    if asked.is_untidy:
        return asked.tidied()
    fate = asked.one_of("fate")
    if asked.format:
        read = decisions_of(trigger, fate)
        return await lists.exported(asked, f"trigger-{trigger}", OF_DECISION, read)
    return await trigger_page(request, conn, trigger, catalog=catalog)


async def trigger_page(
    request: Request,
    conn: Connection,
    trigger: int,
    *,
    catalog: Catalog | None = None,
    fault: Refusal | None = None,
) -> Response:
    asked = OF_DECISIONS.read(request)
    row = await triggers.get(conn, trigger)
    trial = None
    number = query.number(request, "try", 2**63 - 1) if catalog else None
    if number is not None and catalog is not None:
        try:
            trial = await trial_of(conn, catalog, row, number)
        except NotFound as missing:
            fault = missing
    fate = asked.one_of("fate") if catalog else None
    after = asked.number_cursor() if catalog else None
    rows = await stored.of_trigger(conn, trigger, limit=SHOWN + 1, after=after, fate=fate)
    return await frame.page(
        request,
        conn,
        "trigger.html",
        status=frame.status_of(fault) if fault else 200,
        trigger=shown(row),
        target=row["record_id"] or row["type"],
        asked=asked,
        rows=rows[:SHOWN],
        next=asked.next(rows[SHOWN - 1]["event_id"] if len(rows) > SHOWN else None),
        pending=await stored.pending(conn, trigger, limit=PENDING),
        trial=trial,
        fault=fault,
        stream="/ui/stream" if asked.is_first else None,
    )


async def trial_of(conn: Connection, catalog: Catalog, row: Row, number: int) -> Trial:
    try:
        spec = read_trigger(row["spec"])
    except Invalid as fault:  # what was stored once means nothing any more
        return Trial(number, "", matches=False, fault=str(fault))
    target = Target(type=row["type"], record=row["record_id"])
    return await trigger_trials.try_out(conn, catalog, target, spec, number)


def decisions_of(trigger: int, fate: str | None) -> lists.Read[Row]:
    async def read(conn: Connection, after: int | None) -> tuple[list[Row], int | None]:
        rows = await stored.of_trigger(conn, trigger, limit=EXPORTED + 1, after=after, fate=fate)
        return rows[:EXPORTED], rows[EXPORTED - 1]["event_id"] if len(rows) > EXPORTED else None

    return read


@router.post("/{trigger}/pause")
async def ui_pause_trigger(trigger: Id, request: Request, conn: Conn, by: By) -> Response:
    await triggers.pause(conn, trigger, by=by, note=written.note(request.state.form))
    return frame.see(f"/ui/triggers/{trigger}", said="trigger_paused")


@router.post("/{trigger}/resume")
async def ui_resume_trigger(trigger: Id, request: Request, conn: Conn) -> Response:
    try:
        await triggers.resume(conn, trigger)
    except Conflict as fault:
        return await trigger_page(request, conn, trigger, fault=fault)
    return frame.see(f"/ui/triggers/{trigger}", said="trigger_resumed")


@router.get("/{trigger}/delete")
async def ui_delete_trigger_confirm(trigger: Id, request: Request, conn: Conn) -> Response:
    row = await triggers.get(conn, trigger)
    pending = await stored.pending(conn, trigger, limit=PENDING)
    return await frame.page(
        request, conn, "trigger_delete.html", trigger=shown(row), pending=pending
    )


@router.post("/{trigger}/delete")
async def ui_delete_trigger(trigger: Id, conn: Conn) -> Response:
    await triggers.delete(conn, trigger)
    return frame.see("/ui/triggers", said="trigger_deleted")
