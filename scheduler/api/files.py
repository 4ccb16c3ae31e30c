"""The files that attempts left: which there are, and what is in them."""

from collections.abc import AsyncIterator
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import Field

from scheduler.api import pages, ranges
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.methods import is_head
from scheduler.api.models import Outward, Time
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.ranges import Part
from scheduler.api.state import Conn, Server, TheServer
from scheduler.api.tasks import TaskName
from scheduler.services import left_files
from scheduler.services.outputs import Extent
from scheduler.store.rows import Row

router = APIRouter(prefix="/runs/{run}", tags=["tasks"], route_class=GuardedRoute)

BLOCK = 1 << 20
FileName = Annotated[
    str, Path(alias="name", min_length=1, max_length=200, examples=["out/report.pdf"])
]
CONTENT: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The file.",
        "content": {"application/octet-stream": {"schema": {"type": "string"}}},
    },
    206: {"description": "The range that was asked for."},
}


class File(Outward):
    """A file that an attempt left."""

    task: str
    attempt: int
    name: str = Field(examples=["out/report.pdf"])
    type: str | None = Field(description="What the command called it.", examples=["text/csv"])
    size: int
    digest: str = Field(description="SHA-256 of what is in it.")
    kept_at: Time


@router.get("/files", responses=problems(404, 422))
async def list_run_files(
    run: UUID, conn: Conn, limit: Limit = 100, cursor: Cursor = None
) -> Page[File]:
    """List the files that the tasks of a run left, in the order in which they were kept."""
    after = pages.decode(cursor, pages.big_number)
    rows = await left_files.of_run(conn, run, after=after or 0, limit=limit + 1)
    return pages.page_of(rows, limit, "id", File.model_validate)


@router.get("/tasks/{task}/files", responses=problems(404, 422))
async def list_task_files(
    run: UUID, task: TaskName, conn: Conn, limit: Limit = 100, cursor: Cursor = None
) -> Page[File]:
    """List the files that the attempts of a task left."""
    after = pages.decode(cursor, pages.big_number)
    rows = await left_files.of_task(conn, run, task, after=after or 0, limit=limit + 1)
    return pages.page_of(rows, limit, "id", File.model_validate)


@router.get(
    "/tasks/{task}/files/{name:path}",
    response_class=Response,
    responses=CONTENT | problems(404, 416, 422),
)
async def get_task_file(
    run: UUID,
    task: TaskName,
    name: FileName,
    request: Request,
    server: TheServer,
    attempt: Annotated[
        int | None, Query(ge=1, le=2**31 - 1, description="The newest that left it if left out.")
    ] = None,
    range: Annotated[str | None, Header(max_length=100, examples=["bytes=0-1023"])] = None,
) -> Response:
    """Read a file that an attempt left."""
    async with server.connection() as conn:
        file = await left_files.find(conn, run, task, name, attempt)
    extent = Extent(file["size"], 0, is_over=True)
    part = ranges.chosen(range, 0, None, extent, follow=False)
    return StreamingResponse(
        nothing() if is_head(request.scope) else content(server, file["id"], part),
        206 if part.is_partial else 200,
        headers=headers(file, part),
        media_type=file["type"] or "application/octet-stream",
    )


def headers(file: Row, part: Part) -> dict[str, str]:
    """Whatever is in it, a browser saves it and shows nothing of it."""
    name = quote(file["name"].rpartition("/")[2] or "file", safe="")
    told = {
        "Accept-Ranges": "bytes",
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "Content-Length": str(part.end - part.start),
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "ETag": f'"{file["digest"]}"',
        "X-Content-Type-Options": "nosniff",
    }
    if part.is_partial:
        told["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{file['size']}"
    return told


async def nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def content(server: Server, file: int, part: Part) -> AsyncIterator[bytes]:
    """No connection is held while the client reads."""
    at = part.start
    while at < part.end:
        async with server.connection() as conn:
            data = await left_files.read(conn, file, at, min(BLOCK, part.end - at))
        if not data:
            return  # the run was deleted meanwhile: the answer ends too early, as it must
        at += len(data)
        yield data
