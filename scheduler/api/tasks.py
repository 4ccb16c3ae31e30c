"""The tasks of a run, their attempts, and what these printed."""

from collections.abc import AsyncIterator
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Path, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import BaseModel

from scheduler.api import pages, ranges
from scheduler.api.access import GuardedRoute
from scheduler.api.documents import problems
from scheduler.api.live import SAFETY
from scheduler.api.methods import is_head
from scheduler.api.models import Attempt, CompleteTask, SkipTask, Task
from scheduler.api.pages import Cursor, Limit, Page
from scheduler.api.ranges import Part
from scheduler.api.state import By, Conn, Server, TheCatalog, TheServer
from scheduler.services import outputs, runs
from scheduler.services.outputs import Extent
from scheduler.store import run_tasks

router = APIRouter(prefix="/runs/{run}/tasks", tags=["tasks"], route_class=GuardedRoute)

TaskName = Annotated[
    str,
    Path(alias="task", min_length=1, max_length=63, description="Its name, or its position."),
]
Number = Annotated[int, Path(alias="attempt", ge=1, le=2**31 - 1)]
OFTEN = 0.5  # seconds: output is stored without a word to anybody, so whoever follows it looks
BYTES: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The bytes that are stored.",
        "content": {"application/octet-stream": {"schema": {"type": "string"}}},
        "headers": {
            "Output-Size": {
                "description": "How much was printed, as far as is known now.",
                "schema": {"type": "integer"},
            },
            "Output-Dropped": {
                "description": "How much of it lay between head and tail and was not kept.",
                "schema": {"type": "integer"},
            },
            "Output-Start": {
                "description": "The offset of the first byte of this answer.",
                "schema": {"type": "integer"},
            },
            "Output-Over": {
                "description": "`true` if nothing more will come.",
                "schema": {"type": "string"},
            },
        },
    },
    206: {"description": "The range that was asked for, or what is stored of it."},
}


class Attempts(BaseModel):
    items: list[Attempt]


@router.get("", responses=problems(404, 422))
async def list_run_tasks(
    run: UUID, conn: Conn, limit: Limit = 100, cursor: Cursor = None
) -> Page[Task]:
    """List the tasks of a run in the order of the definition."""
    await runs.get(conn, run)
    after = pages.decode(cursor, pages.big_number)
    rows = await run_tasks.page(
        conn, run, after=-1 if after is None else min(after, 2**31 - 1), limit=limit + 1
    )
    return pages.page_of(rows, limit, "position", Task.model_validate)


@router.get("/{task}", responses=problems(404, 422))
async def get_run_task(run: UUID, task: TaskName, conn: Conn) -> Task:
    """Show one task of a run."""
    return Task.model_validate(await outputs.task_of(conn, run, task))


@router.post("/{task}/skip", responses=problems(404, 409, 422))
async def skip_task(
    run: UUID, task: TaskName, wish: SkipTask, conn: Conn, catalog: TheCatalog, by: By
) -> Task:
    """Go on without a task, as if its condition was false; of an ended run, in a new round."""
    await runs.skip_task(conn, catalog, run, task, by=by, why=wish.why)
    return Task.model_validate(await outputs.task_of(conn, run, task))


@router.post("/{task}/complete", responses=problems(404, 409, 413, 422))
async def complete_task(
    run: UUID, task: TaskName, wish: CompleteTask, conn: Conn, catalog: TheCatalog, by: By
) -> Task:
    """Go on as if a task had succeeded with this output, on the word of whoever asks."""
    await runs.mark_task_done(conn, catalog, run, task, wish.output, by=by, why=wish.why)
    return Task.model_validate(await outputs.task_of(conn, run, task))


@router.get("/{task}/attempts", responses=problems(404, 422))
async def list_task_attempts(run: UUID, task: TaskName, conn: Conn) -> Attempts:
    """List the attempts of a task, the one in hand among them."""
    rows = await outputs.attempts_of(conn, await outputs.task_of(conn, run, task))
    return Attempts(items=[Attempt.model_validate(row) for row in rows])


@router.get(
    "/{task}/attempts/{attempt}/output",
    response_class=Response,
    responses=BYTES | problems(404, 416, 422),
)
async def get_attempt_output(
    run: UUID,
    task: TaskName,
    attempt: Number,
    request: Request,
    server: TheServer,
    offset: Annotated[int, Query(ge=0, le=2**62)] = 0,
    limit: Annotated[int | None, Query(ge=1, le=2**62, description="In bytes.")] = None,
    follow: Annotated[bool, Query(description="Go on until the attempt is over.")] = False,
    range: Annotated[str | None, Header(max_length=100, examples=["bytes=0-1023"])] = None,
) -> Response:
    """Read what an attempt printed, stdout and stderr as they came.

    Offsets count what was printed. Where the middle of a long output was not kept, an answer
    passes over it: `Output-Dropped` says how much that is in all. With `follow` the answer goes
    on while the attempt does.
    """
    async with server.connection() as conn:
        found = await outputs.task_of(conn, run, task)
        extent = await outputs.extent(conn, found["id"], attempt)
    part = ranges.chosen(range, offset, limit, extent, follow=follow)
    body = stored(server, run, found["id"], attempt, part, extent, follow=follow)
    return StreamingResponse(
        nothing() if is_head(request.scope) else body,
        206 if part.is_partial else 200,
        headers=headers(extent, part, follow=follow),
        media_type="application/octet-stream",
    )


def headers(extent: Extent, part: Part, *, follow: bool) -> dict[str, str]:
    told = {
        "Accept-Ranges": "bytes",
        "Output-Size": str(extent.size),
        "Output-Dropped": str(extent.dropped),
        "Output-Start": str(part.start),
        "Output-Over": str(extent.is_over).lower(),
    }
    if part.is_partial:
        told["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{extent.size}"
    if follow:
        told["Content-Encoding"] = "identity"  # what is compressed waits until there is enough
    return told


async def nothing() -> AsyncIterator[bytes]:
    return
    yield b""


async def stored(
    server: Server,
    run: UUID,
    task: int,
    number: int,
    part: Part,
    extent: Extent,
    *,
    follow: bool,
) -> AsyncIterator[bytes]:
    """The stored bytes of the part. No connection is held while the client reads."""
    at = part.start
    with server.hub.follow(run) as pulse:
        while at < part.end:
            async with server.connection() as conn:
                # The extent first: if it says that this is all, what is read then is all.
                extent = await outputs.extent(conn, task, number) if follow else extent
                chunks = await outputs.read(conn, task, number, at)
            for chunk in chunks:
                data = chunk.data[max(0, at - chunk.start) : max(0, part.end - chunk.start)]
                at = chunk.start + len(chunk.data)
                yield data
            if not chunks:
                if extent.is_over or not follow:
                    return
                await pulse.wait(min(OFTEN, SAFETY))
