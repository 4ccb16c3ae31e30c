"""The audit log: who changed what, from where, and what it was before."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import Field

from scheduler.api import pages
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.models import Outward, Time
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.state import Conn
from scheduler.store import audit

router = APIRouter(prefix="/audit", tags=["audit"], route_class=GuardedRoute)

Entity = Literal[
    "backfills",
    "chores",
    "dead_letters",
    "holders",
    "notification_channels",
    "notification_rules",
    "notifications",
    "process_records",
    "process_type_versions",
    "process_types",
    "queues",
    "retention_details",
    "retention_rules",
    "retention_terms",
    "runs",
    "schedule_stops",
    "schedules",
    "secrets",
    "tokens",
    "triggers",
    "users",
    "variables",
    "webhooks",
    "workstation_commands",
    "workstation_invitations",
    "workstations",
]


class AuditEntry(Outward):
    """One change. Of a thing that was changed, only what differs is told."""

    id: int
    at: Time
    actor: str = Field(description="The name of the token.")
    token_id: int | None
    source: str = Field(description="The address that the request came from.")
    operation: str = Field(examples=["pause_queue"])
    entity: str = Field(examples=["queues"])
    entity_id: str
    action: Literal["create", "change", "delete"]
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@router.get("", responses=problems(422))
async def list_audit(
    conn: Conn,
    actor: Annotated[str | None, Query(max_length=200)] = None,
    entity: Entity | None = None,
    entity_id: Annotated[str | None, Query(max_length=200)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[AuditEntry]:
    """List changes, the newest first."""
    rows = await audit.page(
        conn,
        actor=actor,
        entity=entity,
        entity_id=entity_id,
        after=pages.decode(cursor, pages.big_number),
        limit=limit + 1,
    )
    return pages.page_of(rows, limit, "id", AuditEntry.model_validate)
