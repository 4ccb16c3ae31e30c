"""Secrets: names, grants and versions. A value goes in by a form and never comes out again."""

from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn, TheCaller
from scheduler.domain.errors import Conflict, Invalid, Refusal, Unavailable
from scheduler.domain.secrets import LONGEST, SECRET_NAME_RULE, SHORTEST
from scheduler.services import secrets
from scheduler.services.keyring import Keyring, Keys
from scheduler.store import secrets as stored
from scheduler.store.rows import Row
from ui import access, frame, lists
from ui.forms import Form
from ui.lists import Asked, Column, Field, Listing
from ui.screen import Screen

router = APIRouter(route_class=Screen)

SHOWN, EXPORTED, PLACES, TYPES = 50, 200, 50, 5_000

Name = Annotated[str, Path(alias="secret", min_length=1, max_length=128)]

LIST = Listing(
    fields=(Field("q", "Name or note has"), Field("type", "Granted to the type")),
    columns=(
        Column("name", "Secret"),
        Column("grants", "Granted to"),
        Column("version", "Version", is_num=True),
        Column("changed", "Changed"),
        Column("used", "Last used"),
        Column("fingerprint", "Fingerprint", is_usual=False),
        Column("key", "Key", is_usual=False),
    ),
)
CELLS: lists.Cells[Row] = {
    "name": lambda row: row["name"],
    "note": lambda row: row["note"],
    "grants": lambda row: " ".join(row["grants"]),
    "version": lambda row: row["version"],
    "fingerprint": lambda row: row["fingerprint"],
    "key": lambda row: row["key_id"],
    "changed_at": lambda row: row["changed_at"],
    "changed_by": lambda row: row["changed_by"],
    "last_used_at": lambda row: row["last_used_at"],
}
BOUNDS = f"{SHORTEST} bytes to {LONGEST // 1024} KiB of text"


def keys_of(request: Request) -> Keyring:
    """Read anew: a key that was added to the file counts at once."""
    keys: Keys = getattr(request.app.state, "keys", Keys())
    return keys.load()


@router.get("/secrets")
async def ui_secrets(request: Request, conn: Conn, caller: TheCaller) -> Response:
    asked = LIST.read(request)
    if asked.is_untidy:
        return asked.tidied()
    if asked.format:
        return await lists.exported(asked, "secrets", CELLS, reading(asked), after="")
    return await list_page(request, conn, may_change=access.may(caller, "ui_put_secret"))


async def list_page(
    request: Request,
    conn: AsyncConnection[Any],
    *,
    may_change: bool,
    fault: Refusal | None = None,
    written: Form | None = None,
) -> Response:
    asked = LIST.read(request)
    rows, next = await reading(asked, SHOWN)(conn, asked.text_cursor() or "")
    keys, lacking = await known_keys(request, conn) if may_change else ([], None)
    return await frame.page(
        request,
        conn,
        "secrets.html",
        status=frame.status_of(fault) if fault else 200,
        asked=asked,
        secrets=rows,
        next=asked.next(next),
        keys=keys,
        lacking=lacking,
        fault=fault,
        written=written,
        rule=SECRET_NAME_RULE,
        bounds=BOUNDS,
    )


def reading(asked: Asked, limit: int = EXPORTED) -> lists.Read[Row]:
    text, type = asked.text("q"), asked.text("type")

    async def read(conn: AsyncConnection[Any], after: str) -> tuple[list[Row], str | None]:
        rows = await stored.page(conn, limit=limit + 1, after=after, text=text, type=type)
        return rows[:limit], rows[limit - 1]["name"] if len(rows) > limit else None

    return read


async def known_keys(
    request: Request, conn: AsyncConnection[Any]
) -> tuple[list[Row], Refusal | None]:
    """What encrypts them, by ids; or why this server cannot tell."""
    try:
        return await secrets.all_keys(conn, keys_of(request)), None
    except (Invalid, Unavailable) as error:
        return [], error


@router.post("/secrets")
async def ui_put_secret(request: Request, conn: Conn, by: By) -> Response:
    """A new one. What was typed comes back with a refusal, the value never."""
    form: Form = request.state.form
    name = form.get("name").strip()
    try:
        if await stored.get(conn, name) is not None:
            raise Conflict(
                f"there is a secret {name!r} already",
                field="name",
                remedy="give it a new value on its own page",
            )
        await put(request, conn, name, form, by, grants=grants_of(form), note=note_of(form))
    except (Invalid, Conflict, Unavailable) as error:
        return await list_page(request, conn, may_change=True, fault=error, written=form)
    return frame.see(path_of(name), said="secret-made")


async def put(
    request: Request,
    conn: AsyncConnection[Any],
    name: str,
    form: Form,
    by: str,
    *,
    grants: list[str] | None = None,
    note: str | None = None,
) -> None:
    await secrets.put(
        conn, keys_of(request), name, form.get("value"), note=note, grants=grants, by=by
    )


def grants_of(form: Form) -> list[str]:
    return form.get("grants").replace(",", " ").split()


def note_of(form: Form) -> str:
    return form.get("note").strip()[:2000]


def path_of(name: str) -> str:
    return f"/ui/secrets/{quote(name, safe='/')}"


@router.get("/secrets/{secret:path}")
async def ui_secret(secret: Name, request: Request, conn: Conn) -> Response:
    return await secret_page(request, conn, secret)


async def secret_page(
    request: Request,
    conn: AsyncConnection[Any],
    name: str,
    *,
    fault: Refusal | None = None,
    written: Form | None = None,
) -> Response:
    found = await secrets.get(conn, name)
    return await frame.page(
        request,
        conn,
        "secret.html",
        status=frame.status_of(fault) if fault else 200,
        kept=found,
        path=path_of(name),
        places=await stored.places(conn, name, limit=PLACES, most=TYPES),
        fault=fault,
        written=written,
        bounds=BOUNDS,
    )


@router.post("/secrets/{secret:path}/{verb}")
async def ui_secret_command(
    secret: Name, verb: str, request: Request, conn: Conn, by: By
) -> Response:
    form: Form = request.state.form
    await secrets.get(conn, secret)
    try:
        match verb:
            case "value":
                await put(request, conn, secret, form, by)
            case "change":
                grants, note = grants_of(form), note_of(form)
                await secrets.change(conn, secret, note=note, grants=grants, by=by)
            case "delete":
                await secrets.delete(conn, secret)
                return frame.see("/ui/secrets", said="secret-delete")
            case _:
                raise Invalid("a secret gets a value, is changed, or is deleted", field="verb")
    except (Invalid, Conflict, Unavailable) as error:
        return await secret_page(request, conn, secret, fault=error, written=form)
    return frame.see(path_of(secret), said=f"secret-{verb}")


@router.post("/secret-keys/rotate")
async def ui_rotate_secret_keys(request: Request, conn: Conn) -> Response:
    try:
        await secrets.rotate(conn, keys_of(request))
    except (Conflict, Unavailable, Invalid) as error:
        return await list_page(request, conn, may_change=True, fault=error)
    return frame.see("/ui/secrets", said="secret-rotated")
