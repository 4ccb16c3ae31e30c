"""What went into a run and what came of it: data, files, reports, events, and what was undone."""

from collections.abc import AsyncIterator, Sequence
from typing import Annotated, Any
from urllib.parse import quote
from uuid import UUID

from fastapi import Path, Request, Response
from fastapi.responses import StreamingResponse

from scheduler.api.methods import is_head
from scheduler.api.state import Conn, Server, TheCatalog, TheServer
from scheduler.domain.errors import NotFound
from scheduler.services import runs
from scheduler.store import history, run_screens, run_tasks, task_files
from scheduler.store.rows import Row
from ui import live, query
from ui.pages.run import frame
from ui.pages.run.routes import SHOWN, router

BLOCK = 256 << 10  # bytes of a file that are read at once
File = Annotated[int, Path(alias="file", ge=1, le=2**63 - 1)]


def behind(rows: Sequence[Row], column: str) -> int | None:
    return int(rows[SHOWN - 1][column]) if len(rows) > SHOWN else None


@router.get("/data")
async def ui_run_data(run: UUID, request: Request, conn: Conn) -> Response:
    return await frame.tab(request, conn, run, "run_data.html", "data")


@router.get("/files")
async def ui_run_files(run: UUID, request: Request, conn: Conn) -> Response:
    found = await runs.get(conn, run)
    files = await task_files.page(
        conn, run, None, after=query.number(request, "after") or 0, limit=SHOWN + 1
    )
    beyond = query.number(request, "beyond", 2**31 - 1)
    told = await run_screens.told(
        conn, run, after=-1 if beyond is None else beyond, limit=SHOWN + 1
    )
    return await frame.tab(
        request,
        conn,
        found,
        "run_files.html",
        "files",
        files=files[:SHOWN],
        next=behind(files, "id"),
        told=told[:SHOWN],
        next_told=behind(told, "position"),
    )


@router.get("/files/{file}")
async def ui_run_file(run: UUID, file: File, request: Request, server: TheServer) -> Response:
    """Whatever is in it, a browser saves it and shows nothing of it."""
    async with server.connection() as conn:
        found = await run_screens.file(conn, run, file)
    if found is None:
        raise NotFound("this run has no such file, or not any more")
    name = quote(found["name"].rpartition("/")[2] or "file", safe="")
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
        "Content-Security-Policy": "sandbox; default-src 'none'",
        "Content-Encoding": "identity",
        "X-Content-Type-Options": "nosniff",
    }
    body = live.nothing_bytes() if is_head(request.scope) else content(server, file, found["size"])
    return StreamingResponse(body, media_type="application/octet-stream", headers=headers)


async def content(server: Server, file: int, size: int) -> AsyncIterator[bytes]:
    """No connection is held while the client reads."""
    at = 0
    while at < size:
        async with server.connection() as conn:
            data = await task_files.read(conn, file, at, BLOCK)
        if not data:
            return
        at += len(data)
        yield data


@router.get("/events")
async def ui_run_events(run: UUID, request: Request, conn: Conn) -> Response:
    after = query.number(request, "after", 2**31 - 1) or 0
    rows = await history.of_run(conn, run, after=after, limit=SHOWN + 1)
    ids = {row["task_id"] for row in rows} - {None}
    return await frame.tab(
        request,
        conn,
        run,
        "run_events.html",
        "events",
        events=rows[:SHOWN],
        names=await run_tasks.names(conn, run, list(ids)),
        next=behind(rows, "seq"),
    )


@router.get("/undo")
async def ui_run_undo(run: UUID, request: Request, conn: Conn, catalog: TheCatalog) -> Response:
    """The plan, and how far it is."""
    found = await runs.get(conn, run)
    definition = await catalog.get(conn, found["type"], found["type_version"])
    ways = {task.name: way(task.undo) for task in definition.tasks if task.undo is not None}
    done = await run_screens.done(conn, run, list(ways), SHOWN) if ways else []
    undoing = await run_screens.undoing(conn, run, SHOWN)
    return await frame.tab(
        request,
        conn,
        found,
        "run_undo.html",
        "undo",
        ways=ways,
        done=done,
        undone={row["of"]: row for row in undoing},
        undoing=undoing,
    )


def way(undo: Any) -> str:
    """What undoes a task, in a word or two."""
    command = undo.command
    if command is None:
        return str(undo.kind)
    return str(getattr(command, "text", None) or undo.kind)
