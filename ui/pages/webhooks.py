"""Webhooks: where others report what happened, how they sign it, and keys that are shown once."""

from collections.abc import Mapping
from datetime import timedelta
from operator import itemgetter
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn
from scheduler.domain.durations import parse_duration
from scheduler.domain.errors import Conflict, Invalid, NotFound, Refusal, Unavailable
from scheduler.domain.webhooks import SCHEMES, read_webhook
from scheduler.services import event_lists, webhook_keys, webhooks
from scheduler.store import webhooks as stored
from scheduler.store.event_lists import Filter
from scheduler.store.rows import Row
from ui import frame, lists, written
from ui.forms import Form
from ui.lists import Column, Listing
from ui.pages.people import shown_once
from ui.pages.secrets import keys_of
from ui.screen import Screen

router = APIRouter(prefix="/webhooks", route_class=Screen)

SHOWN, EXPORTED, LATEST = 50, 500, 10
LONGEST_OVERLAP = timedelta(days=31)
TEXTS = ("description", "tolerance", "type", "key", "id")
FIELDS = ("name", "scheme", "secret", "data", *TEXTS)
Name = Annotated[str, Path(alias="webhook", min_length=1, max_length=63)]
Connection = AsyncConnection[Any]
REFUSED = (Invalid, Conflict, NotFound, Unavailable)

LIST = Listing(
    columns=(
        Column("name", "Webhook"),
        Column("scheme", "Signed as"),
        Column("secret", "Key"),
        Column("changed", "Changed"),
    )
)
TOLD = ("name", "spec", "version", "previous_until", "created_at", "created_by", "updated_at")
CELLS: lists.Cells[Row] = {name: itemgetter(name) for name in TOLD}


@router.get("")
async def ui_webhooks(request: Request, conn: Conn) -> Response:
    asked = LIST.read(request)
    if asked.is_untidy:
        return asked.tidied()
    if asked.format:
        return await lists.exported(asked, "webhooks", CELLS, read)
    rows = await stored.page(conn, limit=SHOWN + 1, after=asked.text_cursor() or "")
    return await frame.page(
        request,
        conn,
        "webhooks.html",
        asked=asked,
        rows=rows[:SHOWN],
        next=asked.next(rows[SHOWN - 1]["name"] if len(rows) > SHOWN else None),
    )


async def read(conn: Connection, after: str | None) -> tuple[list[Row], str | None]:
    rows = await stored.page(conn, limit=EXPORTED + 1, after=after or "")
    return rows[:EXPORTED], rows[EXPORTED - 1]["name"] if len(rows) > EXPORTED else None


@router.get("/new")
async def ui_new_webhook(request: Request, conn: Conn) -> Response:
    return await form_page(request, conn, {"scheme": SCHEMES[0], "own": "made"})


@router.post("/new")
async def ui_create_webhook(request: Request, conn: Conn, by: By) -> Response:
    """With a key that is made here, which the answer shows once."""
    form: Form = request.state.form
    name = form.get("name").strip()
    try:
        if form.get("own") == "made":
            document = document_of(form)
            key = await webhook_keys.make(conn, keys_of(request), name, document, by=by)
            return await key_page(request, conn, name, key)
        await require_new(conn, name)
        spec = read_webhook({**document_of(form), "secret": form.get("secret").strip()})
        await webhooks.put(conn, name, spec, by=by)
    except REFUSED as fault:
        return await form_page(request, conn, values_of(form), fault=fault)
    return frame.see(f"/ui/webhooks/{name}", said="webhook_made")


async def require_new(conn: Connection, name: str) -> None:
    if await stored.get(conn, name) is not None:
        raise Conflict(f"there is a webhook {name} already", field="name")


async def key_page(request: Request, conn: Connection, name: str, key: str) -> Response:
    return shown_once(
        await frame.page(
            request,
            conn,
            "webhook_key.html",
            webhook=await webhooks.get(conn, name),
            key=key,
            address=address_of(request, name),
        )
    )


def address_of(request: Request, name: str) -> str:
    host = request.headers.get("host", "localhost")
    return f"{request.url.scheme}://{host}/api/v1/webhooks/{name}"


def document_of(form: Form) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: text for name in ("scheme", *TEXTS) if (text := form.get(name).strip())
    }
    if form.get("data").strip():
        found["data"] = written.value_of(form, "data")
    return found


def values_of(form: Form) -> dict[str, str]:
    return {name: form.get(name) for name in (*FIELDS, "own", "version")}


@router.get("/{webhook}")
async def ui_webhook(webhook: Name, request: Request, conn: Conn) -> Response:
    return await webhook_page(request, conn, webhook)


async def webhook_page(
    request: Request,
    conn: Connection,
    name: str,
    *,
    fault: Refusal | None = None,
    template: str = "webhook.html",
) -> Response:
    row = await webhooks.get(conn, name)
    found = await event_lists.page(conn, Filter(source=f"webhook:{name}"), limit=LATEST)
    return await frame.page(
        request,
        conn,
        template,
        status=frame.status_of(fault) if fault else 200,
        webhook=row,
        address=address_of(request, name),
        events=found.rows,
        fault=fault,
    )


@router.get("/{webhook}/edit")
async def ui_edit_webhook(webhook: Name, request: Request, conn: Conn) -> Response:
    row = await webhooks.get(conn, webhook)
    spec: dict[str, Any] = row["spec"]
    given = {name: str(spec.get(name, "")) for name in ("scheme", "secret", *TEXTS)}
    given["data"] = written.shown(spec.get("data"))
    return await form_page(request, conn, given, row=row)


@router.post("/{webhook}/edit")
async def ui_change_webhook(webhook: Name, request: Request, conn: Conn, by: By) -> Response:
    form: Form = request.state.form
    row = await webhooks.get(conn, webhook)
    try:
        if written.version(form) != row["version"]:
            raise Conflict(
                f"somebody changed it meanwhile: it is at version {row['version']}",
                remedy="look at it, and save yours once more to put it in place of theirs",
            )
        document = {**document_of(form), "secret": form.get("secret").strip()}
        if previous := row["spec"].get("previous"):
            document["previous"] = previous
        await webhooks.put(conn, webhook, read_webhook(document), by=by)
    except REFUSED as fault:
        given = {**values_of(form), "version": str(row["version"])}
        return await form_page(request, conn, given, row=row, fault=fault)
    return frame.see(f"/ui/webhooks/{webhook}", said="webhook_changed")


async def form_page(
    request: Request,
    conn: Connection,
    given: Mapping[str, str],
    *,
    row: Row | None = None,
    fault: Refusal | None = None,
) -> Response:
    return await frame.page(
        request,
        conn,
        "webhook_form.html",
        status=frame.status_of(fault) if fault else 200,
        given={"version": str(row["version"]) if row else "", **given},
        webhook=row,
        schemes=[(name, name) for name in SCHEMES],
        fault=fault,
        faults=written.fields_at_fault(fault, FIELDS),
    )


@router.post("/{webhook}/rotate")
async def ui_rotate_webhook(webhook: Name, request: Request, conn: Conn, by: By) -> Response:
    """A new key that is made here and shown once, or a secret that is there."""
    form: Form = request.state.form
    try:
        overlap = overlap_of(form)
        if secret := form.get("secret").strip():
            await webhooks.rotate(conn, webhook, secret, overlap=overlap)
            return frame.see(f"/ui/webhooks/{webhook}", said="webhook_rotated")
        key = await webhook_keys.renew(conn, keys_of(request), webhook, overlap=overlap, by=by)
    except (Invalid, Conflict, Unavailable) as fault:
        return await webhook_page(request, conn, webhook, fault=fault)
    return await key_page(request, conn, webhook, key)


def overlap_of(form: Form) -> timedelta:
    found = parse_duration(form.get("overlap").strip() or "1d")
    if not timedelta() <= found <= LONGEST_OVERLAP:
        raise Invalid("overlap: 0s to 31d are expected", field="overlap")
    return found


@router.get("/{webhook}/delete")
async def ui_delete_webhook_confirm(webhook: Name, request: Request, conn: Conn) -> Response:
    return await webhook_page(request, conn, webhook, template="webhook_delete.html")


@router.post("/{webhook}/delete")
async def ui_delete_webhook(webhook: Name, conn: Conn) -> Response:
    await webhooks.delete(conn, webhook)
    return frame.see("/ui/webhooks", said="webhook_deleted")
