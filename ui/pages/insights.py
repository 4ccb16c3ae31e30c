"""Insights: what the counts of each hour say of waits, growth, failures, retries and load."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import Conn, TheServer
from scheduler.store import insights
from scheduler.store.rows import Row
from ui import frame, lists, words
from ui.drawing import bars
from ui.drawing.bars import Part, Piece
from ui.drawing.svg import Node
from ui.lists import Field, Listing
from ui.screen import Screen

router = APIRouter(prefix="/insights", route_class=Screen)

TYPES, SHOWN = 1_000, 10
FRESH = 60.0  # seconds that figures are good for, whoever looks: they change once an hour
ENOUGH = 5  # good runs in each half, before somebody is said to grow
GROWS = 1.1


@dataclass(frozen=True, slots=True)
class Window:
    name: str
    text: str
    length: timedelta
    step: timedelta


WINDOWS = {
    each.name: each
    for each in (
        Window("1d", "1 day", timedelta(days=1), timedelta(hours=1)),
        Window("7d", "7 days", timedelta(days=7), timedelta(hours=6)),
        Window("30d", "30 days", timedelta(days=30), timedelta(days=1)),
    )
}
LIST = Listing(fields=(Field("window", "Over", "choice", tuple(WINDOWS)),))


@dataclass(frozen=True, slots=True)
class OfType:
    """One type over a window."""

    name: str
    runs: int
    good: int
    bad: int
    seconds: float  # of its runs, in all
    before: float | None  # how long a good run took in the first half of the window, and after it
    after: float | None
    attempts: int
    again: int
    again_seconds: float
    spent: float  # seconds of all attempts
    wait: float | None  # until the first task was claimed, for each run

    @property
    def failing(self) -> float:
        ended = self.good + self.bad
        return self.bad / ended if ended else 0.0

    @property
    def growth(self) -> float | None:
        return self.after / self.before if self.before and self.after else None

    @property
    def each(self) -> float | None:
        return self.seconds / self.runs if self.runs else None


@dataclass(frozen=True, slots=True)
class Found:
    """What one window says; read once for all who look."""

    until: datetime | None
    since: datetime
    types: Sequence[OfType]
    course: Sequence[Row]


class Figures:
    """What was found in each window of one database."""

    def __init__(self) -> None:
        self._known: dict[tuple[int, str], tuple[float, Found]] = {}

    async def look(self, conn: AsyncConnection[Any], server: object, window: Window) -> Found:
        time, key = asyncio.get_running_loop().time(), (id(server), window.name)
        known = self._known.get(key)
        if known is not None and time - known[0] < FRESH:
            return known[1]
        found = await gather(conn, window)
        self._known = {
            each: value for each, value in self._known.items() if each[0] == id(server)
        } | {key: (time, found)}
        return found

    def forget(self) -> None:
        self._known.clear()


FIGURES = Figures()


async def gather(conn: AsyncConnection[Any], window: Window) -> Found:
    until = await insights.through(conn)
    end = until or datetime.now(UTC).replace(minute=0, second=0, microsecond=0)
    since = end - window.length
    runs = await insights.types(conn, since=since, middle=end - window.length / 2, limit=TYPES)
    attempts = {row["type"]: row for row in await insights.attempts(conn, since=since, limit=TYPES)}
    course = await insights.course(conn, since=since, until=end, step=window.step)
    types = [of_type(row, attempts.get(row["type"])) for row in runs]
    return Found(until, since, types, course)


def of_type(runs: Row, attempts: Row | None) -> OfType:
    return OfType(
        name=runs["type"],
        runs=runs["runs"],
        good=runs["good"],
        bad=runs["bad"],
        seconds=runs["seconds"],
        before=each_of(runs["seconds_before"], runs["good_before"], ENOUGH),
        after=each_of(runs["seconds_after"], runs["good_after"], ENOUGH),
        attempts=attempts["attempts"] if attempts else 0,
        again=attempts["again"] if attempts else 0,
        again_seconds=attempts["again_seconds"] if attempts else 0.0,
        spent=attempts["seconds"] if attempts else 0.0,
        wait=each_of(attempts["waited"], attempts["begun"], 1) if attempts else None,
    )


def each_of(seconds: float | None, count: int | None, least: int) -> float | None:
    return seconds / count if seconds is not None and count and count >= least else None


@router.get("")
async def ui_insights(request: Request, conn: Conn, server: TheServer) -> Response:
    asked = LIST.read(request)
    window = WINDOWS[asked.one_of("window") or "7d"]
    found = await FIGURES.look(conn, server, window)
    if asked.format:
        return await lists.exported(asked, "insights", CELLS, whole(found.types))
    return await frame.page(
        request,
        conn,
        "insights.html",
        asked=asked,
        window=window,
        windows=WINDOWS.values(),
        found=found,
        totals=totals(found),
        course=drawn(found.course, frame.look_of(request)),
        parts=found.course,
        waits=waits(found.types),
        grown=grown(found.types),
        flaky=flaky(found.types),
        costly=costly(found.types),
        busy=busy(found.types),
    )


CELLS: lists.Cells[OfType] = {
    "type": lambda each: each.name,
    "runs": lambda each: each.runs,
    "completed": lambda each: each.good,
    "failed": lambda each: each.bad,
    "run_seconds": lambda each: each.each,
    "wait_seconds": lambda each: each.wait,
    "seconds_before": lambda each: each.before,
    "seconds_after": lambda each: each.after,
    "attempts": lambda each: each.attempts,
    "attempts_again": lambda each: each.again,
    "seconds_again": lambda each: each.again_seconds,
    "seconds_of_attempts": lambda each: each.spent,
}


def whole(types: Sequence[OfType]) -> lists.Read[OfType]:
    async def read(conn: AsyncConnection[Any], after: Any) -> tuple[Sequence[OfType], None]:
        return types, None

    return read


@dataclass(frozen=True, slots=True)
class Totals:
    runs: int
    bad: int
    wait: float | None
    each: float | None
    again: int
    again_seconds: float
    spent: float


def totals(found: Found) -> Totals:
    runs = sum(row["runs"] for row in found.course)
    begun = sum(row["begun"] for row in found.course)
    return Totals(
        runs=runs,
        bad=sum(row["bad"] for row in found.course),
        wait=sum(row["waited"] for row in found.course) / begun if begun else None,
        each=sum(row["seconds"] for row in found.course) / runs if runs else None,
        again=sum(each.again for each in found.types),
        again_seconds=sum(each.again_seconds for each in found.types),
        spent=sum(each.spent for each in found.types),
    )


def drawn(course: Sequence[Row], look: frame.Look) -> dict[str, Node]:
    return {
        "times": bars.course([times_of(row, look) for row in course], "wait and run time of a run"),
        "ends": bars.course([ends_of(row, look) for row in course], "runs, and those that failed"),
    }


def times_of(row: Row, look: frame.Look) -> Part:
    wait = row["waited"] / row["begun"] if row["begun"] else 0.0
    each = row["seconds"] / row["runs"] if row["runs"] else 0.0
    pieces = (
        Piece(wait, f"waits {words.duration(wait)}", "wait"),
        Piece(max(0.0, each - wait), f"takes {words.duration(each)} in all", "run"),
    )
    return Part(words.clock(row["part"], look.tz), pieces)


def ends_of(row: Row, look: frame.Look) -> Part:
    pieces = (
        Piece(row["bad"], f"{words.number(row['bad'])} failed", "bad"),
        Piece(row["runs"] - row["bad"], f"{words.number(row['runs'])} in all", "good"),
    )
    return Part(words.clock(row["part"], look.tz), pieces)


@dataclass(frozen=True, slots=True)
class Line:
    """A row of a table, with the bar that shows it."""

    type: OfType
    bar: Node


Draw = Callable[[OfType], Sequence[Piece]]


def lined(types: Sequence[OfType], draw: Draw) -> list[Line]:
    pieces = [draw(each) for each in types[:SHOWN]]
    most = max((sum(piece.amount for piece in each) for each in pieces), default=0.0)
    return [
        Line(type, bars.bar(each, most)) for type, each in zip(types[:SHOWN], pieces, strict=True)
    ]


def waits(types: Sequence[OfType]) -> list[Line]:
    """Those first that wait longest against what they take."""
    known = [each for each in types if each.wait is not None and each.each is not None]
    known.sort(key=lambda each: -(each.wait or 0.0))
    return lined(
        known,
        lambda each: (
            Piece(each.wait or 0.0, f"waits {words.duration(each.wait)}", "wait"),
            Piece(
                max(0.0, (each.each or 0.0) - (each.wait or 0.0)),
                f"takes {words.duration(each.each)} in all",
                "run",
            ),
        ),
    )


def grown(types: Sequence[OfType]) -> list[Line]:
    known = [each for each in types if (each.growth or 0.0) >= GROWS]
    known.sort(key=lambda each: -(each.growth or 0.0))
    return lined(
        known,
        lambda each: (
            Piece(each.before or 0.0, f"took {words.duration(each.before)}", "idle"),
            Piece(
                (each.after or 0.0) - (each.before or 0.0),
                f"takes {words.duration(each.after)}",
                "late",
            ),
        ),
    )


def flaky(types: Sequence[OfType]) -> list[Line]:
    """Those that fail at times; one that always does is broken, and stands first."""
    known = [each for each in types if each.bad and each.good + each.bad >= ENOUGH]
    known.sort(key=lambda each: -each.failing)
    return lined(
        known,
        lambda each: (
            Piece(each.failing, f"{words.percent(each.failing)} failed", "bad"),
            Piece(1 - each.failing, f"{words.percent(1 - each.failing)} did not", "good"),
        ),
    )


def costly(types: Sequence[OfType]) -> list[Line]:
    known = sorted((each for each in types if each.again), key=lambda each: -each.again_seconds)
    return lined(
        known,
        lambda each: (
            Piece(each.again_seconds, f"{words.duration(each.again_seconds)} again", "late"),
        ),
    )


def busy(types: Sequence[OfType]) -> list[Line]:
    known = sorted(types, key=lambda each: -each.seconds)
    return lined(
        known,
        lambda each: (
            Piece(
                each.seconds,
                f"{words.duration(each.seconds)} in {words.number(each.runs)} runs",
                "run",
            ),
        ),
    )
