"""What an attempt prints, live: server-sent events that tell stdout, stderr and gaps apart."""

import asyncio
import json
import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.events import STREAM, Stream, nothing
from scheduler.api.live import SAFETY
from scheduler.api.methods import is_head
from scheduler.api.problems import AWAY
from scheduler.api.state import TheServer
from scheduler.api.tasks import Number, TaskName
from scheduler.domain.errors import Unavailable
from scheduler.services import outputs
from scheduler.services.outputs import Extent
from scheduler.store.output import Chunk
from scheduler.store.rows import Row

log = logging.getLogger(__name__)
router = APIRouter(
    prefix="/runs/{run}/tasks/{task}/attempts/{attempt}/output/events",
    tags=["tasks"],
    route_class=GuardedRoute,
)

STREAMS = {1: "out", 2: "err"}
END = "end"  # the id of the last event: who has it needs nothing more

LastEventId = Annotated[
    str | None,
    Header(
        alias="Last-Event-ID",
        pattern=r"^(\d{1,18}|end)$",
        description="The last event that was received: the stream goes on behind it.",
    ),
]
ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Events `out` and `err` (`offset`, and `data` as base64), `gap` (`offset`, "
        "and how many bytes are `missing` there), and at last `end`.",
        "content": {STREAM: {}},
    },
    204: {"description": "Last-Event-ID was the last event."},
}


@router.get("", response_class=Response, responses=ANSWERS | problems(404, 422))
async def follow_attempt_output(
    run: UUID,
    task: TaskName,
    attempt: Number,
    request: Request,
    server: TheServer,
    offset: Annotated[int, Query(ge=0, le=2**62)] = 0,
    follow: Annotated[bool, Query(description="Until the attempt is over.")] = True,
    last_event_id: LastEventId = None,
) -> Response:
    """Follow what an attempt prints, with its streams told apart and in order.

    The id of an event is the offset behind it.
    """
    async with server.connection() as conn:
        found = await outputs.task_of(conn, run, task)
        await outputs.extent(conn, found["id"], attempt)
    if last_event_id == END:
        return Response(status_code=204)  # a browser asks no more after this
    start = int(last_event_id or offset)
    stream = OutputStream(server, run, request, start, found["id"], attempt, follow)
    return StreamingResponse(
        nothing() if is_head(request.scope) else stream.lines(),
        media_type=STREAM,
        headers={"X-Accel-Buffering": "no", "Content-Encoding": "identity"},
    )


@dataclass(slots=True, frozen=True)
class Look:
    extent: Extent
    chunks: list[Chunk]
    ended: Row | None


class OutputStream(Stream):
    """One follower of one attempt; `after` is the offset up to which it was told."""

    def __init__(self, *given: Any) -> None:
        *of_stream, self.task, self.attempt, self.follow = given
        super().__init__(*of_stream)
        self.missing = 0
        self.began_at = self.after

    async def lines(self) -> AsyncIterator[str]:
        """No connection is held while nothing happens; one that is lost costs only time."""
        with self.server.hub.follow(self.run) as pulse:
            while True:
                look = await self.look_once()
                for line in self.parts(look.chunks if look else []):
                    yield line
                if look and not look.chunks and (look.extent.is_over or not self.follow):
                    for line in self.last(look):
                        yield line
                    return
                if not look or not look.chunks:
                    await pulse.wait(SAFETY)
                if self.is_silent():
                    if not await self.is_admitted():
                        return
                    yield ": alive\n\n"

    async def look_once(self) -> Look | None:
        """The extent first: if it says that this is all, what is read then is all."""
        try:
            async with self.server.connection() as conn:
                extent = await outputs.extent(conn, self.task, self.attempt)
                chunks = await outputs.read(conn, self.task, self.attempt, self.after)
                is_last = extent.is_over and not chunks
                ended = await outputs.ended(conn, self.task, self.attempt) if is_last else None
        except (*AWAY, Unavailable) as error:
            log.warning("database away", extra={"error": str(error).strip()})
            return None
        return Look(extent, chunks, ended)

    def parts(self, chunks: list[Chunk]) -> Iterator[str]:
        for chunk in chunks:
            if chunk.start > self.after:
                yield self.gap(chunk.start - self.after)
            data = chunk.data[self.after - chunk.start :]
            at, self.after = self.after, chunk.start + len(chunk.data)
            body = {"offset": at, "data": b64encode(data).decode()}
            yield self.event(STREAMS[chunk.stream], body)

    def gap(self, missing: int) -> str:
        at, self.after = self.after, self.after + missing
        self.missing += missing
        return self.event("gap", {"offset": at, "missing": missing})

    def last(self, look: Look) -> Iterator[str]:
        """What was dropped behind the last byte that is stored shows only in the count."""
        if self.began_at == 0 and look.extent.dropped > self.missing:
            yield self.gap(look.extent.dropped - self.missing)
        body = {
            "offset": self.after,
            "dropped": look.extent.dropped,
            "over": look.extent.is_over,
            "status": look.ended["state"] if look.ended else None,
            "exit_code": look.ended["exit_code"] if look.ended else None,
        }
        yield self.event("end", body, id=END if look.extent.is_over else None)

    def event(self, kind: str, body: dict[str, Any], id: str | None = None) -> str:
        self.spoke = asyncio.get_running_loop().time()
        return f"id: {id or self.after}\nevent: {kind}\ndata: {json.dumps(body)}\n\n"
