"""Start: a form made from the schema of what the type takes."""

import secrets
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn, TheCatalog
from scheduler.domain.errors import Conflict, Invalid, Refusal
from scheduler.services import definitions, records, runs
from scheduler.services.runs import Order
from scheduler.store.rows import Row
from ui import frame, query, schema_forms
from ui.forms import Form
from ui.screen import Screen

router = APIRouter(route_class=Screen)

Connection = AsyncConnection[Any]
Type = Annotated[str, Path(min_length=1, max_length=63)]
Record = Annotated[str, Path(min_length=1, max_length=200)]


@router.get("/processes/{type}/start")
async def ui_start_form(type: Type, request: Request, conn: Conn) -> Response:
    """Filled from the defaults, or from a run that was."""
    found = await definitions.startable(conn, type)
    earlier = query.run_id(request, "run")
    values = {} if earlier is None else (await runs.get(conn, earlier))["input"]
    return await form_page(request, conn, found, values)


@router.post("/processes/{type}/start")
async def ui_start(
    type: Type, request: Request, conn: Conn, catalog: TheCatalog, by: By
) -> Response:
    form: Form = request.state.form
    found = await definitions.startable(conn, type)
    try:
        order = Order(
            type=type,
            input=schema_forms.read(form, schema_of(found)),
            by=by,
            priority=priority_of(form),
            key=key_of(form),
        )
        begun = await runs.start(conn, catalog, order)
    except (Invalid, Conflict) as error:
        return await form_page(request, conn, found, {}, form=form, fault=error)
    return frame.see(f"/ui/runs/{begun.id}", said="started")


@router.get("/records/{record}/start")
async def ui_start_record_form(record: Record, request: Request, conn: Conn) -> Response:
    saved = await records.get(conn, record)
    found = await definitions.startable(conn, saved["type"])
    return await form_page(request, conn, found, saved["input"], record=record)


@router.post("/records/{record}/start")
async def ui_start_record(
    record: Record, request: Request, conn: Conn, catalog: TheCatalog, by: By
) -> Response:
    form: Form = request.state.form
    saved = await records.get(conn, record)
    found = await definitions.startable(conn, saved["type"])
    try:
        given = schema_forms.read(form, schema_of(found))
        begun = await records.start(conn, catalog, record, by=by, input=given, key=key_of(form))
    except (Invalid, Conflict) as error:
        return await form_page(request, conn, found, {}, record=record, form=form, fault=error)
    return frame.see(f"/ui/runs/{begun.id}", said="started")


async def form_page(
    request: Request,
    conn: Connection,
    found: Row,
    values: Mapping[str, Any],
    *,
    record: str | None = None,
    form: Form | None = None,
    fault: Refusal | None = None,
) -> Response:
    schema = schema_of(found)
    fields = schema_forms.fields_of(schema, values)
    return await frame.page(
        request,
        conn,
        "start.html",
        status=frame.status_of(fault) if fault else 200,
        type=found,
        record=record,
        fields=[kept(each, form) for each in fields],
        extra=form.get("extra") if form else schema_forms.left_over(schema, values),
        is_open=(schema or {}).get("additionalProperties", True) is not False,
        priority=form.get("priority") if form else "",
        fault=fault,
        nonce=(form.get("nonce") if form else "") or secrets.token_urlsafe(18),
    )


def kept(field: schema_forms.Field, form: Form | None) -> schema_forms.Field:
    """What somebody wrote is there again when it was refused."""
    if form is None:
        return field
    value = ("true" if field.name in form else "") if field.kind == "flag" else form.get(field.name)
    return schema_forms.with_value(field, value)


def schema_of(found: Row) -> Mapping[str, Any] | None:
    schema = found["document"].get("input")
    return schema if isinstance(schema, dict) else None


def priority_of(form: Form) -> int | None:
    text = form.get("priority").strip()
    if not text:
        return None
    if text not in set("0123456789"):
        raise Invalid(f"priority {text[:20]!r} is not between 0 and 9", field="priority")
    return int(text)


def key_of(form: Form) -> str | None:
    """A form that is sent twice starts one run."""
    nonce = form.get("nonce")
    if not nonce or len(nonce) > 60 or not nonce.isascii() or not nonce.isprintable():
        raise Invalid("this form is not whole: open its page again", field="nonce")
    return f"dashboard {nonce}"
