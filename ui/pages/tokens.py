"""Tokens: who may ask without a password. What a token is in clear text is shown once."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import Conn, TheCaller
from scheduler.domain.errors import Conflict, NotFound, Refusal
from scheduler.services import access as service
from scheduler.services.access import Caller, Grant, Role
from scheduler.store import tokens as stored
from scheduler.store.rows import Row
from ui import forms_of_people, frame, lists
from ui.forms import Form
from ui.lists import Asked, Column, Field, Listing
from ui.pages.people import FAULTS, shown_once
from ui.screen import Screen

router = APIRouter(prefix="/people/tokens", route_class=Screen)

SHOWN, EXPORTED = 50, 200
ROLES = tuple(role.value for role in Role)
STATES = ("VALID", "EXPIRED", "REVOKED")
USUAL = timedelta(days=90)  # what a new one is good for, unless somebody says otherwise

LIST = Listing(
    fields=(
        Field("q", "Name has"),
        Field("user", "Of the user"),
        Field("role", "Role", "choice", ROLES),
        Field("status", "State", "states", STATES),
    ),
    columns=(
        Column("name", "Token"),
        Column("role", "Role"),
        Column("user", "Of"),
        Column("scopes", "May ask"),
        Column("state", "State"),
        Column("used", "Last used"),
        Column("made", "Made"),
    ),
)
CELLS: lists.Cells[Row] = {
    "id": lambda row: row["id"],
    "name": lambda row: row["name"],
    "prefix": lambda row: row["prefix"],
    "role": lambda row: row["role"],
    "user": lambda row: row["user"],
    "scopes": lambda row: None if row["scopes"] is None else " ".join(row["scopes"]),
    "created_at": lambda row: row["created_at"],
    "created_by": lambda row: row["created_by"],
    "expires_at": lambda row: row["expires_at"],
    "revoked_at": lambda row: row["revoked_at"],
    "last_used_at": lambda row: row["last_used_at"],
}


@router.get("")
async def ui_tokens(request: Request, conn: Conn, caller: TheCaller) -> Response:
    asked = LIST.read(request)
    if asked.is_untidy:
        return asked.tidied()
    if asked.format:
        return await lists.exported(asked, "tokens", CELLS, reading(asked, caller))
    return await list_page(request, conn, caller)


async def list_page(
    request: Request,
    conn: AsyncConnection[Any],
    caller: Caller,
    *,
    fault: Refusal | None = None,
    written: Form | None = None,
) -> Response:
    asked = LIST.read(request)
    rows, next = await reading(asked, caller, SHOWN)(conn, asked.number_cursor())
    zone = frame.look_of(request).tz
    return await frame.page(
        request,
        conn,
        "tokens.html",
        status=frame.status_of(fault) if fault else 200,
        asked=asked,
        tokens=[with_state(row) for row in rows],
        next=asked.next(next),
        roles=ROLES,
        scopes=offered(caller),
        until=(datetime.now(zone) + USUAL).strftime("%Y-%m-%dT00:00"),
        own=caller.id,
        fault=fault,
        written=written,
    )


def offered(caller: Caller) -> list[str]:
    """Nobody gives what they do not have."""
    return [each for each in forms_of_people.SCOPES if caller.reaches(each)]


def reading(asked: Asked, caller: Caller, limit: int = EXPORTED) -> lists.Read[Row]:
    wanted = {
        "name": asked.text("user"),
        "text": asked.text("q"),
        "role": asked.one_of("role"),
        "state": asked.one_of("status"),
    }

    async def read(conn: AsyncConnection[Any], after: int | None) -> tuple[list[Row], int | None]:
        rows = await stored.page(conn, caller.sight, limit=limit + 1, after=after, **wanted)
        return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None

    return read


def with_state(row: Row) -> Row:
    return {**row, "state": state_of(row)}


def state_of(row: Row) -> str:
    if row["revoked_at"] is not None:
        return "REVOKED"
    is_over = row["expires_at"] is not None and row["expires_at"] <= datetime.now(UTC)
    return "EXPIRED" if is_over else "VALID"


@router.post("")
async def ui_create_token(request: Request, conn: Conn, caller: TheCaller) -> Response:
    """Its clear text is on this page and on no other."""
    form: Form = request.state.form
    try:
        wish = wish_of(request, form)
        made, token = await service.grant(conn, wish, by=caller)
    except FAULTS as error:
        return await list_page(request, conn, caller, fault=error, written=form)
    found = with_state(await service.get(conn, made, caller.sight))
    return shown_once(
        await frame.page(request, conn, "token_made.html", token=found, secret_text=token)
    )


def wish_of(request: Request, form: Form) -> Grant:
    user = form.get("user").strip()
    return Grant(
        name=forms_of_people.token_name(form.get("name")),
        role=forms_of_people.role(form.get("role"), Role),
        scopes=forms_of_people.scopes(form),
        expires_at=forms_of_people.moment(form.get("expires_at"), frame.look_of(request).tz),
        user=user or None,
    )


@router.post("/confirm")
async def ui_tokens_confirm(request: Request, conn: Conn, caller: TheCaller) -> Response:
    """Shows exactly which were chosen, before any of them ends."""
    found = await stored.chosen(
        conn, forms_of_people.chosen(request.state.form, "tokens", SHOWN), caller.sight
    )
    living = [row for row in map(with_state, found) if row["state"] == "VALID"]
    if not living:
        raise Conflict("none of these is good for anything any more")
    return await frame.page(request, conn, "tokens_confirm.html", tokens=living, own=caller.id)


@router.post("/revoke")
async def ui_revoke_tokens(request: Request, conn: Conn, caller: TheCaller) -> Response:
    """Those that were chosen and no others, each by itself."""
    done: list[Row] = []
    missed: list[tuple[int, Refusal]] = []
    for each in forms_of_people.chosen(request.state.form, "tokens", SHOWN):
        try:
            done.append(await service.revoke(conn, each, caller.sight))
        except (Conflict, NotFound) as error:
            missed.append((each, error))
    if len(done) == 1 and not missed:
        return frame.see("/ui/people/tokens", said="token-revoked")
    return await told(request, conn, done, missed)


async def told(
    request: Request,
    conn: AsyncConnection[Any],
    done: Sequence[Row],
    missed: Sequence[tuple[int, Refusal]],
) -> Response:
    if not done and len(missed) == 1:
        raise missed[0][1]
    return await frame.page(request, conn, "tokens_done.html", done=done, missed=missed)
