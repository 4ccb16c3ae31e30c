"""What every tab of a run has around it."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from psycopg import AsyncConnection

from scheduler.domain.errors import Refusal
from scheduler.domain.states import FINAL_RUNS, RunState
from scheduler.services import runs
from scheduler.store import dashboard
from scheduler.store.rows import Row
from ui import buttons, frame, session
from ui.forms import Form
from ui.pages.run import waiting
from ui.pages.runs import LATEST, late

Conn = AsyncConnection[Any]

TABS = (
    ("tasks", "Tasks", ""),
    ("graph", "Graph", "/graph"),
    ("timeline", "Timeline", "/timeline"),
    ("logs", "Logs", "/logs"),
    ("data", "Input and output", "/data"),
    ("files", "Files and reports", "/files"),
    ("events", "Events", "/events"),
    ("undo", "Undo", "/undo"),
    ("related", "Related", "/related"),
    ("compare", "Compare", "/compare"),
)


async def tab(
    request: Request,
    conn: Conn,
    run: UUID | Row,
    template: str,
    name: str,
    *,
    fault: Refusal | None = None,
    typed: Form | None = None,
    verb: str = "",
    **values: Any,
) -> Response:
    """What every tab shows of the run, and its own. A command that was refused comes back with
    what was typed."""
    found = run if isinstance(run, dict) else await runs.get(conn, run)
    state = RunState(found["state"])
    person = session.person_of(request)
    usual = (await dashboard.usual(conn, [found["type"]], LATEST)).get(found["type"])
    now = datetime.now(UTC)
    return await frame.page(
        request,
        conn,
        template,
        status=frame.status_of(fault) if fault else 200,
        run=found,
        is_final=state in FINAL_RUNS,
        tab=name,
        tabs=[(text, f"/ui/runs/{found['id']}{path}", each == name) for each, text, path in TABS],
        waiting=await waiting.look(conn, found),
        buttons=buttons.of_run(state, person.caller),
        usual=usual,
        is_late=late(found, {} if usual is None else {found["type"]: usual}, now),
        left=left(found, usual, now),
        fault=fault,
        typed=typed or Form([]),
        tried=verb,
        stream=None if state in FINAL_RUNS else f"/ui/stream?run={found['id']}",
        **values,
    )


def left(run: Row, usual: float | None, now: datetime) -> timedelta | None:
    """How much longer it takes, if it takes as long as others did."""
    if usual is None or run["started_at"] is None or run["finished_at"] is not None:
        return None
    rest = timedelta(seconds=usual) - (now - run["started_at"])
    return rest if rest > timedelta() else None
