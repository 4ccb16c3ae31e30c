"""A task with its attempts: what was carried out, how it ended, and what it said of itself."""

from uuid import UUID

from fastapi import Request, Response

from scheduler.api.state import Conn
from scheduler.services import outputs, runs
from ui import frame
from ui.pages.logs.routes import Task, router


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
