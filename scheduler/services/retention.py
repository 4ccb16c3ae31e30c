"""What is removed when: runs by type and state, by age and count; what else grows, by its age.

In small transactions with pauses, so that nobody who works notices; what was removed is gone, and
whoever comes again goes on with the rest.
"""

import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.errors import LockNotAvailable

from scheduler.domain import ids
from scheduler.domain.errors import Invalid, NotFound
from scheduler.domain.restraint import LEAST_REST, REST, Restraint
from scheduler.store import process_types, retention
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]
Pause = Callable[[float], Awaitable[None]]
Tell = Callable[[int], Awaitable[None]]
Forget = Callable[[Conn, timedelta, int], Awaitable[int]]

FIRST = UUID(int=0)
LOOK = 1000  # runs that are looked at in one statement
AGAIN = 20_000  # runs that stayed and are looked at again, of each rule at a time
NEWEST = 100_000  # runs of a type that the last few of a state are looked for among
AT_ONCE = 1000  # rows of other tables, in one statement
PLACES = 500  # limits whose places are removed at a time
LEAST_AUDIT = timedelta(days=30)
PATIENCE = "100ms"  # nobody who works waits longer behind us for a lock


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    state: str
    keep_for: timedelta
    id: int = 0
    updated_at: datetime | None = None
    seen: UUID = FIRST  # what began before this was looked at
    again: UUID = FIRST  # where to go on looking at what stayed
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
    async with conn.transaction():
        row = await retention.put(conn, type, state, keep_for=keep_for, keep_last=keep_last, by=by)
        await retention.look_again(conn, state)
    assert row is not None
    return row


async def delete(conn: Conn, rule: int) -> None:
    async with conn.transaction():
        state = await retention.state_of(conn, rule)
        if state is None or not await retention.delete(conn, rule):
            raise NotFound(f"there is no retention rule {rule}")
        await retention.look_again(conn, state)


async def rules(conn: Conn) -> list[Rule]:
    rows = await retention.rules(conn)
    return [
        Rule(
            id=row["id"],
            updated_at=row["updated_at"],
            seen=row["seen"],
            again=row["again"],
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


class Pruning:
    """One look through the runs of a rule: through all that came since the last one, and through
    some of those that stayed."""

    def __init__(self, conn: Conn, rule: Rule, pause: Pause, tell: Tell) -> None:
        self._conn = conn
        self._rule = rule
        self._pause = pause
        self._tell = tell
        self._restraint = Restraint()
        self._seen, self._again = rule.seen, rule.again
        self.removed = 0

    async def carry_out(self) -> None:
        until = await limit_of(self._conn, self._rule)
        while (last := await self._step(self._seen, until)) is not None:
            self._seen = last
            await self._remember()
        looked = 0
        while looked < AGAIN:
            last = await self._step(self._again, min(self._rule.seen, until))
            looked, self._again = looked + LOOK, last or FIRST
            await self._remember()
            if last is None:
                return

    async def _step(self, after: UUID, until: UUID) -> UUID | None:
        """Look at the next few; behind which run to go on, if there may be more."""
        rows = await look(self._conn, self._rule, after, until)
        going = [row for row in rows if row["goes"]]
        while going:
            piece = list(piece_of(going, self._restraint.size))
            del going[: len(piece)]
            await self._remove(piece)
        await self._tell(self.removed)
        return rows[-1]["id"] if len(rows) == LOOK else None

    async def _remove(self, piece: Sequence[Row]) -> None:
        """What is lost in a crash is removed again, so nobody waits for the disk."""
        began = time.monotonic()
        async with self._conn.transaction():
            await retention.wait_for_no_disk(self._conn)
            self.removed += await retention.remove(self._conn, [row["id"] for row in piece])
        took = time.monotonic() - began
        await self._pause(self._restraint.took(sum(row["rows"] for row in piece), took))

    async def _remember(self) -> None:
        rule = self._rule
        await retention.remember(
            self._conn, rule.id, rule.updated_at, seen=self._seen, again=self._again
        )


async def prune(conn: Conn, rule: Rule, pause: Pause, tell: Tell | None = None) -> int:
    """Remove what a rule lets go; how many runs that were."""
    pruning = Pruning(conn, rule, pause, tell or nobody)
    await pruning.carry_out()
    return pruning.removed


async def nobody(removed: int) -> None:
    pass


async def look(conn: Conn, rule: Rule, after: UUID, until: UUID) -> list[Row]:
    """No more rows are read than are looked at, whatever there is of other types and states."""
    if rule.type is None:
        return await retention.look_at_state(
            conn,
            rule.state,
            others=rule.others,
            keep_for=rule.keep_for,
            after=after,
            until=until,
            limit=LOOK,
        )
    return await retention.look_at_type(
        conn,
        rule.type,
        rule.state,
        keep_for=rule.keep_for,
        after=after,
        until=until,
        limit=LOOK,
    )


def piece_of(going: Sequence[Row], size: int) -> Iterator[Row]:
    """The first of them, and what else fits."""
    rows = 0
    for row in going:
        if rows and rows + row["rows"] > size:
            return
        rows += row["rows"]
        yield row


async def limit_of(conn: Conn, rule: Rule) -> UUID:
    """What began after this is too young, or among the last that are kept."""
    until = ids.not_after(datetime.now(UTC) - rule.keep_for)
    if rule.type is None or rule.keep_last is None:
        return until
    most = rule.keep_last + NEWEST
    nth = await retention.nth(conn, rule.type, rule.state, rule.keep_last, most=most)
    return FIRST if nth is None else min(until, nth)


async def drop_details(conn: Conn, pause: Pause) -> int:
    """Drop the days of attempts, history and output that are over; how many partitions."""
    details = await retention.details(conn)
    if details is None or details["keep_for"] is None:
        return 0
    before, dropped = await retention.horizon(conn, details["keep_for"]), 0
    while await retention.drop_partitions(conn, before):
        dropped += 1
        await pause(0.1)
    while await retention.forget_unparted(conn, before, AT_ONCE):
        await pause(0.1)
    return dropped


async def keep(conn: Conn, what: str, keep_for: timedelta | None, *, by: str) -> Row:
    if what == "audit" and keep_for is not None and keep_for < LEAST_AUDIT:
        raise Invalid(
            f"the audit log is kept for {LEAST_AUDIT.days} days at least", field="keep_for"
        )
    row = await retention.keep(conn, what, keep_for, by=by)
    assert row is not None
    return row


FORGOTTEN: dict[str, tuple[Forget, ...]] = {
    "ticks": (retention.forget_ticks, retention.forget_backfills),
    "rollups": (retention.forget_rollups, retention.forget_attempt_rollups),
    "audit": (retention.forget_audit,),
}


async def forget(conn: Conn, pause: Pause) -> int:
    """Remove what is older than its term; how many rows."""
    gone = 0
    for row in await retention.terms(conn):
        if row["keep_for"] is not None:
            for forget_some in FORGOTTEN[row["what"]]:
                gone += await forget_all(conn, forget_some, row["keep_for"], pause)
    return gone


async def forget_all(conn: Conn, forget_some: Forget, keep_for: timedelta, pause: Pause) -> int:
    restraint, gone = Restraint(AT_ONCE), 0
    while True:
        began = time.monotonic()
        found = await forget_some(conn, keep_for, restraint.size)
        gone += found
        if found < restraint.size:
            return gone
        await pause(restraint.took(found, time.monotonic() - began))


async def forget_places(conn: Conn, pause: Pause) -> int:
    """Remove limits that nobody may ask for again; whoever comes with one of them makes it anew."""
    after, gone = "", 0
    while keys := await retention.idle_places(conn, after, PLACES):
        began = time.monotonic()
        gone += await forget_idle(conn, keys)
        await pause(max(LEAST_REST, REST * (time.monotonic() - began)))
        after = keys[-1]
    return gone


async def forget_idle(conn: Conn, keys: Sequence[str]) -> int:
    """Nobody looks for a place meanwhile, or one that is gone would be waited for in vain."""
    try:
        async with conn.transaction():
            await conn.execute(f"set local lock_timeout = '{PATIENCE}'")
            await retention.lock_places(conn)
            return await retention.forget_places(conn, keys)
    except LockNotAvailable:
        return 0  # the next time
