"""The tasks of a run: a page of them, and the items of one that has thousands."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import Conn
from scheduler.domain.errors import NotFound
from scheduler.domain.states import TaskState
from scheduler.store import run_screens, workstation_screens
from scheduler.store.rows import Row
from ui import frame as pages
from ui import query
from ui.drawing import charts
from ui.pages.run import calls, frame
from ui.pages.run.routes import SHOWN, router

SETTLED = frozenset({"COMPLETED", "SKIPPED", "IN_PROGRESS"})
ORDER = ("IN_PROGRESS", "READY", "WAITING", "PENDING", "FAILED", "STOPPED", "SKIPPED", "COMPLETED")


@router.get("")
async def ui_run(run: UUID, request: Request, conn: Conn) -> Response:
    return await page(request, conn, run)


async def page(request: Request, conn: AsyncConnection[Any], run: UUID, **more: Any) -> Response:
    of = query.number(request, "of", 2**31 - 1)
    state = next(iter(query.among(request, "state", TaskState)), None)
    after = query.number(request, "after", 2**31 - 1)
    rows = await run_screens.tasks(
        conn, run, after=-1 if after is None else after, limit=SHOWN + 1, of=of, state=state
    )
    parts = items_of(await run_screens.items(conn, run))
    flows = await calls.of_run(conn, run)
    shown = of_which(flows, of)
    if of is not None and of not in parts and shown is None:
        raise NotFound("this task has no items, and has called nothing")
    here = f"/ui/runs/{run}"
    return await frame.tab(
        request,
        conn,
        run,
        "run.html",
        "tasks",
        tasks=rows[:SHOWN],
        next=pages.address(here, of=of, state=state, after=rows[SHOWN - 1]["position"])
        if len(rows) > SHOWN
        else None,
        places=await workstation_screens.of_tasks(
            conn, run, [row["position"] for row in rows[:SHOWN]]
        ),
        items=parts,
        flows=flows,
        called=await calls.page(conn, run, shown, after if of is not None else None)
        if shown
        else None,
        of=of,
        chosen=state,
        settled=SETTLED,
        shares=charts.shares,
        **more,
    )


def of_which(flows: Sequence[Row], of: int | None) -> Row | None:
    """The workflow whose calls are shown: that which is asked for, or the only one."""
    if of is None:
        return flows[0] if len(flows) == 1 else None
    return next((flow for flow in flows if flow["position"] == of), None)


def items_of(rows: Sequence[Row]) -> dict[int, dict[str, int]]:
    """Of each task that has items, how many stand where; what goes on comes first."""
    found: dict[int, dict[str, int]] = {}
    for row in sorted(rows, key=lambda row: ORDER.index(row["state"])):
        found.setdefault(row["of"], {})[row["state"]] = row["items"]
    return found
