"""The history of all runs: in pages, or live as server-sent events that can be taken up again.

It tells commits in the order of their transactions, each when no older one is open any more, so
nothing is passed over; an event of a long transaction holds up those of later ones.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, Field

from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.events import BATCH, STREAM, Stream, nothing
from scheduler.api.live import SAFETY
from scheduler.api.methods import is_head
from scheduler.api.models import Event
from scheduler.api.pages import Limit
from scheduler.api.problems import AWAY
from scheduler.api.state import Server, TheServer
from scheduler.domain.errors import Invalid, Unavailable
from scheduler.store import feed
from scheduler.store.feed import START, Place
from scheduler.store.rows import Row

log = logging.getLogger(__name__)
router = APIRouter(prefix="/history", tags=["runs"], route_class=GuardedRoute)

PLACE = r"^(0|[1-9]\d{0,18})-(0|[1-9]\d{0,17})$"
MOST = 2**63 - 1
After = Annotated[
    str | None, Query(pattern=PLACE, description="`next` of the page before; or an event's id.")
]
LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        pattern=PLACE,
        description="The last event that was received: the stream goes on behind it.",
    ),
]
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A page of events; with `Accept: text/event-stream`, a stream of them "
        "without an end, from now on unless it is told where to begin.",
        "content": {STREAM: {}},
    }
}


class HistoryEvent(Event):
    """One line of the history of a run, and its place among all."""

    id: str = Field(examples=["7421-1300"])
    run: UUID


class HistoryPage(BaseModel):
    items: list[HistoryEvent]
    next: str = Field(description="Where to go on, now or later.", examples=["7421-1300"])


@router.get("", response_model=HistoryPage, responses=ANSWERS | problems(422))
async def list_history(
    request: Request,
    server: TheServer,
    after: After = None,
    limit: Limit = 100,
    last_event_id: LastEventId = None,
) -> HistoryPage | Response:
    """List what happened to all runs, in one order that stays."""
    begin = place(last_event_id or after)
    if STREAM in request.headers.get("accept", ""):
        return await streamed(server, request, begin)
    async with server.connection() as conn:
        rows = await feed.page(conn, begin or START, limit)
    end = feed.place_of(rows[-1]) if rows else begin or START
    return HistoryPage(items=[shown(row) for row in rows], next=str(end))


def place(text: str | None) -> Place | None:
    if text is None:
        return None
    xid, _, id = text.partition("-")
    if int(xid) > MOST:
        raise Invalid("this is no place in the history", field="after")
    return Place(int(xid), int(id))


def shown(row: Row) -> HistoryEvent:
    named = {**row, "id": str(feed.place_of(row)), "run": row["run_id"]}
    return HistoryEvent.model_validate(named)


async def streamed(server: Server, request: Request, begin: Place | None) -> Response:
    if begin is None:
        async with server.connection() as conn:
            begin = await feed.now(conn)
    stream = Feed(server, request, begin)
    return StreamingResponse(
        nothing() if is_head(request.scope) else stream.lines(),
        media_type=STREAM,
        headers={"X-Accel-Buffering": "no", "Content-Encoding": "identity"},
    )


class Feed(Stream):
    """One follower of everything."""

    def __init__(self, server: Server, request: Request, place: Place) -> None:
        super().__init__(server, UUID(int=0), request, 0)
        self.place = place

    async def lines(self) -> AsyncIterator[str]:
        """Where it stands comes first, so that whoever is cut off at once loses nothing."""
        yield f"id: {self.place}\n\n"
        with self.server.hub.follow_all() as pulse:
            while True:
                rows = await self.read()
                for row in rows:
                    yield self.line(row)
                if len(rows) < BATCH:
                    await pulse.wait(SAFETY)
                if self.is_silent():
                    if not await self.is_admitted():
                        return
                    yield ": alive\n\n"

    async def read(self) -> list[Row]:
        try:
            async with self.server.connection() as conn:
                return await feed.page(conn, self.place, BATCH)
        except (*AWAY, Unavailable) as error:
            log.warning("database away", extra={"error": str(error).strip()})
            return []

    def line(self, row: Row) -> str:
        self.place, self.spoke = feed.place_of(row), asyncio.get_running_loop().time()
        return f"id: {self.place}\nevent: {row['kind']}\ndata: {shown(row).model_dump_json()}\n\n"
