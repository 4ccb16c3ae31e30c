"""What the clock does: decide on ticks that are due, each exactly once, whoever else does so too.

A tick's run, its row and the schedule's next tick are one transaction, under the schedule's lock.
Lock order: schedules (passing over what others hold), records by id, then the new runs. Runs that
are to be replaced are stopped one by one in transactions of their own.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection, DataError, IntegrityError

from scheduler.domain.errors import Conflict, NotFound, Refusal
from scheduler.domain.schedules import Plan, Quiet
from scheduler.domain.ticks import Entry, Standing, TickState, Turn, decide
from scheduler.services import runs
from scheduler.services.catalog import Catalog
from scheduler.services.ticking import pause_of, plan_of, said, start_run
from scheduler.store import schedules as stored
from scheduler.store import ticks
from scheduler.store.rows import Row
from scheduler.store.schedules import Move
from scheduler.store.ticks import Tick

log = logging.getLogger(__name__)
Conn = AsyncConnection[Any]

MOST_LIVING = 100
AT_ONCE = 100  # starts after which no more schedules are decided on in one transaction

# One schedule that cannot be started must not keep the others from it.
REFUSED = (Refusal, DataError, IntegrityError)


@dataclass(slots=True)
class Decided:
    """One schedule's turn, and what came of it."""

    row: Row
    plan: Plan | None
    turn: Turn
    living: list[UUID]
    runs: dict[datetime, UUID]


async def fire_due(conn: Conn, catalog: Catalog, limit: int) -> int:
    """Decide on what is due now; how many schedules were looked at.

    A start that is refused spoils its transaction, so after one each start is fenced off.
    """
    try:
        return await fire(conn, catalog, limit, fenced=False)
    except REFUSED:
        return await fire(conn, catalog, limit, fenced=True)


async def fire(conn: Conn, catalog: Catalog, limit: int, *, fenced: bool) -> int:
    async with conn.transaction():
        rows = await stored.due(conn, limit)
        if not rows:
            return 0
        stops = await stops_of(conn, rows)
        living = await living_of(conn, rows)
        turns = (decided(row, living.get(row["id"], []), stops) for row in rows)
        all_decided = list(few_enough(turns))
        await drop_known(conn, all_decided)
        for each in all_decided:
            await start_all(conn, catalog, each, fenced=fenced)
        await write(conn, all_decided)
    return len(rows)


def few_enough(turns: Iterable[Decided]) -> Iterator[Decided]:
    """After a long absence each has much to start. What is decided in one transaction stays short,
    so a server that is killed soon has committed something; the others stay due."""
    starts = 0
    for each in turns:
        yield each
        starts += sum(entry.state is TickState.STARTED for entry in each.turn.entries)
        if starts >= AT_ONCE:
            return


async def stops_of(conn: Conn, rows: Sequence[Row]) -> list[Quiet]:
    since = min(row["next_tick"] for row in rows)
    return [
        Quiet(each["stopped_at"], each["resumed_at"], stop_words(each["note"]))
        for each in await stored.stops_since(conn, since)
    ]


def stop_words(note: str | None) -> str:
    return "all schedules were stopped" + (f": {note}" if note else "")


async def living_of(conn: Conn, rows: Sequence[Row]) -> dict[int, list[UUID]]:
    if records := sorted({row["record_id"] for row in rows if row["record_id"]}):
        await stored.lock_records(conn, records)
    return await stored.living(conn, [row["id"] for row in rows])


def decided(row: Row, living: list[UUID], stops: Sequence[Quiet]) -> Decided:
    now: datetime = row["now"]
    standing = Standing(row["next_tick"], bool(living), row["queued"])
    try:
        plan = plan_of(row)
        turn = decide(plan, standing, now, [*pause_of(row, now), *stops])
    except Refusal as refusal:
        log.error("schedule unreadable", extra={"schedule": row["id"], "error": str(refusal)})
        return Decided(row, None, unreadable(row, str(refusal)), living, {})
    return Decided(row, plan, turn, living, {})


def unreadable(row: Row, reason: str) -> Turn:
    tick: datetime = row["next_tick"]
    return Turn(None, entries=[Entry(tick, tick, TickState.FAILED, reason)], queued=row["queued"])


async def drop_known(conn: Conn, all_decided: Sequence[Decided]) -> None:
    """A tick that has a fate keeps it, even if the database's clock was turned back."""
    wanted = [(each.row["id"], entry.tick) for each in all_decided for entry in each.turn.entries]
    if not wanted or not (known := await ticks.known(conn, wanted)):
        return
    for each in all_decided:
        id, turn = each.row["id"], each.turn
        if (id, turn.queued) in known and turn.queued != each.row["queued"]:
            turn.queued = each.row["queued"]
        turn.entries = [entry for entry in turn.entries if (id, entry.tick) not in known]


async def start_all(conn: Conn, catalog: Catalog, each: Decided, *, fenced: bool) -> None:
    for number, entry in enumerate(each.turn.entries):
        if entry.state is not TickState.STARTED or each.plan is None:
            continue
        try:
            async with AsyncExitStack() as stack:
                if fenced:
                    await stack.enter_async_context(conn.transaction())
                run = await start_run(conn, catalog, each.row, each.plan, entry.tick)
        except REFUSED as refusal:
            if not fenced:
                raise
            each.turn.entries[number] = failed(each.row, entry, refusal)
        else:
            each.runs[entry.tick] = run
            each.living.insert(0, run)


def failed(row: Row, entry: Entry, refusal: Exception) -> Entry:
    log.warning("schedule failed", extra={"schedule": row["id"], "error": str(refusal)})
    return replace(entry, state=TickState.FAILED, reason=str(refusal)[:2000])


async def write(conn: Conn, all_decided: Sequence[Decided]) -> None:
    for each in all_decided:
        if each.turn.merged is not None:
            await ticks.settle(
                conn,
                each.row["id"],
                each.turn.merged,
                state=TickState.MERGED,
                reason="a later tick took its place",
            )
    if new := [tick for each in all_decided for tick in ticks_of(each)]:
        await ticks.add(conn, new)
    await stored.move(conn, [move_of(each) for each in all_decided])


def ticks_of(each: Decided) -> list[Tick]:
    return [
        Tick(
            schedule=each.row["id"],
            tick=entry.tick,
            due=entry.due,
            state=entry.state,
            reason=entry.reason,
            run=each.runs.get(entry.tick),
            until=entry.until,
        )
        for entry in each.turn.entries
    ]


def move_of(each: Decided) -> Move:
    until = each.row["paused_until"]
    return Move(
        id=each.row["id"],
        next_tick=each.turn.tick,
        next_at=each.turn.at,
        queued=each.turn.queued,
        living=each.living[:MOST_LIVING],
        last_tick=max((entry.tick for entry in each.turn.entries), default=None),
        wakes=until is not None and until <= each.row["now"],
    )


async def start_waiting(conn: Conn, catalog: Catalog, limit: int) -> int:
    """Start the ticks that waited for a run which has ended; how many there were."""
    async with conn.transaction():
        rows = await stored.waiting(conn, limit)
        if rows:
            living = await living_of(conn, rows)
            moves = [
                await start_one_waiting(conn, catalog, row)
                for row in rows
                if not living.get(row["id"])
            ]
            await stored.move(conn, moves)
    return len(rows)


async def start_one_waiting(conn: Conn, catalog: Catalog, row: Row) -> Move:
    tick = row["queued"]
    run, state, reason = None, TickState.STARTED, None
    try:
        async with conn.transaction():
            run = await start_run(conn, catalog, row, plan_of(row), tick)
    except REFUSED as refusal:
        state, reason = TickState.FAILED, str(refusal)[:2000]
    await ticks.settle(conn, row["id"], tick, state=state, reason=reason, run=run)
    return Move(
        id=row["id"],
        next_tick=row["next_tick"],
        next_at=row["next_at"],
        living=[run] if run else [],
    )


async def stop_replaced(conn: Conn, catalog: Catalog, limit: int) -> int:
    """Stop the runs that a waiting tick is to replace; how many there were."""
    stopped = 0
    for row in await stored.to_stop(conn, limit):
        why = said("replaced", f"schedule {row['id']}", None)
        try:
            await runs.stop(conn, catalog, row["run"], by=f"schedule {row['id']}", why=why)
        except (Conflict, NotFound):
            continue  # it has ended by itself
        stopped += 1
    return stopped
