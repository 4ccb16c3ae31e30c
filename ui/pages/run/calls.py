"""What the workflows of a run have called, in the order of their code."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain.calls import FIRST, OWN, STRIDE
from scheduler.store import flows, run_screens
from scheduler.store.rows import Row
from ui import frame as pages
from ui.pages.run.routes import SHOWN

Conn = AsyncConnection[Any]
MOST = 20  # workflows of a run that are shown


@dataclass(frozen=True, slots=True)
class Calls:
    """Of one workflow, a page of them."""

    rows: Sequence[Row]
    next: str | None


async def of_run(conn: Conn, run: UUID) -> list[Row]:
    return await flows.of_run(conn, run, limit=MOST)


async def page(conn: Conn, run: UUID, workflow: Row, after: int | None) -> Calls:
    """From a position on; those that a retry put away come behind."""
    found = await run_screens.calls(
        conn,
        run,
        of=workflow["position"],
        after=FIRST if after is None else after,
        limit=SHOWN + 1,
    )
    rows = [told(row, workflow) for row in found[:SHOWN]]
    here, is_more = f"/ui/runs/{run}", len(found) > SHOWN
    last = rows[-1]["position"] if is_more else None
    return Calls(
        rows, pages.address(here, of=workflow["position"], after=last) if is_more else None
    )


def told(row: Row, workflow: Row) -> Row:
    base = workflow["base"]
    return {
        **row,
        "seq": (row["position"] - FIRST) % STRIDE,
        "is_own": row["kind"] in OWN,
        "is_past": not base < row["position"] < base + STRIDE,
    }
