"""Many runs at once: what was chosen is shown before anything becomes of it, and while it does."""

from datetime import datetime, timedelta
from typing import Annotated, Any, get_args
from uuid import UUID

from fastapi import Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn
from scheduler.domain.errors import Conflict, Invalid, Refusal
from scheduler.services import runs_in_bulk as bulk
from scheduler.services.runs_in_bulk import Wish
from scheduler.store import queues
from scheduler.store import run_selections as stored
from scheduler.store.rows import Row
from ui import frame, query
from ui.forms import Form
from ui.lists import Asked
from ui.pages.runs.listing import LIST, filter_of
from ui.pages.runs.routes import router

SHOWN = 50
TROUBLES = 50
ACTIONS: tuple[bulk.Action, ...] = get_args(bulk.Action)
Action = Annotated[str, Path(pattern=f"^({'|'.join((*ACTIONS, 'end'))})$")]


@router.post("/runs/chosen")
async def ui_select_runs(request: Request, conn: Conn, by: By) -> Response:
    """Those that were ticked, or all that fit the filters; never all instead of none."""
    form: Form = request.state.form
    action = form.get("action")
    if action not in ACTIONS:
        raise Invalid("say what is to be done with them", field="action")
    if "matching" in form:
        made = await bulk.select(conn, filter_of(asked_of(request, form)), by=by)
    else:
        made = await bulk.select(conn, ids=chosen(form), by=by)
    return frame.see(f"/ui/runs/selections/{made['id']}", action=action)


def asked_of(request: Request, form: Form) -> Asked:
    """What the list asked from which the form was sent."""
    scope = {**request.scope, "query_string": form.get("asked").encode()}
    return LIST.read(Request(scope))


def chosen(form: Form) -> list[UUID]:
    try:
        found = [UUID(each) for each in form.all("id")]
    except ValueError:
        raise Invalid("this is no run", field="id") from None
    if not found:
        raise Invalid("tick the runs that are meant, or take all that fit the filters", field="id")
    return found


@router.get("/runs/selections/{selection}")
async def ui_run_selection(selection: UUID, request: Request, conn: Conn) -> Response:
    action = next(iter(query.among(request, "action", ACTIONS)), None)
    return await page(request, conn, selection, action)


async def page(
    request: Request,
    conn: AsyncConnection[Any],
    selection: UUID,
    action: str | None,
    *,
    form: Form | None = None,
    fault: Refusal | None = None,
) -> Response:
    found = await bulk.get(conn, selection)
    progress = await stored.progress(conn, selection)
    rows = await stored.page(
        conn, selection, limit=SHOWN + 1, after=query.run_id(request, "cursor")
    )
    now = (await queues.moment(conn)).now
    here = f"/ui/runs/selections/{selection}"
    cursor = rows[SHOWN - 1]["id"] if len(rows) > SHOWN else None
    return await frame.page(
        request,
        conn,
        "run_selection.html",
        status=frame.status_of(fault) if fault else 200,
        selection=found,
        action=found["action"] or action,
        actions=ACTIONS,
        progress=progress,
        pending=progress.get(None, 0),
        left=left(found, progress, now),
        rows=rows[:SHOWN],
        troubles=await stored.troubles(conn, selection, TROUBLES),
        next=frame.address(here, action=action, cursor=cursor) if cursor else None,
        typed=form or Form([]),
        fault=fault,
        stream="/ui/stream" if found["begun_at"] and not found["ended_at"] else None,
    )


def left(selection: Row, progress: dict[str | None, int], now: datetime) -> timedelta | None:
    """How much longer it takes, if it goes on as it did."""
    pending = progress.get(None, 0)
    done = selection["runs"] - pending
    if not done or not pending or selection["begun_at"] is None:
        return None
    took: timedelta = now - selection["begun_at"]
    return timedelta(seconds=took.total_seconds() / done * pending)


@router.post("/runs/selections/{selection}/{action}")
async def ui_command_runs(
    selection: UUID, action: Action, request: Request, conn: Conn, by: By
) -> Response:
    form: Form = request.state.form
    try:
        if action == "end":
            await bulk.leave(conn, selection, by=by)
        else:
            await bulk.begin(conn, selection, wish_of(action, form), expected=count_of(form), by=by)
    except (Conflict, Invalid) as error:
        return await page(request, conn, selection, action, form=form, fault=error)
    return frame.see(f"/ui/runs/selections/{selection}")


def wish_of(action: Any, form: Form) -> Wish:
    match action:
        case "stop":
            why = form.get("why").strip()[:500] or None
            return Wish(action="stop", why=why, kill="kill" in form, undo="undo" in form)
        case "retry":
            return Wish(action="retry", whole="whole" in form)
    return Wish(action=action)


def count_of(form: Form) -> int:
    text = form.get("count")
    if not (text.isascii() and text.isdecimal() and len(text) < 7):
        raise Invalid("the form does not say how many runs it is about", field="count")
    return int(text)
