"""Start: a form made from the schema of what a type takes, and what would come of it."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn, TheCatalog
from scheduler.domain.errors import Conflict, Forbidden, Invalid, Refusal
from scheduler.domain.faults import Unfit
from scheduler.domain.labels import MOST as MOST_LABELS
from scheduler.domain.schedules import At, ScheduleSpec
from scheduler.services import definitions, records, run_lists, runs, schedules
from scheduler.services.access import Role, at_least
from scheduler.services.catalog import Catalog
from scheduler.services.runs import Order
from scheduler.store.rows import Row
from scheduler.store.runs import Filter
from scheduler.store.schedules import Target
from ui import frame, query, schema_forms, schema_values, session
from ui.forms import Form
from ui.pages import truth
from ui.screen import Screen

router = APIRouter(route_class=Screen)

Connection = AsyncConnection[Any]
Type = Annotated[str, Path(min_length=1, max_length=63)]
Record = Annotated[str, Path(min_length=1, max_length=200)]

EARLIER = 15  # runs whose input may be taken


@dataclass(frozen=True, slots=True)
class Subject:
    """What is to be started: a type, or a record of it."""

    found: Row
    record: Row | None = None

    @property
    def type(self) -> str:
        return str(self.found["name"])

    @property
    def name(self) -> str:
        return str(self.record["id"]) if self.record else self.type

    @property
    def path(self) -> str:
        kind = "records" if self.record else "processes"
        return f"/ui/{kind}/{quote(self.name, safe='')}"

    @property
    def schema(self) -> Mapping[str, Any] | None:
        schema = self.found["document"].get("input")
        return schema if isinstance(schema, dict) else None

    @property
    def target(self) -> Target:
        return Target(record=self.name) if self.record else Target(type=self.type)

    @property
    def filter(self) -> Filter:
        return Filter(record=self.name) if self.record else Filter(type=self.type)


async def of_type(conn: Connection, type: str) -> Subject:
    return Subject(await definitions.startable(conn, type))


async def of_record(conn: Connection, record: str) -> Subject:
    saved = await records.get(conn, record)
    return Subject(await definitions.startable(conn, saved["type"]), saved)


@router.get("/processes/{type}/start")
async def ui_start_form(type: Type, request: Request, conn: Conn, catalog: TheCatalog) -> Response:
    return await offered(request, conn, catalog, await of_type(conn, type))


@router.post("/processes/{type}/start")
async def ui_start(
    type: Type, request: Request, conn: Conn, catalog: TheCatalog, by: By
) -> Response:
    return await sent(request, conn, catalog, await of_type(conn, type), by)


@router.get("/records/{record}/start")
async def ui_start_record_form(
    record: Record, request: Request, conn: Conn, catalog: TheCatalog
) -> Response:
    return await offered(request, conn, catalog, await of_record(conn, record))


@router.post("/records/{record}/start")
async def ui_start_record(
    record: Record, request: Request, conn: Conn, catalog: TheCatalog, by: By
) -> Response:
    return await sent(request, conn, catalog, await of_record(conn, record), by)


async def offered(
    request: Request, conn: Connection, catalog: Catalog, subject: Subject
) -> Response:
    """Filled from the defaults, from the last run, or from any run that was."""
    values: Mapping[str, Any] = subject.record["input"] if subject.record else {}
    earlier = query.run_id(request, "run")
    if earlier is None and query.text(request, "fill") == "last":
        latest = (await run_lists.page(conn, subject.filter, limit=1)).rows
        earlier = latest[0]["id"] if latest else None
    if earlier is not None:
        values = (await runs.get(conn, earlier))["input"]
    return await form_page(request, conn, catalog, subject, values, earlier=earlier)


async def sent(
    request: Request, conn: Connection, catalog: Catalog, subject: Subject, by: str
) -> Response:
    form: Form = request.state.form
    if form.get("more"):
        return await form_page(request, conn, catalog, subject, {}, form=form)
    try:
        input = schema_values.read(form, subject.schema)
        if form.get("action") == "preview":
            return await form_page(request, conn, catalog, subject, input, form=form)
        if form.get("action") == "later":
            return await start_later(request, conn, catalog, subject, input, by)
        return await start_now(conn, catalog, subject, form, input, by)
    except (Invalid, Conflict) as error:
        return await form_page(request, conn, catalog, subject, {}, form=form, fault=error)


async def start_now(
    conn: Connection,
    catalog: Catalog,
    subject: Subject,
    form: Form,
    input: dict[str, Any],
    by: str,
) -> Response:
    key = key_of(form)
    if subject.record:
        begun = await records.start(conn, catalog, subject.name, by=by, input=input, key=key)
    else:
        order = Order(
            type=subject.type,
            input=input,
            by=by,
            priority=priority_of(form),
            labels=labels_of(form),
            key=key,
        )
        begun = await runs.start(conn, catalog, order)
    return frame.see(f"/ui/runs/{begun.id}", said="started")


async def start_later(
    request: Request,
    conn: Connection,
    catalog: Catalog,
    subject: Subject,
    input: dict[str, Any],
    by: str,
) -> Response:
    """Once, by a schedule of its own: it stands among the others until then, and can be deleted."""
    form: Form = request.state.form
    if not may_later(request):
        raise Forbidden("to start later makes a schedule, which takes an author")
    look = frame.look_of(request)
    spec = ScheduleSpec(
        timing=At(moment_of(form, look)),
        name=f"once-{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(2)}",
        description=f"Started once, by {by}",
        zone=look.zone,
        input=literal(input),
        priority=None if subject.record else priority_of(form),
    )
    made = await schedules.create(conn, catalog, subject.target, spec, by=by)
    return frame.see(f"{subject.path}/schedules", said="later", schedule=made["id"])


def may_later(request: Request) -> bool:
    """As over the API: whoever may make schedules."""
    caller = session.person_of(request).caller
    return caller.role in at_least(Role.AUTHOR) and caller.reaches("schedules")


def moment_of(form: Form, look: frame.Look) -> datetime:
    text = form.get("at").strip()
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=look.tz)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(
            "say when, such as 2026-05-17T12:00, in your zone", field="at", remedy=None
        ) from None


def literal(value: Any) -> Any:
    """The same in the input of a schedule, which may speak of its tick: here nothing does."""
    match value:
        case str():
            return value.replace("${{", "$${{")
        case dict():
            return {key: literal(each) for key, each in value.items()}
        case list():
            return [literal(each) for each in value]
    return value


async def form_page(
    request: Request,
    conn: Connection,
    catalog: Catalog,
    subject: Subject,
    values: Mapping[str, Any],
    *,
    earlier: Any = None,
    form: Form | None = None,
    fault: Refusal | None = None,
) -> Response:
    schema = subject.schema
    faults = fault.faults if isinstance(fault, Unfit) else ()
    definition = await catalog.get(conn, subject.type, subject.found["version"])
    given = values or readable(form, schema)
    record = subject.name if subject.record else None
    shown = await truth.look(conn, definition, given, record)
    return await frame.page(
        request,
        conn,
        "start.html",
        status=frame.status_of(fault) if fault else 200,
        subject=subject,
        type=subject.found,
        fields=schema_forms.fields_of(schema, values, form=form, faults=faults),
        extra=form.get("extra") if form else schema_forms.left_over(schema, values),
        is_open=(schema or {}).get("additionalProperties", True) is not False,
        given=form,
        fault=fault,
        faults=faults,
        truth=shown,
        is_asked=form is not None and form.get("action") == "preview",
        earlier=earlier,
        runs=(await run_lists.page(conn, subject.filter, limit=EARLIER)).rows,
        may_later=may_later(request),
        body=body_of(subject, shown.input, form),
        nonce=(form.get("nonce") if form else "") or secrets.token_urlsafe(18),
    )


def readable(form: Form | None, schema: Mapping[str, Any] | None) -> Mapping[str, Any]:
    """As much of what was sent as can be read, to show what would come of it."""
    if form is None:
        return {}
    try:
        return schema_values.read(form, schema)
    except Invalid:
        return {}


def body_of(subject: Subject, input: Mapping[str, Any], form: Form | None) -> dict[str, Any]:
    """What a program would send for the same."""
    if subject.record:
        return {"input": input}
    found: dict[str, Any] = {"type": subject.type, "input": input}
    try:
        more = {"priority": priority_of(form), "labels": labels_of(form)} if form else {}
    except Invalid:
        more = {}
    return found | {name: value for name, value in more.items() if value is not None}


def priority_of(form: Form) -> int | None:
    text = form.get("priority").strip()
    if not text:
        return None
    if text not in set("0123456789"):
        raise Invalid(f"priority {text[:20]!r} is not between 0 and 9", field="priority")
    return int(text)


def labels_of(form: Form) -> dict[str, str] | None:
    """A label on each line, as name: value."""
    found: dict[str, str] = {}
    for line in form.get("labels").splitlines():
        if not line.strip():
            continue
        name, colon, value = (part.strip() for part in line.partition(":"))
        if not colon or not 1 <= len(name) <= 63 or len(value) > 200:
            raise Invalid(f"label {line[:40]!r}: write name: value", field="labels")
        found[name] = value
    if len(found) > MOST_LABELS:
        raise Invalid(f"a run has at most {MOST_LABELS} labels", field="labels")
    return found or None


def key_of(form: Form) -> str:
    """A form that is sent twice starts one run."""
    own = form.get("key").strip()
    if own:
        if len(own) > 255 or not own.isascii() or not own.isprintable() or " " in own:
            raise Invalid("an idempotency key has 1 to 255 visible ASCII characters", field="key")
        return own
    nonce = form.get("nonce")
    if not nonce or len(nonce) > 60 or not nonce.isascii() or not nonce.isprintable():
        raise Invalid("this form is not whole: open its page again", field="nonce")
    return f"dashboard {nonce}"
