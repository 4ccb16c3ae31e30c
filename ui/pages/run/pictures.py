"""A run in pictures: what follows what, and what it did when."""

from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from fastapi import Request, Response

from scheduler.api.state import Conn
from scheduler.services import runs
from scheduler.store import dashboard, history, run_screens
from scheduler.store.rows import Row
from ui import query, words
from ui.drawing import graph, timeline
from ui.drawing.graph import Box
from ui.drawing.timeline import Line, Span
from ui.pages.run import frame
from ui.pages.run.routes import router
from ui.pages.run.tasks import items_of

ATTEMPTS = 2_000
PAUSES = {"wait": "waiting", "backoff": "waiting for another try"}


@router.get("/graph")
async def ui_run_graph(run: UUID, request: Request, conn: Conn) -> Response:
    found = await runs.get(conn, run)
    rows = await run_screens.drawn(conn, run, graph.MOST)
    items = items_of(await run_screens.items(conn, run))
    return await frame.tab(
        request,
        conn,
        found,
        "run_graph.html",
        "graph",
        picture=graph.draw([box_of(row, items) for row in rows]),
        items=sum(sum(counts.values()) for counts in items.values()),
        undrawn=max(0, found["total"] - graph.MOST) if len(rows) == graph.MOST else 0,
    )


def box_of(row: Row, items: dict[int, dict[str, int]]) -> Box:
    return Box(
        position=row["position"],
        name=row["name"],
        state=row["state"],
        note=note_of(row, items.get(row["position"], {})),
        href=f"/ui/runs/{row['run_id']}/tasks/{row['position']}",
        successors=tuple(row["successors"]),
    )


def note_of(row: Row, items: dict[str, int]) -> str:
    said = words.state(row["state"]).text
    if items:
        over = sum(items.get(state, 0) for state in ("COMPLETED", "FAILED", "SKIPPED", "STOPPED"))
        return f"{words.number(over)} of {words.number(sum(items.values()))} items"
    if row["reason"]:
        return f"{said}: {row['reason']}"
    if row["started_at"] and row["finished_at"]:
        return f"{said}, {words.duration(row['finished_at'] - row['started_at'])}"
    return said


@router.get("/timeline")
async def ui_run_timeline(run: UUID, request: Request, conn: Conn) -> Response:
    found = await runs.get(conn, run)
    of = query.number(request, "of", 2**31 - 1)
    rows = await run_screens.drawn(conn, run, graph.MOST, of, calls=True)
    tried = await dashboard.attempts_of(conn, [row["id"] for row in rows], ATTEMPTS)
    told = await history.of_run(conn, run)
    end = found["finished_at"] or datetime.now(UTC)
    start = found["started_at"] or found["created_at"]
    return await frame.tab(
        request,
        conn,
        found,
        "run_timeline.html",
        "timeline",
        picture=timeline.draw(lines_of(rows, tried, start, end), holds(told, end), start, end),
        of=of,
        items=items_of(await run_screens.items(conn, run)),
        names={row["position"]: row["name"] for row in rows},
        is_cut=len(rows) == graph.MOST or len(tried) == ATTEMPTS,
        most=graph.MOST,
    )


def lines_of(
    rows: Sequence[Row], tried: Sequence[Row], start: datetime, end: datetime
) -> list[Line]:
    attempts: dict[int, list[Row]] = {}
    for each in tried:
        attempts.setdefault(each["task_id"], []).append(each)
    ready = readies(rows, start)
    return [
        Line(
            row["name"],
            f"/ui/runs/{row['run_id']}/tasks/{row['position']}",
            spans(row, attempts.get(row["id"], []), ready[row["position"]], end),
        )
        for row in rows
    ]


def readies(rows: Sequence[Row], start: datetime) -> dict[int, datetime | None]:
    """When the last of what each needs had ended; None while something of it has not."""
    ends: dict[int, list[datetime | None]] = {}
    for row in rows:
        for each in row["successors"]:
            ends.setdefault(each, []).append(row["finished_at"])
    return {
        row["position"]: row["started_at"]
        if row["role"] == "call"
        else ready_at(row, ends.get(row["position"], []), start)
        for row in rows
    }


def ready_at(row: Row, ends: Sequence[datetime | None], start: datetime) -> datetime | None:
    if row["state"] in ("PENDING", "SKIPPED") or any(end is None for end in ends):
        return None
    return max((end for end in ends if end), default=start)


def spans(row: Row, tried: Sequence[Row], ready: datetime | None, end: datetime) -> list[Span]:
    """Waiting, then each attempt, with the pauses before another try between them."""
    if not tried and row["role"] == "call":
        return once(row, end)
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


def once(row: Row, end: datetime) -> list[Span]:
    """What a program has done itself has no attempts; what waits is in nobody's hands."""
    word = words.state(row["state"])
    tone = word.tone if row["finished_at"] else "wait"
    return timeline.span(row["started_at"], row["finished_at"] or end, tone, word.text)


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
