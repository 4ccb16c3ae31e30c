"""Now: what runs, what failed, what comes, what waits for somebody."""

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from time import perf_counter
from typing import Any

from fastapi import APIRouter, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import Conn, TheServer
from scheduler.domain.states import FINAL_RUNS
from scheduler.domain.windows import Part, Window
from scheduler.services import statistics
from scheduler.services.statistics import Statistics
from scheduler.store import dashboard, holders, queues, workstation_screens
from scheduler.store import frame as stored
from scheduler.store.rows import Row
from ui import frame
from ui.attention import LATEST, is_late
from ui.drawing import hours
from ui.drawing.hours import Hour
from ui.screen import Screen

router = APIRouter(route_class=Screen)

SHOWN = 12
BESIDE = 6
LONGEST = 101  # more are not counted
FRESH = 10.0  # seconds that the day's figures are good for, whoever looks
SAMPLED = 300  # runs of each hour whose outcomes are looked at
QUARTERS = 4
CALM = (5, 20, 50, 100, 500)  # milliseconds: steps, so that the figure does not dance


@dataclass(frozen=True, slots=True)
class Known:
    at: float
    statistics: Statistics
    outcomes: Mapping[int, Mapping[str, int]]


class Day:
    """The figures of the last 24 hours of one database: looked up once for all who look."""

    def __init__(self) -> None:
        self._known: dict[int, Known] = {}

    async def look(self, conn: AsyncConnection[Any], server: object) -> Known:
        time = asyncio.get_running_loop().time()
        known = self._known.get(id(server))
        if known is not None and time - known.at < FRESH:
            return known
        found = await statistics.look(conn, Window.DAY)
        known = Known(time, found, await outcomes(conn, found.parts))
        self._known = {id(server): known}
        return known

    def forget(self) -> None:
        self._known.clear()


DAY = Day()


async def outcomes(
    conn: AsyncConnection[Any], parts: Sequence[tuple[Part, int]]
) -> Mapping[int, Mapping[str, int]]:
    """Of each hour, the first being 1."""
    lows = [part.low for part, _ in parts[::QUARTERS]]
    highs = [part.high for part, _ in parts[QUARTERS - 1 :: QUARTERS]]
    found: dict[int, dict[str, int]] = defaultdict(dict)
    for row in await stored.hours(conn, lows, highs, most=SAMPLED):
        found[row["place"]][row["state"]] = row["runs"]
    return found


@router.get("")
async def ui_now(request: Request, conn: Conn, server: TheServer) -> Response:
    known = await DAY.look(conn, server)
    day, look = known.statistics, frame.look_of(request)
    living = await dashboard.living(conn, SHOWN)
    begun = perf_counter()
    now = (await queues.moment(conn)).now
    answered = perf_counter() - begun
    usual = await dashboard.usual(conn, sorted({row["type"] for row in living}), LATEST)
    everybody = [row for row in await holders.all(conn) if row["kind"] != "agent"]
    return await frame.page(
        request,
        conn,
        "now.html",
        living=[with_progress(row, usual, now) for row in living],
        more=sum(count.number for count in day.living.values()) > len(living),
        bad=await dashboard.ended_badly(conn, BESIDE),
        coming=await stored.coming(conn, BESIDE),
        missed=await stored.missed(conn),
        workers=[row for row in everybody if row["state"] != "GONE"],
        everybody=everybody,
        fleet=(fleet := await workstation_screens.counts(conn)),
        stations=await workstation_screens.needing(conn, LONGEST)
        if fleet.keys() & {"OFFLINE", "PENDING"}
        else [],
        left_behind=[row for row in everybody if row["state"] == "GONE" and row["in_hand"]],
        queues=await queues.all(conn),
        answered=step(answered * 1000),
        oldest=day.oldest[0] if day.oldest else None,
        wait=day.all.wait,
        rate=day.all.success_rate,
        ended={state.value: day.all.runs.get(state, 0.0) for state in sorted(FINAL_RUNS)},
        hours=(of_day := [hour(known, place, look) for place in range(len(day.parts) // QUARTERS)]),
        bars=hours.bars(of_day),
        is_approximate=day.is_approximate,
        stream="/ui/stream",
    )


def step(milliseconds: float) -> str:
    limit = next((each for each in CALM if milliseconds < each), None)
    return f"within {limit} ms" if limit else "slowly"


def hour(known: Known, place: int, look: frame.Look) -> Hour:
    quarters = known.statistics.parts[place * QUARTERS : (place + 1) * QUARTERS]
    start = quarters[0][0].start.astimezone(look.tz)
    label = f"{start:%H:%M}"
    began = sum(count for _, count in quarters)
    return Hour(label, began, known.outcomes.get(place + 1, {}))


def with_progress(row: Row, usual: dict[str, float], now: datetime) -> Row:
    late = is_late({**row, "finished_at": None}, usual, now)
    return {**row, "left": left(row, usual, now), "is_late": late}


def left(row: Row, usual: dict[str, float], now: datetime) -> timedelta | None:
    """How much longer it takes, if it takes as long as others did."""
    typical, began = usual.get(row["type"]), row["started_at"]
    if typical is None or began is None:
        return None
    rest = timedelta(seconds=typical) - (now - began)
    return rest if rest > timedelta() else None
