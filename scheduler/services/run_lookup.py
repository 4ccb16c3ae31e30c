"""Finding runs by a part of their id: what people read out and type."""

from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain.errors import Invalid
from scheduler.store import run_lookup, runs
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

SHORTEST = 6


async def by_short_id(conn: Conn, part: str) -> list[Row]:
    """The runs whose id begins or ends so: two at most, since two are too many already."""
    digits = part.replace("-", "").lower()
    if not SHORTEST <= len(digits) <= 32:
        raise Invalid(
            f"{part!r} is too short: give at least {SHORTEST} hexadecimal digits", field="short"
        )
    found = await run_lookup.by_prefix(conn, *bounds(digits))
    if len(digits) <= 12:
        found = [*found, *await run_lookup.by_suffix(conn, digits)]
    rows = [await runs.get(conn, run) for run in dict.fromkeys(found)]
    return [row for row in rows if row is not None][:2]


def bounds(digits: str) -> tuple[UUID, UUID]:
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
