"""A task with its attempts, and what an attempt printed: by byte range, of any size, live."""

import codecs
import json
import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from fastapi.responses import StreamingResponse
from psycopg import AsyncConnection

from scheduler.api.live import SAFETY
from scheduler.api.methods import is_head
from scheduler.api.state import Conn, Server, TheServer
from scheduler.services import outputs, runs
from scheduler.services.outputs import Extent
from scheduler.store.output import Chunk
from ui import frame, live, query
from ui.ansi import Piece, Reader
from ui.screen import Screen

router = APIRouter(prefix="/runs/{run}/tasks/{task}", route_class=Screen)

WINDOW = 64 << 10  # bytes that a page shows
READS = 12  # statements that a page spends on them
SEARCHED = 4 << 20  # bytes that one search looks through
OFTEN = 0.5  # output is stored without a word to anybody, so whoever follows it looks
TROUBLE = r"(?i)\b(error|exception|traceback|fatal|panic|failed)\b"
Connection = AsyncConnection[Any]

Task = Annotated[str, Path(min_length=1, max_length=63)]
Number = Annotated[int, Path(alias="attempt", ge=1, le=2**31 - 1)]


@dataclass(slots=True)
class Pieces:
    """Turns stored chunks into what is shown: two streams, characters cut in two, and gaps."""

    at: int
    readers: dict[int, Reader] = field(default_factory=lambda: {1: Reader(), 2: Reader()})
    decoders: dict[int, codecs.IncrementalDecoder] = field(
        default_factory=lambda: {
            each: codecs.getincrementaldecoder("utf-8")("replace") for each in (1, 2)
        }
    )

    def of(self, chunk: Chunk, end: int | None = None) -> Iterator[Piece]:
        if chunk.start > self.at:
            yield "gap", f"{chunk.start - self.at} bytes were not kept here"
            self.at = chunk.start
        data = chunk.data[self.at - chunk.start : None if end is None else end - chunk.start]
        self.at += len(data)
        text = self.decoders[chunk.stream].decode(data)
        for style, piece in self.readers[chunk.stream].read(text):
            yield (f"err {style}".strip() if chunk.stream == 2 else style), piece


@router.get("")
async def ui_attempt(run: UUID, task: Task, request: Request, conn: Conn) -> Response:
    found = await outputs.task_of(conn, run, task)
    return await frame.page(
        request,
        conn,
        "attempt.html",
        run=await runs.get(conn, run),
        task=found,
        attempts=list(reversed(await outputs.attempts_of(conn, found))),
        may_skip=found["state"] in ("PENDING", "WAITING", "READY", "FAILED", "STOPPED"),
        stream=f"/ui/stream?run={run}" if found["finished_at"] is None else None,
    )


@router.get("/{attempt}/log")
async def ui_log(run: UUID, task: Task, attempt: Number, request: Request, conn: Conn) -> Response:
    found = await outputs.task_of(conn, run, task)
    extent = await outputs.extent(conn, found["id"], attempt)
    start = place(request, extent)
    sought, searched = query.text(request, "q"), None
    if sought or "trouble" in request.query_params:
        searched = await search(conn, found["id"], attempt, start, sought)
        start = start if searched.hit is None else searched.hit
    pieces, end = await window(conn, found["id"], attempt, start)
    here = f"/ui/runs/{run}/tasks/{task}/{attempt}/log"
    return await frame.page(
        request,
        conn,
        "log.html",
        run=await runs.get(conn, run),
        task=found,
        attempt=attempt,
        here=here,
        extent=extent,
        pieces=list(marked(pieces, sought)),
        start=start,
        end=end,
        back=max(0, start - WINDOW),
        sought=sought,
        searched=searched,
        follow=None if extent.is_over or end < extent.size else f"{here}/stream?from={end}",
        stream=None,
    )


def place(request: Request, extent: Extent) -> int:
    """Where the page begins: at the end, if nobody says otherwise."""
    asked = query.number(request, "from")
    if asked is None:
        is_search = "q" in request.query_params or "trouble" in request.query_params
        return 0 if is_search else max(0, extent.size - WINDOW)
    return min(asked, extent.size)


async def chunks_from(
    conn: Connection, task: int, attempt: int, start: int, most: int, reads: int = READS
) -> AsyncIterator[Chunk]:
    at = start
    for _ in range(reads):
        found = await outputs.read(conn, task, attempt, at)
        for chunk in found:
            yield chunk
            at = chunk.start + len(chunk.data)
            if at >= start + most:
                return
        if not found:
            return


async def window(conn: Connection, task: int, attempt: int, start: int) -> tuple[list[Piece], int]:
    pieces, shown = Pieces(start), list[Piece]()
    async for chunk in chunks_from(conn, task, attempt, start, WINDOW):
        limit = max(start, chunk.start) + WINDOW if chunk.start > start else start + WINDOW
        shown += pieces.of(chunk, limit)
    return shown, pieces.at


@dataclass(frozen=True, slots=True)
class Searched:
    """Where the line of the hit begins, if there is one, and how far was looked."""

    hit: int | None
    end: int


async def search(
    conn: Connection, task: int, attempt: int, start: int, sought: str | None
) -> Searched:
    """The line of the next hit, within what one search looks through."""
    pattern = re.compile(
        (re.escape(sought) if sought else TROUBLE).encode(), re.IGNORECASE if sought else 0
    )
    at, kept, began = start, b"", start
    async for chunk in chunks_from(conn, task, attempt, start, SEARCHED, reads=64):
        if chunk.start > at:
            kept, began = b"", chunk.start
        kept += chunk.data[max(0, at - chunk.start) :]
        if hit := pattern.search(kept):
            line = kept.rfind(b"\n", 0, hit.start()) + 1
            return Searched(began + line, began + hit.end())
        at = chunk.start + len(chunk.data)
        tail = kept[-1024:]
        began, kept = at - len(tail), tail
    return Searched(None, at)


def marked(pieces: Sequence[Piece], sought: str | None) -> Iterator[Piece]:
    if not sought:
        yield from pieces
        return
    parts = re.compile(f"({re.escape(sought)})", re.IGNORECASE)
    for style, text in pieces:
        for number, part in enumerate(parts.split(text)):
            if part:
                yield (f"{style} hit".strip() if number % 2 else style), part


@router.get("/{attempt}/raw")
async def ui_log_raw(
    run: UUID, task: Task, attempt: Number, request: Request, server: TheServer
) -> Response:
    async with server.connection() as conn:
        found = await outputs.task_of(conn, run, task)
        extent = await outputs.extent(conn, found["id"], attempt)
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{found['name']}-{attempt}.log")
    body = (
        live.nothing_bytes()
        if is_head(request.scope)
        else raw(server, found["id"], attempt, extent)
    )
    return StreamingResponse(
        body,
        media_type="application/octet-stream",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def raw(server: Server, task: int, attempt: int, extent: Extent) -> AsyncIterator[bytes]:
    """All that is stored. No connection is held while the client reads."""
    at = 0
    while at < extent.size:
        async with server.connection() as conn:
            chunks = await outputs.read(conn, task, attempt, at)
        for chunk in chunks:
            yield chunk.data[max(0, at - chunk.start) :]
            at = chunk.start + len(chunk.data)
        if not chunks:
            return


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


async def told(
    request: Request, server: Server, run: UUID, task: int, attempt: int, begin: int
) -> AsyncIterator[str]:
    """Pieces as they come. The id of each event is the offset behind it."""
    pieces, clock = Pieces(begin), live.Clock()
    with server.hub.follow(run) as pulse:
        while True:
            async with server.connection() as conn:
                extent = await outputs.extent(conn, task, attempt)
                chunks = await outputs.read(conn, task, attempt, pieces.at)
            for chunk in chunks:
                data = json.dumps(list(pieces.of(chunk)))
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
