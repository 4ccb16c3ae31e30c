"""One run: what it does, why it waits, and what can be done about it."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Path, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import By, Conn, TheCatalog
from scheduler.domain.errors import Invalid
from scheduler.domain.states import FINAL_RUNS, RunState
from scheduler.services import runs, why
from scheduler.services.catalog import Catalog
from scheduler.store import dashboard, history, run_tasks, tasks
from scheduler.store import runs as stored
from scheduler.store.rows import Row
from ui import buttons, frame, query, session, words
from ui.drawing import graph, timeline
from ui.drawing.graph import Box
from ui.drawing.timeline import Line, Span
from ui.forms import Form
from ui.screen import Screen

router = APIRouter(prefix="/runs/{run}", route_class=Screen)

SHOWN = 100  # tasks, events or children on one page
EXPLAINED = 12  # reasons
ATTEMPTS = 2_000
Connection = AsyncConnection[Any]


@router.get("")
async def ui_run(run: UUID, request: Request, conn: Conn) -> Response:
    after = query.number(request, "after", 2**31 - 1)
    rows = await run_tasks.page(conn, run, after=-1 if after is None else after, limit=SHOWN + 1)
    return await tab(
        request, conn, run, "run.html", "tasks", tasks=rows[:SHOWN], next=behind(rows, "position")
    )


def behind(rows: Sequence[Row], column: str) -> int | None:
    return int(rows[SHOWN - 1][column]) if len(rows) > SHOWN else None


@router.get("/graph")
async def ui_run_graph(run: UUID, request: Request, conn: Conn) -> Response:
    rows = await tasks.of_run(conn, run)
    shown = [row for row in rows if row["role"] != "item"][: graph.MOST]
    picture = graph.draw([box_of(row) for row in shown])
    return await tab(
        request, conn, run, "run_graph.html", "graph", picture=picture, left=len(rows) - len(shown)
    )


def box_of(row: Row) -> Box:
    return Box(
        position=row["position"],
        name=row["name"],
        state=row["state"],
        note=note_of(row),
        href=f"/ui/runs/{row['run_id']}/tasks/{row['position']}",
        successors=tuple(row["successors"]),
    )


def note_of(row: Row) -> str:
    said = words.state(row["state"]).text
    if row["reason"]:
        return f"{said}: {row['reason']}"
    if row["started_at"] and row["finished_at"]:
        return f"{said}, {words.duration(row['finished_at'] - row['started_at'])}"
    return said


@router.get("/timeline")
async def ui_run_timeline(run: UUID, request: Request, conn: Conn) -> Response:
    found = await runs.get(conn, run)
    rows = (await tasks.of_run(conn, run))[: graph.MOST]
    tried = await dashboard.attempts_of(conn, [row["id"] for row in rows], ATTEMPTS)
    told = await history.of_run(conn, run)
    end = found["finished_at"] or datetime.now(UTC)
    start = found["started_at"] or found["created_at"]
    picture = timeline.draw(lines_of(rows, tried, start, end), holds(told, end), start, end)
    return await tab(request, conn, run, "run_timeline.html", "timeline", picture=picture)


def lines_of(
    rows: Sequence[Row], tried: Sequence[Row], start: datetime, end: datetime
) -> list[Line]:
    attempts: dict[int, list[Row]] = {}
    for each in tried:
        attempts.setdefault(each["task_id"], []).append(each)
    return [
        Line(
            row["name"],
            f"/ui/runs/{row['run_id']}/tasks/{row['position']}",
            spans(row, attempts.get(row["id"], []), ready_at(row, rows, start), end),
        )
        for row in rows
    ]


def ready_at(row: Row, rows: Sequence[Row], start: datetime) -> datetime | None:
    """When the last of what it needs had ended; None while something of it has not."""
    before = [each for each in rows if row["position"] in each["successors"]]
    ends = [each["finished_at"] for each in before]
    if row["state"] in ("PENDING", "SKIPPED") or any(end is None for end in ends):
        return None
    return max((end for end in ends if end), default=start)


def spans(row: Row, tried: Sequence[Row], ready: datetime | None, end: datetime) -> list[Span]:
    """Waiting, then each attempt, with the pauses before another try between them."""
    found: list[Span] = []
    since, pause = ready, "wait"
    for each in tried:
        began = each["started_at"] or each["finished_at"]
        found += timeline.span(since, began, pause, PAUSES[pause])
        word = words.state(each["state"])
        text = f"attempt {each['number']}, {word.text}"
        found += timeline.span(began, each["finished_at"], word.tone, text)
        since, pause = each["finished_at"], "backoff"
    return [*found, *in_hand(row, since, pause, end)]


PAUSES = {"wait": "waiting", "backoff": "waiting for another try"}


def in_hand(row: Row, since: datetime | None, pause: str, end: datetime) -> list[Span]:
    if row["state"] == "IN_PROGRESS":
        waited = timeline.span(since, row["started_at"], pause, PAUSES[pause])
        return [*waited, *timeline.span(row["started_at"], end, "run", "running")]
    if row["finished_at"] is None and row["state"] != "PENDING":
        return timeline.span(since, end, pause, PAUSES[pause])
    return []


def holds(told: Sequence[Row], end: datetime) -> list[Span]:
    found, since = [], None
    for each in told:
        if each["kind"] in ("run.holding", "run.held"):
            since = since or each["at"]
        elif since is not None and each["kind"].startswith("run."):
            found += timeline.span(since, each["at"], "hold", "held")
            since = None
    return [*found, *timeline.span(since, end, "hold", "held")]


@router.get("/data")
async def ui_run_data(run: UUID, request: Request, conn: Conn) -> Response:
    return await tab(request, conn, run, "run_data.html", "data")


@router.get("/events")
async def ui_run_events(run: UUID, request: Request, conn: Conn) -> Response:
    after = query.number(request, "after", 2**31 - 1) or 0
    rows = await history.of_run(conn, run, after=after, limit=SHOWN + 1)
    ids = {row["task_id"] for row in rows} - {None}
    names = await run_tasks.names(conn, run, list(ids))
    return await tab(
        request,
        conn,
        run,
        "run_events.html",
        "events",
        events=rows[:SHOWN],
        names=names,
        next=behind(rows, "seq"),
    )


@router.get("/related")
async def ui_run_related(run: UUID, request: Request, conn: Conn) -> Response:
    after = query.run_id(request, "cursor")
    rows = await stored.children(conn, run, after=after, limit=SHOWN + 1)
    next = rows[SHOWN - 1]["id"] if len(rows) > SHOWN else None
    return await tab(
        request, conn, run, "run_related.html", "related", children=rows[:SHOWN], next=next
    )


async def tab(
    request: Request,
    conn: Connection,
    run: UUID,
    template: str,
    name: str,
    **values: Any,
) -> Response:
    """What every tab shows of the run, and its own."""
    found = await runs.get(conn, run)
    state = RunState(found["state"])
    reasons = await why.why(conn, run)
    person = session.person_of(request)
    return await frame.page(
        request,
        conn,
        template,
        run=found,
        is_final=state in FINAL_RUNS,
        tab=name,
        tabs=TABS,
        reasons=reasons[:EXPLAINED],
        more_reasons=max(0, len(reasons) - EXPLAINED),
        buttons=buttons.of_run(state, person.caller),
        stream=None if state in FINAL_RUNS else f"/ui/stream?run={run}",
        **values,
    )


TABS = (
    ("tasks", "Tasks", ""),
    ("graph", "Graph", "/graph"),
    ("timeline", "Timeline", "/timeline"),
    ("data", "Input and output", "/data"),
    ("events", "Events", "/events"),
    ("related", "Related", "/related"),
)


Command = Callable[[Connection, Catalog, UUID, Form, str], Awaitable[Row]]


async def hold(conn: Connection, catalog: Catalog, run: UUID, form: Form, by: str) -> Row:
    return await runs.hold(conn, catalog, run, by=by, freeze="freeze" in form)


async def resume(conn: Connection, catalog: Catalog, run: UUID, form: Form, by: str) -> Row:
    return await runs.resume(conn, catalog, run, by=by)


async def stop(conn: Connection, catalog: Catalog, run: UUID, form: Form, by: str) -> Row:
    reason = form.get("why").strip()[:500] or None
    return await runs.stop(
        conn, catalog, run, by=by, kill="kill" in form, why=reason, undo="undo" in form
    )


async def retry(conn: Connection, catalog: Catalog, run: UUID, form: Form, by: str) -> Row:
    task = form.get("task").strip() or None
    return await runs.retry(
        conn, catalog, run, by=by, task=task, whole="whole" in form and task is None
    )


async def undo(conn: Connection, catalog: Catalog, run: UUID, form: Form, by: str) -> Row:
    return await runs.undo(conn, catalog, run, by=by)


async def skip(conn: Connection, catalog: Catalog, run: UUID, form: Form, by: str) -> Row:
    reason = form.get("why").strip()[:500]
    if not reason:
        raise Invalid("say why the task is skipped", field="why")
    return await runs.skip_task(conn, catalog, run, form.get("task"), by=by, why=reason)


COMMANDS: Mapping[str, Command] = {
    "hold": hold,
    "resume": resume,
    "stop": stop,
    "retry": retry,
    "undo": undo,
    "skip": skip,
}
Verb = Annotated[str, Path(pattern=f"^({'|'.join(COMMANDS)})$")]


@router.post("/{verb}")
async def ui_run_command(
    run: UUID, verb: Verb, request: Request, conn: Conn, catalog: TheCatalog, by: By
) -> Response:
    form = request.state.form
    await COMMANDS[verb](conn, catalog, run, form, by)
    return frame.see(f"/ui/runs/{run}", said="kill" if "kill" in form else verb)
