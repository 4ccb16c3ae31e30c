"""Events: what happened elsewhere."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import AwareDatetime, BaseModel, Field

from scheduler.api import pages
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.models import Inward, Outward, Time
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.state import By, Conn
from scheduler.domain.events import LONGEST_ID, LONGEST_NAME, NewEvent
from scheduler.services import events
from scheduler.store import events as stored

router = APIRouter(prefix="/events", tags=["events"], route_class=GuardedRoute)

Number = Annotated[int, Path(alias="event", ge=1, le=2**63 - 1)]
Source = Annotated[str, Field(min_length=1, max_length=LONGEST_ID, examples=["shop"])]
EventId = Annotated[str, Field(min_length=1, max_length=LONGEST_ID, examples=["4711-paid"])]
EventType = Annotated[str, Field(min_length=1, max_length=LONGEST_NAME, examples=["order.paid"])]
Key = Annotated[str, Field(max_length=LONGEST_ID, examples=["4711"])]


class SentEvent(Inward):
    """Something that happened. The same source and id again is the same event."""

    source: Source
    id: EventId | None = Field(default=None, description="Made if left out.")
    type: EventType
    key: Key = Field(default="", description="What it is about: correlates it with what waits.")
    data: Any = None
    time: Annotated[AwareDatetime, Field(strict=False)] | None = Field(
        default=None, examples=["2026-01-31T06:00:00Z"]
    )


class SentEvents(Inward):
    events: Annotated[list[SentEvent], Field(min_length=1, max_length=events.MOST)]


class Event(Outward):
    """What happened, as it was stored."""

    number: int = Field(validation_alias="id", description="Rises with each event.")
    source: str
    id: str = Field(validation_alias="event_id")
    type: str
    key: str
    data: Any
    time: Time = Field(validation_alias="occurred_at")
    received_at: Time
    received_by: str


class Received(BaseModel):
    stored: int = Field(description="How many were not known yet.")
    known: int = Field(description="How many were there before, by source and id.")


@router.post("", status_code=202, responses=problems(413, 422))
async def send_events(wish: SentEvents, conn: Conn, by: By) -> Received:
    """Store events, all or none; the answer comes after the commit. Runs that wait go on."""
    new = [as_new(each) for each in wish.events]
    stored = await events.receive(conn, new, by=by)
    return Received(stored=len(stored), known=len(new) - len(stored))


def as_new(sent: SentEvent) -> NewEvent:
    return NewEvent(
        source=sent.source,
        id=sent.id or events.new_event_id(),
        type=sent.type,
        key=sent.key,
        data=sent.data,
        occurred_at=sent.time,
    )


@router.get("", responses=problems(422))
async def list_occurrences(
    conn: Conn,
    type: Annotated[str | None, Query(max_length=LONGEST_NAME)] = None,
    key: Annotated[str | None, Query(max_length=LONGEST_ID)] = None,
    source: Annotated[str | None, Query(max_length=LONGEST_ID)] = None,
    limit: Limit = 50,
    cursor: Cursor = None,
) -> Page[Event]:
    """List events, the newest first."""
    after = pages.decode(cursor, pages.big_number)
    rows = await stored.page(conn, type=type, key=key, source=source, after=after, limit=limit + 1)
    return pages.page_of(rows, limit, "id", Event.model_validate)


@router.get("/{event}", responses=problems(404, 422))
async def get_occurrence(event: Number, conn: Conn) -> Event:
    """Show an event, by its number."""
    return Event.model_validate(await events.get(conn, event))
