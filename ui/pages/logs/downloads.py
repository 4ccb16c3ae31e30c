"""All that is stored of an attempt's output, as a file, plain or compressed."""

import re
import zlib
from collections.abc import AsyncIterator
from uuid import UUID

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from scheduler.api.methods import is_head
from scheduler.api.state import Server, TheServer
from scheduler.services import outputs
from scheduler.services.outputs import Extent
from scheduler.store import log_reading
from ui import live
from ui.pages.logs.reading import CHUNKS
from ui.pages.logs.routes import Number, Task, router

GZIP = 16 + zlib.MAX_WBITS


@router.get("/{attempt}/raw")
async def ui_log_raw(
    run: UUID, task: Task, attempt: Number, request: Request, server: TheServer
) -> Response:
    async with server.connection() as conn:
        found = await outputs.task_of(conn, run, task)
        extent = await outputs.extent(conn, found["id"], attempt)
    is_gz = "gz" in request.query_params
    name = re.sub(r"[^A-Za-z0-9._-]+", "_", f"{found['name']}-{attempt}.log")
    body = raw(server, found["id"], attempt, extent)
    if is_head(request.scope):
        body = live.nothing_bytes()
    return StreamingResponse(
        compressed(body) if is_gz else body,
        media_type="application/gzip" if is_gz else "application/octet-stream",
        headers={
            "Content-Disposition": f'attachment; filename="{name}{".gz" if is_gz else ""}"',
            "Content-Encoding": "identity",
        },
    )


async def raw(server: Server, task: int, attempt: int, extent: Extent) -> AsyncIterator[bytes]:
    """No connection is held while the client reads."""
    at = 0
    while at < extent.size:
        async with server.connection() as conn:
            chunks = await log_reading.from_(conn, task, attempt, at, CHUNKS)
        for chunk in chunks:
            yield chunk.data[max(0, at - chunk.start) :]
            at = chunk.start + len(chunk.data)
        if not chunks:
            return


async def compressed(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    packer = zlib.compressobj(6, wbits=GZIP)
    async for part in parts:
        if data := packer.compress(part):
            yield data
    yield packer.flush()
