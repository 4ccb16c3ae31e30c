"""Now: what runs, what failed, what waits for somebody."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import Conn, TheServer
from scheduler.domain.states import FINAL_RUNS, RunState
from scheduler.domain.windows import Window
from scheduler.services import statistics
from scheduler.services.statistics import Statistics
from scheduler.store import dashboard, holders, queues
from scheduler.store.rows import Row
from ui import frame, words
from ui.drawing import charts
from ui.pages.runs import LATEST, late
from ui.screen import Screen

router = APIRouter(route_class=Screen)

SHOWN = 15
FRESH = 10.0  # seconds that the day's figures are good for, whoever looks


class Day:
    """The figures of the last 24 hours of one database: looked up once for all who look."""

    def __init__(self) -> None:
        self._known: dict[int, tuple[float, Statistics]] = {}

    async def look(self, conn: AsyncConnection[Any], server: object) -> Statistics:
        time = asyncio.get_running_loop().time()
        known = self._known.get(id(server))
        if known is not None and time - known[0] < FRESH:
            return known[1]
        found = await statistics.look(conn, Window.DAY)
        self._known = {id(server): (time, found)}
        return found

    def forget(self) -> None:
        self._known.clear()


DAY = Day()


@router.get("")
async def ui_now(request: Request, conn: Conn, server: TheServer) -> Response:
    day = await DAY.look(conn, server)
    living = await dashboard.living(conn, SHOWN)
    now = (await queues.moment(conn)).now
    names = sorted({row["type"] for row in living})
    usual = await dashboard.usual(conn, names, LATEST)
    return await frame.page(
        request,
        conn,
        "now.html",
        living=[with_progress(row, usual, now) for row in living],
        more=sum(count.number for count in day.living.values()) > len(living),
        bad=await dashboard.ended_badly(conn, SHOWN),
        holders=[row for row in await holders.all(conn) if row["state"] != "GONE"],
        queues=await queues.all(conn),
        oldest=day.oldest[0] if day.oldest else None,
        wait=day.all.wait,
        rate=day.all.success_rate,
        outcomes={state.value: day.all.runs.get(state, 0.0) for state in sorted(FINAL_RUNS)},
        outcome_bar=charts.shares(outcomes(day)),
        activity=charts.activity(*activity(day, frame.look_of(request))),
        is_approximate=day.is_approximate,
        stream="/ui/stream",
    )


def outcomes(day: Statistics) -> dict[str, float]:
    order = (RunState.COMPLETED, RunState.STOPPED, RunState.FAILED)
    return {state.value: day.all.runs.get(state, 0.0) for state in order}


def activity(day: Statistics, look: frame.Look) -> tuple[Sequence[int], Sequence[str]]:
    counts = [count for _, count in day.parts]
    return counts, [words.clock(part.start, look.tz) for part, _ in day.parts]


def with_progress(row: Row, usual: dict[str, float], now: datetime) -> Row:
    is_late = late({**row, "finished_at": None}, usual, now)
    bar = charts.progress(row["total"] - row["open"], row["total"], late=is_late)
    return {**row, "bar": bar, "left": left(row, usual, now), "is_late": is_late}


def left(row: Row, usual: dict[str, float], now: datetime) -> timedelta | None:
    """How much longer it takes, if it takes as long as others did."""
    typical, began = usual.get(row["type"]), row["started_at"]
    if typical is None or began is None:
        return None
    rest = timedelta(seconds=typical) - (now - began)
    return rest if rest > timedelta() else None
