"""The audit log: who did what to what, what it was before, and from where."""

from operator import itemgetter
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import Conn
from scheduler.domain.errors import NotFound
from scheduler.store import audit
from scheduler.store.audit import Filter
from scheduler.store.rows import Row
from ui import frame, lists
from ui.lists import Asked, Column, Field, Listing
from ui.screen import Screen

router = APIRouter(prefix="/audit", route_class=Screen)

SHOWN, EXPORTED = 50, 200
FIELDS, LENGTH = 6, 160  # of a change, in the list

Id = Annotated[int, Path(alias="line", ge=1, le=2**63 - 1)]

LIST = Listing(
    fields=(
        Field("entity", "Of what", "choice"),
        Field("entity_id", "Its name or number"),
        Field("actor", "Who"),
        Field("action", "Did", "choice", ("create", "change", "delete")),
        Field("operation", "By the operation", hint="pause_queue"),
        Field("source", "From the address"),
        Field("since", "Since", "moment"),
        Field("until", "Before", "moment"),
    ),
    columns=(
        Column("at", "When"),
        Column("actor", "Who"),
        Column("what", "What"),
        Column("changes", "Before and after"),
        Column("source", "From"),
    ),
)
CELLS: lists.Cells[Row] = {
    name: itemgetter(name)
    for name in (
        "id", "at", "actor", "token_id", "source", "operation", "entity", "entity_id", "action",
        "before", "after",
    )
}  # fmt: skip
# Where something that was changed has a page.
PAGES = {
    "runs": "/ui/runs/{}",
    "process_types": "/ui/processes/{}",
    "process_type_versions": "/ui/processes/{}",
    "process_records": "/ui/records/{}",
    "schedules": "/ui/schedules/{}",
    "queues": "/ui/queues/{}",
    "holders": "/ui/workers/{}",
    "secrets": "/ui/secrets/{}",
    "users": "/ui/people/users/{}",
    "dead_letters": "/ui/dead-letters/{}",
}


@router.get("")
async def ui_audit(request: Request, conn: Conn) -> Response:
    asked = LIST.read(request)
    if asked.is_untidy:
        return asked.tidied()
    filter = filter_of(asked)
    if asked.format:
        return await lists.exported(asked, "audit", CELLS, reading(filter))
    rows = await audit.look(
        conn,
        filter,
        limit=SHOWN + 1,
        fields=FIELDS,
        length=LENGTH + 1,
        after=asked.number_cursor(),
    )
    return await frame.page(
        request,
        conn,
        "audit.html",
        asked=asked,
        lines=[{**row, "page": page_of(row)} for row in rows[:SHOWN]],
        next=asked.next(rows[SHOWN - 1]["id"] if len(rows) > SHOWN else None),
        entities=await audit.entities(conn),
        length=LENGTH,
    )


def filter_of(asked: Asked) -> Filter:
    return Filter(
        entity=asked.text("entity"),
        entity_id=asked.text("entity_id"),
        actor=asked.text("actor"),
        action=asked.one_of("action"),
        operation=asked.text("operation"),
        source=asked.text("source"),
        since=asked.moment("since"),
        until=asked.moment("until"),
    )


def reading(filter: Filter) -> lists.Read[Row]:
    async def read(conn: AsyncConnection[Any], after: int | None) -> tuple[list[Row], int | None]:
        rows = await audit.filtered(conn, filter, limit=EXPORTED + 1, after=after)
        return rows[:EXPORTED], rows[EXPORTED - 1]["id"] if len(rows) > EXPORTED else None

    return read


def page_of(row: Row) -> str | None:
    pattern = PAGES.get(row["entity"])
    return pattern.format(quote(row["entity_id"], safe="")) if pattern else None


@router.get("/{line}")
async def ui_audit_line(line: Id, request: Request, conn: Conn) -> Response:
    found = await audit.get(conn, line)
    if found is None:
        raise NotFound(f"there is no line {line} in the audit log")
    return await frame.page(
        request,
        conn,
        "audit_line.html",
        line=found,
        page=page_of(found),
        changes=changes(found["before"] or {}, found["after"] or {}),
    )


def changes(before: dict[str, Any], after: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Each field with what stood there, on both sides; what was not there is empty."""
    return [(name, shown(before, name), shown(after, name)) for name in sorted({*before, *after})]


def shown(values: dict[str, Any], name: str) -> str:
    if name not in values:
        return ""
    value = values[name]
    return value if isinstance(value, str) else frame.pretty(value)
