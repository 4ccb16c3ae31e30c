"""Approvals: what runs ask of people."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request
from pydantic import Field

from scheduler.api import pages
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.models import Inward, Note, Outward, Time, state
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.state import Conn, TheCatalog, caller_of
from scheduler.services import approvals
from scheduler.services.approvals import Decision
from scheduler.store import approvals as stored

router = APIRouter(prefix="/approvals", tags=["approvals"], route_class=GuardedRoute)

Id = Annotated[int, Path(alias="approval", ge=1, le=2**63 - 1)]
Status = Literal["OPEN", "APPROVED", "REJECTED", "CLOSED"]


class Approval(Outward):
    """A question of a run, and perhaps its answer."""

    id: int
    run: UUID = Field(validation_alias="run_id")
    type: str = Field(description="Of the run.")
    record: str | None = Field(validation_alias="record_id")
    task: str
    attempt: int
    status: Status = state("CLOSED: the run went on, or ended, without an answer.")
    message: str
    who: list[str] = Field(description="Users, and roles as `role:NAME`; empty for operators.")
    form: dict[str, Any] | None = Field(description="JSON Schema of `data`.")
    asked_at: Time
    due_at: Time | None
    decided_at: Time | None
    decided_by: str | None
    data: dict[str, Any] | None
    note: str | None


class Approve(Inward):
    data: dict[str, Any] = Field(
        default_factory=dict, description="What the form asks for.", examples=[{"amount": 12}]
    )
    note: Note | None = None


class Reject(Inward):
    note: Annotated[Note, Field(min_length=1, description="Why; the run shows it.")]


@router.get("", responses=problems(422))
async def list_approvals(
    conn: Conn,
    request: Request,
    status: Status | None = None,
    run: UUID | None = None,
    mine: Annotated[bool, Query(description="Only what this caller may answer.")] = False,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Approval]:
    """List approvals, the newest first."""
    rows = await stored.page(
        conn,
        state=status,
        run=run,
        who=approvals.names_of(caller_of(request)) if mine else None,
        after=pages.decode(cursor, pages.big_number),
        limit=limit + 1,
    )
    return pages.page_of(rows, limit, "id", Approval.model_validate)


@router.get("/{approval}", responses=problems(404, 422))
async def get_approval(approval: Id, conn: Conn) -> Approval:
    """Show an approval."""
    return Approval.model_validate(await approvals.get(conn, approval))


@router.post("/{approval}/approve", responses=problems(403, 404, 409, 422))
async def approve(
    approval: Id, conn: Conn, catalog: TheCatalog, request: Request, wish: Approve | None = None
) -> Approval:
    """Say yes, with what the form asks for; the run goes on."""
    given = wish or Approve()
    decision = Decision(approve=True, data=given.data, note=given.note)
    return Approval.model_validate(
        await approvals.decide(conn, catalog, approval, decision, caller_of(request))
    )


@router.post("/{approval}/reject", responses=problems(403, 404, 409, 422))
async def reject(
    approval: Id, wish: Reject, conn: Conn, catalog: TheCatalog, request: Request
) -> Approval:
    """Say no, and why; the task fails."""
    decision = Decision(approve=False, data={}, note=wish.note)
    return Approval.model_validate(
        await approvals.decide(conn, catalog, approval, decision, caller_of(request))
    )
