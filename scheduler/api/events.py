"""The history of a run: in pages, or live as server-sent events that can be taken up again."""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Request, Response
from fastapi.responses import StreamingResponse
from psycopg import AsyncConnection

from scheduler.api import pages
from scheduler.api.access import GuardedRoute, authenticate
from scheduler.api.documents import problems
from scheduler.api.live import SAFETY
from scheduler.api.methods import is_head
from scheduler.api.models import Event
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.problems import AWAY
from scheduler.api.state import Server, TheServer
from scheduler.domain.errors import Unauthenticated, Unavailable
from scheduler.domain.states import RunState
from scheduler.services import runs
from scheduler.store import run_tasks
from scheduler.store.rows import Row

log = logging.getLogger(__name__)
router = APIRouter(prefix="/runs/{run}/events", tags=["runs"], route_class=GuardedRoute)

KEEP_ALIVE = 15.0  # seconds: proxies close what is silent for long
BATCH = 200
STREAM = "text/event-stream"

LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        pattern=r"^\d{1,9}$",
        description="The last event that was received: the stream goes on behind it.",
    ),
]
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A page of events; with `Accept: text/event-stream`, a stream of them "
        "that ends with the run.",
        "content": {STREAM: {}},
    },
    204: {"description": "The run has ended, and there is nothing behind Last-Event-ID."},
}


@router.get("", response_model=Page[Event], responses=ANSWERS | problems(404, 422))
async def list_run_events(
    run: UUID,
    request: Request,
    server: TheServer,
    limit: Limit = 100,
    cursor: Cursor = None,
    last_event_id: LastEventId = None,
) -> Page[Event] | Response:
    """List what happened to a run, in order and without gaps."""
    if STREAM in request.headers.get("accept", ""):
        return await streamed(server, run, request, last_event_id)
    after = pages.decode(cursor, pages.big_number) or 0
    async with server.connection() as conn:
        rows = await events_of(conn, run, min(after, 2**31 - 1), limit + 1)
    return pages.page_of(rows, limit, "seq", Event.model_validate)


async def events_of(conn: AsyncConnection[Any], run: UUID, after: int, limit: int) -> list[Row]:
    rows = await runs.events(conn, run, after=after, limit=limit)
    ids = {row["task_id"] for row in rows} - {None}
    names = await run_tasks.names(conn, run, list(ids)) if ids else {}
    return [{**row, "task": names.get(row["task_id"])} for row in rows]


async def streamed(
    server: Server, run: UUID, request: Request, last_event_id: str | None
) -> Response:
    after = int(last_event_id or 0)
    async with server.connection() as conn:
        found = await runs.get(conn, run)
    if last_event_id is not None and is_told(found, after):
        return Response(status_code=204)  # a browser asks no more after this
    stream = Stream(server, run, request, after)
    return StreamingResponse(
        nothing() if is_head(request.scope) else stream.lines(),
        media_type=STREAM,
        headers={"X-Accel-Buffering": "no", "Content-Encoding": "identity"},
    )


def is_told(run: Row, after: int) -> bool:
    return RunState(run["state"]).is_final and after >= run["events"]


async def nothing() -> AsyncIterator[str]:
    return
    yield ""


@dataclass(slots=True)
class Stream:
    """One follower of one run: where it stands, and when it last heard of us."""

    server: Server
    run: UUID
    request: Request
    after: int
    spoke: float = field(default_factory=lambda: asyncio.get_running_loop().time())

    async def lines(self) -> AsyncIterator[str]:
        """Every event behind `after`, as it comes, until the run has ended.

        No connection is held while nothing happens, and one that is lost costs the follower
        nothing but time.
        """
        with self.server.hub.follow(self.run) as pulse:
            while True:
                try:
                    rows, is_all = await self.look()
                except (*AWAY, Unavailable) as error:
                    log.warning("database away", extra={"error": str(error).strip()})
                    rows, is_all = [], False
                for row in rows:
                    yield self.told(row)
                if is_all:
                    return
                if len(rows) < BATCH:
                    await pulse.wait(SAFETY)
                if self.is_silent():
                    if not await self.is_admitted():
                        return
                    yield ": alive\n\n"

    async def look(self) -> tuple[list[Row], bool]:
        """What is new, and whether that is all there will be. The state is read first."""
        async with self.server.connection() as conn:
            found = await runs.get(conn, self.run)
            rows = await events_of(conn, self.run, self.after, BATCH)
        return rows, is_told(found, rows[-1]["seq"] if rows else self.after)

    def told(self, row: Row) -> str:
        self.after, self.spoke = row["seq"], asyncio.get_running_loop().time()
        data = Event.model_validate(row).model_dump_json()
        return f"id: {row['seq']}\nevent: {row['kind']}\ndata: {data}\n\n"

    def is_silent(self) -> bool:
        now = asyncio.get_running_loop().time()
        if now - self.spoke < KEEP_ALIVE:
            return False
        self.spoke = now
        return True

    async def is_admitted(self) -> bool:
        """A token that was revoked meanwhile follows nothing any more."""
        try:
            await authenticate(self.request)
        except Unauthenticated:
            return False
        except (*AWAY, Unavailable):
            return True
        return True
