"""What there is to know of a list of runs at a glance, each part of it at a bounded price."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain.counts import Count
from scheduler.services import run_lists
from scheduler.store import run_views, runs
from scheduler.store.rows import Row
from scheduler.store.runs import Filter

Conn = AsyncConnection[Any]

NEAR = 2_000  # runs that are looked at
LOOKED = 10_000  # runs among which those with a label, or with what no index knows, are looked for
TYPES = 12
COLUMN = 15


@dataclass(frozen=True, slots=True)
class Facets:
    """How many of the latest, and of all that go on, are what."""

    states: Mapping[str, int] = field(default_factory=dict)
    types: Mapping[str, int] = field(default_factory=dict)
    kinds: Mapping[str, int] = field(default_factory=dict)
    is_capped: bool = False


async def facets(conn: Conn, filter: Filter) -> Facets:
    """Whatever states it asks for: they are one of the facets."""
    near, is_cut = await within(conn, filter)
    rows = await run_views.facets(conn, near, most=NEAR)
    looked = next(row["runs"] for row in rows if row["facet"] == "all")
    return Facets(
        states=of(rows, "status"),
        types=dict(list(of(rows, "type").items())[:TYPES]),
        kinds=of(rows, "by"),
        is_capped=is_cut or looked >= NEAR,
    )


def total(facets: Facets, filter: Filter) -> Count:
    """How many of them are in the states that the filter asks for."""
    wanted = {str(state) for state in filter.states} or facets.states.keys()
    return Count(sum(facets.states.get(state, 0) for state in wanted), facets.is_capped)


def of(rows: Sequence[Row], facet: str) -> dict[str, int]:
    found = {row["value"]: row["runs"] for row in rows if row["facet"] == facet}
    return dict(sorted(found.items(), key=lambda each: (-each[1], each[0])))


async def board(conn: Conn, filter: Filter) -> dict[str, list[Row]]:
    """The latest runs by their states."""
    near, _ = await within(conn, filter)
    found: dict[str, list[Row]] = {}
    for row in await run_views.board(conn, near, most=NEAR, each=COLUMN):
        found.setdefault(row["state"], []).append(row)
    return found


async def within(conn: Conn, filter: Filter) -> tuple[Filter, bool]:
    """The same among so many of the latest, where more would have to be looked at one by one."""
    filter = run_lists.by_time(replace(filter, states=()))
    if not (filter.labels or run_lists.is_search(filter)):
        return filter, False
    edge = await runs.reach(conn, filter, most=LOOKED)
    return replace(filter, lowest=run_lists.max_of(edge, filter.lowest)), edge is not None
