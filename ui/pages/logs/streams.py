"""A log that is followed while it grows."""

import json
from collections.abc import AsyncIterator
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from scheduler.api.live import SAFETY
from scheduler.api.methods import is_head
from scheduler.api.state import Server, TheServer
from scheduler.services import outputs
from scheduler.store import log_reading
from ui import live, query
from ui.pages.logs.parts import NEWLINE, Pieces, merged
from ui.pages.logs.reading import CHUNKS, Conn, ahead
from ui.pages.logs.routes import Number, Task, router

OFTEN = 0.5  # output is stored without a word to anybody, so whoever follows it looks


@router.get("/{attempt}/log/stream")
async def ui_log_stream(
    run: UUID, task: Task, attempt: Number, request: Request, server: TheServer
) -> Response:
    last = request.headers.get("last-event-id", "")
    if last == "end":
        return Response(status_code=204)  # a browser asks no more after this
    start = int(last) if last.isascii() and last.isdecimal() and len(last) < 19 else None
    begin = start if start is not None else query.number(request, "from") or 0
    async with server.connection() as conn:
        found = await outputs.task_of(conn, run, task)
        await outputs.extent(conn, found["id"], attempt)
    body = (
        live.nothing()
        if is_head(request.scope)
        else told(request, server, run, found["id"], attempt, begin)
    )
    return StreamingResponse(body, media_type=live.STREAM, headers=live.HEADERS)


async def begins_line(conn: Conn, task: int, attempt: int, at: int) -> bool:
    [*before] = await log_reading.before(conn, task, attempt, at, 1)
    return not before or ahead(before[0], at).data.endswith(NEWLINE)


async def told(
    request: Request, server: Server, run: UUID, task: int, attempt: int, begin: int
) -> AsyncIterator[str]:
    """Pieces as they come. The id of each event is the offset behind it."""
    async with server.connection() as conn:
        is_new = await begins_line(conn, task, attempt, begin)
    pieces, clock = Pieces(begin, is_new=is_new), live.Clock()
    with server.hub.follow(run) as pulse:
        while True:
            async with server.connection() as conn:
                extent = await outputs.extent(conn, task, attempt)
                chunks = await log_reading.from_(conn, task, attempt, pieces.at, CHUNKS)
            for chunk in chunks:
                data = json.dumps(merged(pieces.of(chunk)))
                yield f"id: {pieces.at}\nevent: pieces\ndata: {data}\n\n"
            if not chunks and extent.is_over:
                yield "id: end\nevent: end\ndata: end\n\n"
                return
            if not chunks:
                await pulse.wait(min(OFTEN, SAFETY))
            if clock.is_due():
                if not await live.is_admitted(request):
                    return
                yield ": alive\n\n"
