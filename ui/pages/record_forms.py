"""Records made, changed and deleted by forms. Whoever was overtaken sees both editions."""

from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn, TheCatalog
from scheduler.domain import differences
from scheduler.domain.errors import Conflict, Invalid, Refusal
from scheduler.domain.faults import Unfit
from scheduler.services import definitions, records, runs
from scheduler.services.records import Draft, Edited
from scheduler.store import process_screens, process_types
from scheduler.store.rows import Row
from ui import frame, query, schema_forms, schema_values
from ui.forms import Form
from ui.pages.process import SCHEDULES
from ui.screen import Screen

router = APIRouter(route_class=Screen)

Connection = AsyncConnection[Any]
Record = Annotated[str, Path(min_length=1, max_length=200)]
TYPES = 500
LONGEST = 2_000


@router.get("/new-record")
async def ui_create_record_form(request: Request, conn: Conn) -> Response:
    """Of a type; empty, or with the input of a run that was."""
    type = query.text(request, "type")
    if type is None:
        return await choice_of_type(request, conn)
    found = await definitions.startable(conn, type)
    earlier = query.run_id(request, "run")
    values = {} if earlier is None else (await runs.get(conn, earlier))["input"]
    return await form_page(request, conn, found, {"input": values})


async def choice_of_type(request: Request, conn: Connection) -> Response:
    names = [row["name"] for row in await process_types.page(conn, limit=TYPES, retired=False)]
    return await frame.page(request, conn, "record_type.html", names=names)


@router.post("/new-record")
async def ui_create_record(request: Request, conn: Conn, catalog: TheCatalog, by: By) -> Response:
    form: Form = request.state.form
    found = await definitions.startable(conn, form.get("type")[:63])
    if form.get("more"):
        return await form_page(request, conn, found, {}, form=form)
    try:
        draft = draft_of(form, found)
        made = await records.create(conn, catalog, form.get("id").strip(), draft, by=by)
    except (Invalid, Conflict) as error:
        return await form_page(request, conn, found, {}, form=form, fault=error)
    return frame.see(address_of(made["id"]), said="saved")


@router.get("/records/{record}/edit")
async def ui_change_record_form(record: Record, request: Request, conn: Conn) -> Response:
    saved = await records.get(conn, record)
    found = await definitions.get(conn, query.text(request, "type") or saved["type"])
    return await form_page(request, conn, found, saved, record=saved)


@router.post("/records/{record}/edit")
async def ui_change_record(
    record: Record, request: Request, conn: Conn, catalog: TheCatalog
) -> Response:
    form: Form = request.state.form
    saved = await records.get(conn, record)
    found = await definitions.get(conn, form.get("type")[:63])
    if form.get("more"):
        return await form_page(request, conn, found, {}, record=saved, form=form)
    try:
        draft = draft_of(form, found)
        await records.change(conn, catalog, record, draft, expected=version_of(form))
    except Edited as error:
        now = await records.get(conn, record)
        return await form_page(
            request, conn, found, {}, record=now, form=form, fault=error, mine=draft
        )
    except (Invalid, Conflict) as error:
        return await form_page(request, conn, found, {}, record=saved, form=form, fault=error)
    return frame.see(address_of(record), said="saved")


@router.get("/records/{record}/delete")
async def ui_delete_record_form(record: Record, request: Request, conn: Conn) -> Response:
    """Says exactly what goes, and what stays."""
    return await delete_page(request, conn, await records.get(conn, record))


@router.post("/records/{record}/delete")
async def ui_delete_record(record: Record, request: Request, conn: Conn) -> Response:
    saved = await records.get(conn, record)
    try:
        await records.delete(conn, record, expected=version_of(request.state.form))
    except Conflict as error:
        return await delete_page(request, conn, saved, fault=error)
    return frame.see("/ui/records", said="deleted")


async def delete_page(
    request: Request, conn: Connection, saved: Row, fault: Refusal | None = None
) -> Response:
    schedules = await process_screens.schedules(conn, record=saved["id"], limit=SCHEDULES)
    return await frame.page(
        request,
        conn,
        "record_delete.html",
        status=frame.status_of(fault) if fault else 200,
        record=saved,
        base=address_of(saved["id"]),
        schedules=schedules,
        fault=fault,
    )


def address_of(record: str) -> str:
    return f"/ui/records/{quote(record, safe='')}"


def version_of(form: Form) -> int:
    text = form.get("version")
    if not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise Invalid("this form is not whole: open its page again", field="version")
    return int(text)


def draft_of(form: Form, found: Row) -> Draft:
    description = form.get("description").strip()
    if len(description) > LONGEST:
        raise Invalid(f"description is longer than {LONGEST} characters", field="description")
    return Draft(
        type=found["name"],
        input=schema_values.read(form, schema_of(found)),
        vars=schema_values.rest(form.get("vars"), "vars"),
        description=description,
        priority=priority_of(form),
    )


def priority_of(form: Form) -> int | None:
    text = form.get("priority").strip()
    if text and text not in set("0123456789"):
        raise Invalid(f"priority {text[:20]!r} is not between 0 and 9", field="priority")
    return int(text) if text else None


def schema_of(found: Row) -> Mapping[str, Any] | None:
    schema = found["document"].get("input")
    return schema if isinstance(schema, dict) else None


async def form_page(
    request: Request,
    conn: Connection,
    found: Row,
    values: Mapping[str, Any],
    *,
    record: Row | None = None,
    form: Form | None = None,
    fault: Refusal | None = None,
    mine: Draft | None = None,
) -> Response:
    schema, input = schema_of(found), values.get("input", {})
    faults = fault.faults if isinstance(fault, Unfit) else ()
    return await frame.page(
        request,
        conn,
        "record_form.html",
        status=frame.status_of(fault) if fault else 200,
        type=found,
        record=record,
        base=address_of(record["id"]) if record else "/ui/records",
        fields=schema_forms.fields_of(schema, input, form=form, faults=faults),
        extra=form.get("extra") if form else schema_forms.left_over(schema, input),
        is_open=(schema or {}).get("additionalProperties", True) is not False,
        given=form or Kept(values),
        fault=fault,
        faults=faults,
        others=others_of(record, mine) if record and mine else [],
    )


class Kept:
    """The plain fields of a record, asked for as a form is."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        vars = values.get("vars")
        self.values = {
            "id": "",
            "description": values.get("description") or "",
            "priority": "" if values.get("priority") is None else str(values["priority"]),
            "vars": frame.pretty(vars) if vars else "",
        }

    def get(self, name: str, default: str = "") -> str:
        return self.values.get(name, default)


def others_of(now: Row, mine: Draft) -> list[differences.Difference]:
    """What is saved now, against what was written."""
    told = ("type", "description", "priority", "input", "vars")
    before = {name: now[name] for name in told}
    return differences.between(before, {name: getattr(mine, name) for name in told})
