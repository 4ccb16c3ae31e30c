"""Lists of runs, each page of them at a bounded price however many runs there are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain import ids
from scheduler.domain.counts import MOST, Count
from scheduler.store import runs
from scheduler.store.rows import Row
from scheduler.store.runs import Filter

Conn = AsyncConnection[Any]

GLANCED = 1_000  # runs in the states asked for that are looked at before their labels are
SEARCHED = 5_000  # errors, or runs, that one page looks through for what has no index


@dataclass(frozen=True, slots=True)
class Found:
    rows: list[Row]
    next: UUID | None


def by_time(filter: Filter) -> Filter:
    """The same with its times of creation told by ids too, which are what is indexed."""
    return replace(
        filter,
        lowest=ids.not_before(filter.created_from) if filter.created_from else None,
        below=below(filter.created_to, filter.finished_to),
    )


def below(*moments: datetime | None) -> UUID | None:
    """A run was created before its end, so both bound its id."""
    return min((ids.not_after(moment) for moment in moments if moment), default=None)


def is_search(filter: Filter) -> bool:
    """Whether something is looked for that no index knows."""
    return any(
        each is not None for each in (filter.error, filter.by, filter.longer, filter.shorter)
    )


async def page(conn: Conn, filter: Filter, *, limit: int, after: UUID | None = None) -> Found:
    """The newest first. A page may be short, or empty, and yet have a next one: where
    something is looked for that no index knows, the search goes on there."""
    filter = by_time(filter)
    if filter.labels and filter.states and not is_search(filter):
        near = await glance(conn, filter, limit=limit, after=after)
        if len(near) > limit:
            return cut(near, limit, None)
    if not is_search(filter):
        rows = await runs.page(conn, filter, limit=limit + 1, after=after)
        return cut(rows, limit, None)
    edge = await runs.horizon(conn, filter, most=SEARCHED, after=after)
    within = replace(filter, lowest=max_of(edge, filter.lowest))
    rows = await runs.page(conn, within, limit=limit + 1, after=after)
    return cut(rows, limit, edge)


async def glance(conn: Conn, filter: Filter, *, limit: int, after: UUID | None) -> list[Row]:
    """What is found among the next few runs in these states. A label that many of them have is
    soon met there, and would be slow to look up; one that few have is quick to look up."""
    edge = await runs.reach(conn, filter, most=GLANCED, after=after)
    if edge is None:
        return []
    near = replace(filter, lowest=max_of(edge, filter.lowest))
    return await runs.page(conn, near, limit=limit + 1, after=after)


def max_of(one: UUID | None, other: UUID | None) -> UUID | None:
    return max((each for each in (one, other) if each is not None), default=None)


def cut(rows: list[Row], limit: int, edge: UUID | None) -> Found:
    if len(rows) > limit:
        return Found(rows[:limit], rows[limit - 1]["id"])
    return Found(rows, edge)


async def count(conn: Conn, filter: Filter) -> Count:
    """How many there are, as far as anybody counts."""
    filter = by_time(filter)
    if not is_search(filter):
        return Count.of(await runs.count(conn, filter, MOST + 1))
    edge = await runs.horizon(conn, filter, most=SEARCHED)
    within = replace(filter, lowest=max_of(edge, filter.lowest))
    found = Count.of(await runs.count(conn, within, MOST + 1))
    return replace(found, is_capped=found.is_capped or edge is not None)


async def named(conn: Conn, ids: Sequence[UUID]) -> list[UUID]:
    """Those of these runs that there are."""
    return [row["id"] for row in await runs.named(conn, ids)]
