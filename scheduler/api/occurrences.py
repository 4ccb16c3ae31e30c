"""Events: what happened elsewhere."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.exceptions import RequestValidationError
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from scheduler.api import once, pages
from scheduler.api.access import GuardedRoute
from scheduler.api.bodies import Malformed, UnknownMedia, is_json
from scheduler.api.documents import problems
from scheduler.api.models import Inward, Outward, Time
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.state import By, Conn, TheServer
from scheduler.domain import cloudevents
from scheduler.domain.events import LONGEST_ID, LONGEST_NAME, NewEvent
from scheduler.services import events
from scheduler.services.events import Sent
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


ONE = SentEvent.model_json_schema()
SEVERAL: dict[str, Any] = {
    "type": "object",
    "required": ["events"],
    "additionalProperties": False,
    "properties": {
        "events": {"type": "array", "items": ONE, "minItems": 1, "maxItems": events.MOST}
    },
}
CLOUD: dict[str, Any] = {
    "type": "object",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": cloudevents.VERSION},
        **{name: {"type": "string", "minLength": 1} for name in ("id", "source", "type")},
        "subject": {"type": "string", "description": "Becomes the key."},
    },
}
SAMPLE = {"source": "shop", "id": "4711-paid", "type": "order.paid", "key": "4711"}
BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "Events in one of several forms.",
        "content": {
            "application/json": {
                "schema": {"anyOf": [ONE, SEVERAL]},
                "example": {"events": [SAMPLE]},
            },
            cloudevents.STRUCTURED: {"schema": CLOUD},
            cloudevents.BATCHED: {"schema": {"type": "array", "items": CLOUD}},
        },
    }
}
CLOUDEVENTS = (cloudevents.STRUCTURED, cloudevents.BATCHED)
REFUSED = problems(413, 415, 422, 429)


class Event(Outward):
    """What happened, as it was stored."""

    number: int = Field(validation_alias="id", description="Rises with each event.")
    source: str
    id: str = Field(validation_alias="event_id")
    type: str
    key: str
    data: Any
    attributes: dict[str, Any] = Field(description="What else came with it, as CloudEvents do.")
    time: Time = Field(validation_alias="occurred_at")
    received_at: Time
    received_by: str


class Received(BaseModel):
    stored: int = Field(description="How many were not known yet.")
    known: int = Field(description="How many were there before, by source and id.")


@router.post("", status_code=202, responses=REFUSED, openapi_extra=BODY)
async def send_events(request: Request, server: TheServer, by: By) -> Received:
    """Store events, all or none; the answer comes after the commit.

    Runs that wait go on, and triggers start what they are to start. Taken are an event or a list
    of them as described here, CloudEvents in JSON, one or a batch, and one in headers and body.
    """
    new = events.check(await sent_in(request))
    if once.HELD.get() is not None:
        async with server.connection() as conn:
            await server.intake.require_room()
            stored = len(await events.receive(conn, new, by=by))
    else:
        size = len(await request.body())
        stored = await server.intake.store(Sent(new, by), size)
    return Received(stored=stored, known=len(new) - stored)


async def sent_in(request: Request) -> list[NewEvent]:
    """What a request says has happened, in whichever form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if cloudevents.is_binary(request.headers) and kind not in CLOUDEVENTS:
        value = await json_of(request) if is_json(kind) and await request.body() else None
        data = await request.body()
        return [cloudevents.of_headers(request.headers, data, value, is_json=is_json(kind))]
    if not is_json(kind):
        raise UnknownMedia(
            f"a body of the type {kind[:80]!r} is no event",
            field="header.Content-Type",
            remedy="send application/json or CloudEvents",
        )
    value = await json_of(request)
    if kind in CLOUDEVENTS:
        return (
            cloudevents.of_documents(value)
            if kind == cloudevents.BATCHED
            else [cloudevents.of_document(value)]
        )
    return [as_new(each) for each in ours(value)]


async def json_of(request: Request) -> Any:
    if not await request.body():
        raise Malformed("the body is empty", field="body")
    return await request.json()


def ours(value: Any) -> list[SentEvent]:
    try:
        if isinstance(value, dict) and "type" in value and "events" not in value:
            return [SentEvent.model_validate(value)]
        return SentEvents.model_validate(value).events
    except ValidationError as error:
        told = [{**each, "loc": ("body", *each["loc"])} for each in error.errors()]
        raise RequestValidationError(told) from None


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
