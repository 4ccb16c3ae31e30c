"""Sessions: where people are signed in, and the end of it."""

from typing import Any

from fastapi import APIRouter, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import Conn, TheCaller
from scheduler.domain.errors import Conflict, NotFound, Refusal
from scheduler.services import sessions
from scheduler.services.access import Caller
from scheduler.store import sessions as stored
from scheduler.store.rows import Row
from ui import forms_of_people, frame, lists, session
from ui.lists import Asked, Column, Field, Listing
from ui.screen import Screen

router = APIRouter(prefix="/people/sessions", route_class=Screen)

SHOWN, EXPORTED = 50, 200

LIST = Listing(
    fields=(Field("user", "Of the user"),),
    columns=(
        Column("user", "User"),
        Column("source", "From"),
        Column("agent", "Browser"),
        Column("seen", "Last seen"),
        Column("began", "Signed in"),
        Column("ends", "Ends"),
    ),
)
CELLS: lists.Cells[Row] = {
    "id": lambda row: row["id"],
    "user": lambda row: row["user"],
    "source": lambda row: row["source"],
    "agent": lambda row: row["agent"],
    "created_at": lambda row: row["created_at"],
    "seen_at": lambda row: row["seen_at"],
    "expires_at": lambda row: row["expires_at"],
    "ends_at": lambda row: row["ends_at"],
}


@router.get("")
async def ui_sessions(request: Request, conn: Conn, caller: TheCaller) -> Response:
    asked = LIST.read(request)
    if asked.is_untidy:
        return asked.tidied()
    if asked.format:
        return await lists.exported(asked, "sessions", CELLS, reading(asked, caller))
    rows, next = await reading(asked, caller, SHOWN)(conn, asked.number_cursor())
    return await frame.page(
        request,
        conn,
        "sessions.html",
        asked=asked,
        sessions=rows,
        next=asked.next(next),
        own=session.person_of(request).session,
    )


def reading(asked: Asked, caller: Caller, limit: int = EXPORTED) -> lists.Read[Row]:
    name = asked.text("user")

    async def read(conn: AsyncConnection[Any], after: int | None) -> tuple[list[Row], int | None]:
        rows = await stored.page(conn, limit=limit + 1, user=caller.only, name=name, after=after)
        return rows[:limit], rows[limit - 1]["id"] if len(rows) > limit else None

    return read


@router.post("/confirm")
async def ui_sessions_confirm(request: Request, conn: Conn, caller: TheCaller) -> Response:
    """Shows exactly which were chosen, before any of them ends."""
    ids = forms_of_people.chosen(request.state.form, "sessions", SHOWN)
    found = await stored.chosen(conn, ids, caller.only)
    if not found:
        raise Conflict("all of these have ended")
    own = session.person_of(request).session
    return await frame.page(request, conn, "sessions_confirm.html", sessions=found, own=own)


@router.post("/end")
async def ui_end_sessions(request: Request, conn: Conn, caller: TheCaller) -> Response:
    """Those that were chosen and no others; one's own is the last, so that all are ended."""
    own = session.person_of(request).session
    ids = forms_of_people.chosen(request.state.form, "sessions", SHOWN)
    missed: list[Refusal] = []
    for each in sorted(ids, key=lambda id: id == own):
        try:
            await sessions.end(conn, each, of=caller.only)
        except NotFound as error:
            missed.append(error)
    if len(missed) == len(ids):
        raise missed[0]
    if own in ids:
        return frame.see("/ui/login", said="out")
    return frame.see("/ui/people/sessions", said="sessions-ended")
