"""Groups of runs: at most so many with the same key at a time, and what one more does."""

from typing import Any

from psycopg import AsyncConnection

from scheduler.domain.errands import Errand
from scheduler.domain.orders import EnterGroup
from scheduler.domain.wakes import Wake
from scheduler.store import errands, limits

Conn = AsyncConnection[Any]


async def enter(conn: Conn, order: EnterGroup, wake: Wake) -> list[Errand]:
    """A place for the run if there is one; else what its type says of one run more."""
    size = {order.key: order.size}
    await limits.ensure(conn, size)
    await limits.trim(conn, size)
    if await limits.enter(conn, order.run_id, order.key):
        return [Errand(run_id=order.run_id, kind="admitted")]
    wake.add(due=True)  # somebody may have left since we looked
    match order.on_conflict:
        case "skip":
            why = f"skipped: {order.key} is taken by another run"
            return [Errand(run_id=order.run_id, kind="stop", data={"why": why})]
        case "replace":
            await replace(conn, order)
    return []


async def replace(conn: Conn, order: EnterGroup) -> None:
    """Those that have a place are asked to go; the first to leave makes room."""
    why = f"replaced by run {order.run_id}"
    told = [
        Errand(run_id=run, kind="stop", data={"why": why})
        for run in await limits.members(conn, order.key)
    ]
    await errands.add(conn, told, by=f"run {order.run_id}")
