"""Inbox: what runs ask of people."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response

from scheduler.api.state import Conn, TheCatalog
from scheduler.domain.errors import Conflict, Invalid, Refusal
from scheduler.services import approvals
from scheduler.services.approvals import Decision
from scheduler.store import approvals as stored
from scheduler.store.rows import Row
from ui import frame, query, schema_forms, schema_values, session
from ui.forms import Form
from ui.screen import Screen

router = APIRouter(prefix="/inbox", route_class=Screen)

SHOWN = 25
STATES = ("OPEN", "APPROVED", "REJECTED", "CLOSED")
PREFIX = "data."
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
    states = query.among(request, "status", STATES) or ["OPEN"]
    mine = "all" not in request.query_params
    caller = session.person_of(request).caller
    rows = await stored.page(
        conn,
        state=states[0],
        who=approvals.names_of(caller) if mine else None,
        after=query.number(request, "after"),
        limit=SHOWN + 1,
    )
    return await frame.page(
        request,
        conn,
        "inbox.html",
        status=frame.status_of(fault) if fault else 200,
        items=[shown(row, form if row["id"] == refused else None) for row in rows[:SHOWN]],
        next=rows[SHOWN - 1]["id"] if len(rows) > SHOWN else None,
        state=states[0],
        states=STATES,
        mine=mine,
        fault=fault,
        stream="/ui/stream" if states[0] == "OPEN" else None,
    )


def shown(row: Row, form: Form | None) -> Mapping[str, Any]:
    fields = schema_forms.fields_of(row["form"], {}, PREFIX, form=form)
    return {**row, "fields": fields, "written": form.get("note") if form else ""}


@router.post("/{approval}")
async def ui_decide(approval: Id, request: Request, conn: Conn, catalog: TheCatalog) -> Response:
    form: Form = request.state.form
    approve = form.get("decision") == "approve"
    try:
        if form.get("decision") not in ("approve", "reject"):
            raise Invalid("say whether it is approved or rejected", field="decision")
        asked = await approvals.get(conn, approval)
        data = schema_values.read(form, asked["form"], prefix=PREFIX) if approve else {}
        decision = Decision(
            approve=approve, data=data, note=form.get("note").strip()[:2000] or None
        )
        await approvals.decide(conn, catalog, approval, decision, session.person_of(request).caller)
    except (Invalid, Conflict) as error:
        return await inbox(request, conn, form=form, refused=approval, fault=error)
    return frame.see("/ui/inbox", said="approved" if approve else "rejected")
