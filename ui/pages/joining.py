"""How a machine becomes a workstation: a line to paste there, shown once, and what comes of it."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn
from scheduler.domain.errors import NotFound, Refusal
from scheduler.domain.joining import join_command
from scheduler.services import enrolment
from scheduler.services.enrolment import Invited
from scheduler.services.keyring import Keys
from scheduler.store import workstation_screens as stored
from scheduler.store.rows import Row
from scheduler.store.station_access import Invitation
from ui import frame
from ui.forms import Form
from ui.forms_of_workstations import LIVES, labels_of, life_of, machines_of, name_of
from ui.pages.workstation import fingerprint
from ui.screen import Screen

router = APIRouter(route_class=Screen)

JOINED = 50
Id = Annotated[int, Path(alias="invitation", ge=1, le=2**63 - 1)]


@router.get("/new-workstation")
async def ui_new_workstation(request: Request, conn: Conn) -> Response:
    return await form_page(request, conn)


async def form_page(
    request: Request,
    conn: AsyncConnection[Any],
    *,
    written: Form | None = None,
    fault: Refusal | None = None,
) -> Response:
    return await frame.page(
        request,
        conn,
        "new_workstation.html",
        status=frame.status_of(fault) if fault else 200,
        lives=LIVES,
        written=written or Form([]),
        fault=fault,
    )


@router.post("/new-workstation")
async def ui_add_workstation(request: Request, conn: Conn, by: By) -> Response:
    form: Form = request.state.form
    keys: Keys = getattr(request.app.state, "keys", Keys())
    try:
        invited = await enrolment.invite(conn, keys, wish_of(form), by=by)
    except Refusal as error:
        return await form_page(request, conn, written=form, fault=error)
    return await invitation_page(request, conn, invited.id, invited=invited)


def wish_of(form: Form) -> Invitation:
    return Invitation(
        name=name_of(form.get("name")),
        labels=labels_of(form.get("labels")),
        approve="approve" in form,
        cidr=form.get("cidr").strip() or None,
        uses=machines_of(form.get("uses")),
        replaces="replaces" in form,
        length=life_of(form.get("expires") or "15m"),
    )


@router.get("/invitations/{invitation}")
async def ui_invitation(invitation: Id, request: Request, conn: Conn) -> Response:
    return await invitation_page(request, conn, invitation)


async def invitation_page(
    request: Request, conn: AsyncConnection[Any], id: int, *, invited: Invited | None = None
) -> Response:
    """Whoever has just made it sees the line, and nobody afterwards."""
    found = await stored.invitation(conn, id)
    if found is None:
        raise NotFound(f"there is no invitation {id}, or it was over long ago")
    return await frame.page(
        request,
        conn,
        "invitation.html",
        invitation=found,
        joined=[with_steps(row) for row in await stored.joined(conn, id, limit=JOINED)],
        command=command(request, invited.token) if invited else None,
        stream="/ui/stream",
        look_at=f"/ui/invitations/{id}",
        shows_secret=invited is not None,
    )


def command(request: Request, token: str) -> str:
    home = f"{request.url.scheme}://{request.headers.get('host', 'localhost')}"
    return join_command(home, token)


def with_steps(row: Row) -> Mapping[str, Any]:
    """How far it has come, one step after the other."""
    is_in = row["state"] == "ACCEPTED"
    steps = [
        ("invitation used", True),
        ("key received", True),
        ("accepted", is_in),
        ("connected", is_in and row["heard_at"] is not None),
        ("online", row["seen"] in ("ONLINE", "DRAINING")),
    ]
    return {**row, "steps": steps, "fingerprint": fingerprint(row["public_key"])}


@router.post("/invitations/{invitation}/withdraw")
async def ui_withdraw_invitation(invitation: Id, request: Request, conn: Conn) -> Response:
    await enrolment.uninvite(conn, invitation)
    return frame.see("/ui/workstations", said="invitation-withdrawn")
