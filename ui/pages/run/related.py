"""What a run hangs together with: who started it, what it started, its rounds, its dead letters."""

from uuid import UUID

from fastapi import Request, Response

from scheduler.api.state import Conn
from scheduler.services import runs
from scheduler.store import flows, run_screens
from scheduler.store import runs as stored
from ui import query
from ui.pages.run import frame
from ui.pages.run.routes import SHOWN, router

ROUNDS = 50


@router.get("/related")
async def ui_run_related(run: UUID, request: Request, conn: Conn) -> Response:
    found = await runs.get(conn, run)
    after = query.run_id(request, "cursor")
    rows = await stored.children(conn, run, after=after, limit=SHOWN + 1)
    parent = found["parent_run"]
    return await frame.tab(
        request,
        conn,
        found,
        "run_related.html",
        "related",
        parent=await stored.get(conn, parent) if parent else None,
        forks=await flows.forks(conn, run, limit=ROUNDS),
        children=rows[:SHOWN],
        next=rows[SHOWN - 1]["id"] if len(rows) > SHOWN else None,
        rounds=await run_screens.rounds(conn, run, ROUNDS),
        letters=await run_screens.letters(conn, run, ROUNDS),
        beside=await run_screens.neighbours(conn, run, found["type"], found["record_id"]),
    )
