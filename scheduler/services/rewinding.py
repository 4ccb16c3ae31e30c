"""Workflows that are done again: what of their history still holds, and what is put away.

A history is cut at a result: what the code did up to there followed from the results before it, so
it does the same again. What comes after is kept for people, in a place of its own.
"""

from typing import Any

from psycopg import AsyncConnection

from scheduler.domain.orders import Rewind
from scheduler.store import flows

Conn = AsyncConnection[Any]


async def rewind(conn: Conn, order: Rewind) -> None:
    """Under the lock of its run."""
    found = await flows.drop_from(conn, order.task.id)
    if found is None:
        return  # it never began
    base, attic, cut = found["base"], found["attic"], found["cut"]
    if not order.keeps:
        await flows.rewind(conn, order.task.id, base=attic, top=attic, orders=0)
    elif cut is not None:
        await flows.put_away(conn, found["run_id"], base=base, attic=attic, cut=cut)
        await flows.rewind(conn, order.task.id, base=base, top=attic, orders=cut - 1)
