"""Looking through events: each look goes through a bounded number of them, however rare what is
looked for is, and says where the next one begins."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from psycopg import AsyncConnection

from scheduler.store import event_lists as stored
from scheduler.store.event_lists import Filter
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

WINDOW = 20_000  # events that one look goes through


@dataclass(frozen=True, slots=True)
class Found:
    rows: Sequence[Row]
    next: int | None  # behind which to look on
    is_cut: bool  # it looked no further, though not enough was found


async def page(conn: Conn, filter: Filter, *, limit: int, after: int | None = None) -> Found:
    least = await stored.first_since(conn, filter.since) if filter.since else None
    if filter.until is not None:
        # Those of the same second may have come in another order: the time itself decides.
        behind = await stored.first_since(conn, filter.until + timedelta(seconds=2))
        after = behind if after is None else min(after, behind)
    window = limit + 1 if filter == Filter() else WINDOW
    rows = await stored.page(conn, filter, limit=limit + 1, window=window, after=after, least=least)
    if len(rows) > limit:
        return Found(rows[:limit], rows[limit - 1]["id"], is_cut=False)
    if filter == Filter():
        return Found(rows, None, is_cut=False)
    bottom = await stored.bottom(conn, window=WINDOW, after=after, least=least)
    return Found(rows, bottom, is_cut=bottom is not None)
