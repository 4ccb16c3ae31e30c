"""A run beside another, the last good one before it if nobody says which."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID

from fastapi import Request, Response
from psycopg import AsyncConnection

from scheduler.api.state import Conn
from scheduler.domain import differences
from scheduler.domain.differences import Difference
from scheduler.domain.errors import NotFound
from scheduler.services import runs
from scheduler.store import run_screens
from scheduler.store import runs as stored
from scheduler.store.rows import Row
from ui import query
from ui.drawing import graph
from ui.pages.run import frame
from ui.pages.run.routes import router

NEAR = 1_000  # runs among which a good one is looked for
SAID = 200  # differences
NOTABLE = 0.25  # of a duration; less is chance


@dataclass(frozen=True, slots=True)
class Pair:
    """A task here and there."""

    name: str
    here: Row | None
    there: Row | None

    @property
    def is_other(self) -> bool:
        return (self.here or {}).get("state") != (self.there or {}).get("state")

    @property
    def took(self) -> tuple[timedelta | None, timedelta | None]:
        return took(self.here), took(self.there)

    @property
    def times(self) -> float | None:
        """How many times as long as there; None where it is about the same, or unknown."""
        here, there = self.took
        if here is None or not there:
            return None
        found = here / there
        is_short = max(here, there) < timedelta(milliseconds=100)
        return None if is_short or abs(found - 1) < NOTABLE else found


def took(row: Row | None) -> timedelta | None:
    if row is None or row["started_at"] is None or row["finished_at"] is None:
        return None
    length: timedelta = row["finished_at"] - row["started_at"]
    return length


@router.get("/compare")
async def ui_run_compare(run: UUID, request: Request, conn: Conn) -> Response:
    found = await runs.get(conn, run)
    other = await other_of(conn, found, query.run_id(request, "with"))
    values: Mapping[str, Any] = {"other": None}
    if other is not None:
        values = await beside(conn, found, other)
    return await frame.tab(request, conn, found, "run_compare.html", "compare", **values)


async def other_of(conn: AsyncConnection[Any], run: Row, wanted: UUID | None) -> Row | None:
    if wanted is not None:
        found = await stored.get(conn, wanted)
        if found is None:
            raise NotFound(f"there is no run {wanted} to compare with")
        return found
    good = await run_screens.last_good(conn, run["id"], run["type"], run["record_id"], NEAR)
    return None if good is None else await stored.get(conn, good)


async def beside(conn: AsyncConnection[Any], run: Row, other: Row) -> Mapping[str, Any]:
    here = await run_screens.drawn(conn, run["id"], graph.MOST)
    there = await run_screens.drawn(conn, other["id"], graph.MOST)
    return {
        "other": other,
        "pairs": pairs(here, there),
        "inputs": said(other["input"], run["input"]),
        "outputs": said(other["output"], run["output"]),
    }


def said(before: Any, after: Any) -> Sequence[Difference]:
    return differences.between(before, after)[:SAID]


def pairs(here: Sequence[Row], there: Sequence[Row]) -> list[Pair]:
    """In the order of this run; what only the other has comes last."""
    known = {row["name"]: row for row in there}
    names = {row["name"] for row in here}
    return [
        *(Pair(row["name"], row, known.get(row["name"])) for row in here),
        *(Pair(row["name"], None, row) for row in there if row["name"] not in names),
    ]
