"""Inbox: what runs ask of people, and the runs that somebody holds."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from scheduler.api.state import Conn, TheCatalog
from scheduler.domain.errors import Conflict, Invalid, Refusal
from scheduler.domain.faults import Unfit
from scheduler.services import approvals
from scheduler.services.approvals import Decision
from scheduler.store import approvals as stored
from scheduler.store import process_screens
from scheduler.store.rows import Row
from ui import frame, query, schema_forms, schema_values, session
from ui.forms import Form
from ui.screen import Screen

router = APIRouter(prefix="/inbox", route_class=Screen)

SHOWN, HELD = 25, 20
STATES = ("OPEN", "APPROVED", "REJECTED", "CLOSED")
PREFIX = "data."
SOON = timedelta(hours=1)
LONGEST = 2_000
Id = Annotated[int, Path(alias="approval", ge=1, le=2**63 - 1)]


@router.get("")
async def ui_inbox(request: Request, conn: Conn) -> Response:
    return await inbox(request, conn)


async def inbox(
    request: Request,
    conn: Any,
    *,
    form: Form | None = None,
    refused: int | None = None,
    fault: Refusal | None = None,
) -> Response:
    state = next(iter(query.among(request, "status", STATES)), "OPEN")
    mine = "all" not in request.query_params
    caller = session.person_of(request).caller
    after = query.number(request, "after")
    rows = await stored.page(
        conn,
        state=state,
        who=approvals.names_of(caller) if mine else None,
        after=after,
        limit=SHOWN + 1,
    )
    now = datetime.now(UTC)
    is_first = state == "OPEN" and after is None
    return await frame.page(
        request,
        conn,
        "inbox.html",
        status=frame.status_of(fault) if fault else 200,
        items=[
            shown(row, now, form, fault) if row["id"] == refused else shown(row, now)
            for row in rows[:SHOWN]
        ],
        next=rows[SHOWN - 1]["id"] if len(rows) > SHOWN else None,
        state=state,
        states=STATES,
        mine=mine,
        held=await process_screens.held(conn, HELD) if is_first else [],
        stray=fault if refused not in [row["id"] for row in rows[:SHOWN]] else None,
        stream="/ui/stream" if is_first else None,
    )


def shown(
    row: Row, now: datetime, form: Form | None = None, fault: Refusal | None = None
) -> Mapping[str, Any]:
    """A question with its form, and what was written to it where that was refused."""
    faults = fault.faults if isinstance(fault, Unfit) else ()
    fields = schema_forms.fields_of(row["form"], {}, PREFIX, form=form, faults=faults)
    return {
        **row,
        "fields": fields,
        "written": form.get("note") if form else "",
        "fault": fault,
        "faults": faults,
        "is_soon": row["due_at"] is not None and row["due_at"] - now < SOON,
    }


@router.post("/{approval}")
async def ui_decide(approval: Id, request: Request, conn: Conn, catalog: TheCatalog) -> Response:
    form: Form = request.state.form
    approve = form.get("decision") == "approve"
    if form.get("more"):
        return await inbox(request, conn, form=form, refused=approval)
    try:
        if form.get("decision") not in ("approve", "reject"):
            raise Invalid("say whether it is approved or rejected", field="decision")
        asked = await approvals.get(conn, approval)
        data = schema_values.read(form, asked["form"], prefix=PREFIX) if approve else {}
        note = form.get("note").strip()[:LONGEST] or None
        decision = Decision(approve=approve, data=data, note=note)
        caller = session.person_of(request).caller
        decided = await approvals.decide(conn, catalog, approval, decision, caller)
    except (Invalid, Conflict) as error:
        return await inbox(request, conn, form=form, refused=approval, fault=error)
    if decided["state"] == "OPEN":
        return frame.see("/ui/inbox", said="asked")
    return frame.see("/ui/inbox", said="approved" if approve else "rejected")
