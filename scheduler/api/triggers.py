"""Triggers: which events start what, and what each decided about them."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import Field, model_validator

from scheduler.api import editions, pages
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import CREATED, problems
from scheduler.api.editions import IfMatch, Outdated
from scheduler.api.models import Inward, Name, Note, Outward, RecordId, Time
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.state import By, Conn
from scheduler.domain.trigger_reading import read_trigger
from scheduler.services import events, triggers
from scheduler.store import routing
from scheduler.store import triggers as stored
from scheduler.store.schedules import Target

router = APIRouter(tags=["triggers"], route_class=GuardedRoute)

BIG = 2**63 - 1
Id = Annotated[int, Path(alias="trigger", ge=1, le=BIG)]
EventNumber = Annotated[int, Path(alias="event", ge=1, le=BIG)]
Fate = Literal["STARTED", "WAITING", "MERGED", "THROTTLED", "DEDUPED", "SKIPPED", "FAILED"]
Spec = Annotated[
    dict[str, Any],
    Field(
        description="As under `triggers` in a definition.",
        examples=[{"event": "order.*", "input": {"day": "${{ event.data.day }}"}}],
    ),
]


class ReplaceTrigger(Inward):
    spec: Spec


class CreateTrigger(ReplaceTrigger):
    """Of a type or of a record: exactly one of the two."""

    type: Name | None = None
    record: RecordId | None = None

    @model_validator(mode="after")
    def one_of_both(self) -> "CreateTrigger":
        if (self.type is None) == (self.record is None):
            raise ValueError("give either `type` or `record`")
        return self


class PauseTrigger(Inward):
    note: Note | None = None


class Trigger(Outward):
    """Which events start runs of what."""

    id: int
    name: str
    type: str | None
    record: str | None = Field(validation_alias="record_id")
    spec: dict[str, Any]
    origin: Literal["definition", "person"]
    edited: bool = Field(description="Whether it is not what its definition says.")
    version: int
    paused_at: Time | None
    paused_by: str | None
    note: str | None
    created_at: Time
    created_by: str
    updated_at: Time


class Decision(Outward):
    """What a trigger made of an event that it wanted."""

    trigger: int = Field(validation_alias="trigger_id")
    event: int = Field(validation_alias="event_id", description="Its number.")
    fate: Fate
    run: UUID | None = Field(validation_alias="run_id")
    reason: str | None
    decided_at: Time


@router.post("/triggers", status_code=201, responses=CREATED | problems(404, 409, 413, 422))
async def create_trigger(wish: CreateTrigger, conn: Conn, by: By, response: Response) -> Trigger:
    """Let events start runs of a type or of a record, from now on."""
    target = Target(type=wish.type, record=wish.record)
    row = await triggers.create(conn, target, read_trigger(wish.spec), by=by)
    made = Trigger.model_validate(row)
    response.headers["Location"] = f"/api/v1/triggers/{made.id}"
    response.headers["ETag"] = editions.tag(made.version, made)
    return made


@router.get("/triggers", responses=problems(422))
async def list_triggers(
    conn: Conn,
    type: Annotated[str | None, Query(max_length=63)] = None,
    record: Annotated[str | None, Query(max_length=200)] = None,
    paused: bool | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Trigger]:
    """List triggers in the order in which they were made."""
    after = pages.decode(cursor, pages.big_number)
    rows = await stored.page(
        conn, type=type, record=record, paused=paused, after=after, limit=limit + 1
    )
    return pages.page_of(rows, limit, "id", Trigger.model_validate)


@router.get("/triggers/{trigger}", response_model=Trigger, responses=problems(404, 422))
async def get_trigger(
    trigger: Id, conn: Conn, request: Request, response: Response
) -> Trigger | Response:
    """Show a trigger; 304 if `If-None-Match` names what is there."""
    found = Trigger.model_validate(await triggers.get(conn, trigger))
    if editions.label(request, response, found.version, found):
        return Response(status_code=304, headers={"ETag": response.headers["ETag"]})
    return found


@router.put("/triggers/{trigger}", responses=problems(404, 409, 412, 413, 422))
async def replace_trigger(
    trigger: Id, wish: ReplaceTrigger, conn: Conn, response: Response, if_match: IfMatch = None
) -> Trigger:
    """Change a trigger, for events that are not decided on yet."""
    wanted = editions.expected(if_match)
    try:
        row = await triggers.change(conn, trigger, read_trigger(wish.spec), expected=wanted)
    except triggers.Outdated as outdated:
        raise Outdated(str(outdated), remedy="read it again and repeat the change") from outdated
    done = Trigger.model_validate(row)
    response.headers["ETag"] = editions.tag(done.version, done)
    return done


@router.delete("/triggers/{trigger}", status_code=204, responses=problems(404, 422))
async def delete_trigger(trigger: Id, conn: Conn) -> None:
    """Delete a trigger with what it decided and what waits; the runs that it started stay."""
    await triggers.delete(conn, trigger)


@router.post("/triggers/{trigger}/pause", responses=problems(404, 422))
async def pause_trigger(
    trigger: Id, conn: Conn, by: By, wish: PauseTrigger | None = None
) -> Trigger:
    """Start nothing by it; what it would have started is written down as skipped."""
    note = wish.note if wish else None
    return Trigger.model_validate(await triggers.pause(conn, trigger, by=by, note=note))


@router.post("/triggers/{trigger}/resume", responses=problems(404, 409, 422))
async def resume_trigger(trigger: Id, conn: Conn) -> Trigger:
    """Let a paused trigger go on."""
    return Trigger.model_validate(await triggers.resume(conn, trigger))


@router.get("/triggers/{trigger}/decisions", responses=problems(404, 422))
async def list_trigger_decisions(
    trigger: Id,
    conn: Conn,
    fate: Fate | None = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Decision]:
    """List what it made of the events that it wanted, the newest first."""
    await triggers.get(conn, trigger)
    after = pages.decode(cursor, pages.big_number)
    rows = await routing.of_trigger(conn, trigger, fate=fate, after=after, limit=limit + 1)
    return pages.page_of(rows, limit, "event_id", Decision.model_validate)


@router.get("/events/{event}/decisions", responses=problems(404, 422))
async def list_event_decisions(event: EventNumber, conn: Conn) -> list[Decision]:
    """List what triggers made of an event; those that did not want it are left out."""
    await events.get(conn, event)
    return [Decision.model_validate(row) for row in await routing.of_event(conn, event)]
