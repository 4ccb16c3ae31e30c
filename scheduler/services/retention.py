"""What is removed when: runs by type and state, by age and count; details by whole days.

In small transactions with pauses, so that nobody who works notices; what was removed is gone, and
whoever comes again goes on with the rest.
"""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain import ids
from scheduler.domain.errors import Invalid, NotFound
from scheduler.store import process_types, retention
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]
Pause = Callable[[float], Awaitable[None]]

FIRST = UUID(int=0)
LOOK = 200  # runs that are looked at in one statement
BATCH = 10  # runs that are removed in one transaction: each may have thousands of tasks
REST = 4.0  # times as long as a batch took nothing is done after it
LEAST_REST = 0.005
STATES = ("COMPLETED", "FAILED", "STOPPED")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    state: str
    keep_for: timedelta
    type: str | None = None
    keep_last: int | None = None
    others: tuple[str, ...] = ()  # types with a rule of their own for this state


async def put(
    conn: Conn,
    *,
    type: str | None,
    state: str,
    keep_for: timedelta,
    keep_last: int | None,
    by: str,
) -> Row:
    if keep_last is not None and type is None:
        raise Invalid(
            "a count is of the runs of one type",
            field="keep_last",
            remedy="name a type, or leave the count out",
        )
    if type is not None and await process_types.get(conn, type) is None:
        raise NotFound(f"there is no process type {type}", field="type")
    row = await retention.put(conn, type, state, keep_for=keep_for, keep_last=keep_last, by=by)
    assert row is not None
    return row


async def delete(conn: Conn, rule: int) -> None:
    if not await retention.delete(conn, rule):
        raise NotFound(f"there is no retention rule {rule}")


async def rules(conn: Conn) -> list[Rule]:
    rows = await retention.rules(conn)
    return [
        Rule(
            state=row["state"],
            keep_for=row["keep_for"],
            type=row["type"],
            keep_last=row["keep_last"],
            others=own_rules(rows, row) if row["type"] is None else (),
        )
        for row in rows
    ]


def own_rules(rows: Sequence[Row], general: Row) -> tuple[str, ...]:
    return tuple(r["type"] for r in rows if r["type"] and r["state"] == general["state"])


async def prune(conn: Conn, rule: Rule, pause: Pause) -> int:
    """Remove what a rule lets go; how many runs that were."""
    until = await limit_of(conn, rule)
    after, removed = FIRST, 0
    while True:
        rows = await retention.look(
            conn,
            state=rule.state,
            type=rule.type,
            others=rule.others,
            keep_for=rule.keep_for,
            after=after,
            until=until,
            limit=LOOK,
        )
        going = [row["id"] for row in rows if row["goes"]]
        for start in range(0, len(going), BATCH):
            removed += await remove(conn, going[start : start + BATCH], pause)
        if len(rows) < LOOK:
            return removed
        after = rows[-1]["id"]


async def limit_of(conn: Conn, rule: Rule) -> UUID:
    """What began after this is too young, or among the last that are kept."""
    until = ids.not_after(datetime.now(UTC) - rule.keep_for)
    if rule.type is None or rule.keep_last is None:
        return until
    nth = await retention.nth(conn, rule.type, rule.state, rule.keep_last)
    return FIRST if nth is None else min(until, nth)


async def remove(conn: Conn, batch: Sequence[UUID], pause: Pause) -> int:
    began = time.monotonic()
    async with conn.transaction():
        removed = await retention.remove(conn, batch)
    await pause(max(LEAST_REST, REST * (time.monotonic() - began)))
    return removed


async def drop_details(conn: Conn, pause: Pause) -> int:
    """Drop the days of attempts, history and output that are over; how many partitions."""
    details = await retention.details(conn)
    if details is None or details["keep_for"] is None:
        return 0
    before, dropped = await retention.horizon(conn, details["keep_for"]), 0
    while await retention.drop_partitions(conn, before):
        dropped += 1
        await pause(0.1)
    return dropped
