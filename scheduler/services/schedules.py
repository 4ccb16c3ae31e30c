"""What people and programs may ask of schedules. One transaction each.

A change of a schedule decides about the future alone: what was due before and nobody had started is
written down as skipped, and the next tick is the first behind the database's present.
"""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain import process_types as definitions
from scheduler.domain.errors import Conflict, Invalid, NotFound
from scheduler.domain.schedule_reading import write_schedule
from scheduler.domain.schedules import EPOCH, Plan, Quiet, ScheduleSpec
from scheduler.domain.ticks import Standing, Turn, decide
from scheduler.services import definitions as published
from scheduler.services import records, runs
from scheduler.services.catalog import Catalog
from scheduler.services.firing import Decided, move_of, ticks_of
from scheduler.services.runs import Begun, Order
from scheduler.services.ticking import (
    key_of,
    pause_of,
    plan_of,
    poke,
    said,
    start_run,
    target_of,
)
from scheduler.store import runs as stored_runs
from scheduler.store import schedules as stored
from scheduler.store import ticks
from scheduler.store.rows import Row
from scheduler.store.schedules import Target

Conn = AsyncConnection[Any]
Specs = Sequence[ScheduleSpec]

PERSON, DEFINITION, RECORD = "person", "definition", "record"
CHANGED = "the schedule was changed before it was started"


class Outdated(Conflict):
    """It was changed since the caller read it."""


@dataclass(frozen=True, slots=True)
class Firing:
    """A tick to come, and when what it is for is to be started."""

    tick: datetime
    due: datetime


async def create(
    conn: Conn, catalog: Catalog, target: Target, spec: ScheduleSpec, *, by: str
) -> Row:
    async with conn.transaction():
        await check(conn, catalog, target, spec)
        made = await insert(conn, target, spec, by=by, origin=PERSON)
        await poke(conn)
    return await get(conn, made)


async def insert(
    conn: Conn,
    target: Target,
    spec: ScheduleSpec,
    *,
    by: str,
    origin: str,
    declared: dict[str, Any] | None = None,
) -> int:
    plan = Plan(spec, key_of(target, spec.name))
    now = await stored.moment(conn)
    tick = plan.after(now)
    if declared is None:
        require_future(tick)
    made = await stored.create(
        conn,
        target,
        spec.name,
        spec=write_schedule(spec),
        declared=declared,
        origin=origin,
        next_tick=tick,
        next_at=plan.due(tick) if tick else None,
        at=now,
        by=by,
    )
    if made is None:
        raise taken(target, spec.name)
    return made


def require_future(tick: datetime | None) -> None:
    if tick is None:
        raise Invalid(
            "it never comes to a tick any more: its 'at' or 'end' is in the past", field="spec"
        )


def taken(target: Target, name: str) -> Conflict:
    return Conflict(
        f"there is a schedule {key_of(target, name)!r} already: give this one another 'name'",
        field="name",
    )


async def check(conn: Conn, catalog: Catalog, target: Target, spec: ScheduleSpec) -> None:
    """The input must be right for the newest version of the type."""
    plan = Plan(spec, key_of(target, spec.name))
    input, type = plan.input_for(EPOCH), target.type
    if target.record is not None:
        record = await records.get(conn, target.record)
        input, type = {**record["input"], **input}, record["type"]
    row = await published.get(conn, type or "")
    definition = await catalog.get(conn, row["name"], row["version"])
    definitions.check_input(definition, input)


async def get(conn: Conn, schedule: int) -> Row:
    found = await stored.get(conn, schedule)
    if found is None:
        raise unknown(schedule)
    return found


async def locked(conn: Conn, schedule: int) -> Row:
    found = await stored.lock(conn, schedule)
    if found is None:
        raise unknown(schedule)
    return found


def unknown(schedule: int) -> NotFound:
    return NotFound(f"there is no schedule {schedule}: `procession schedules` lists what there is")


async def change(
    conn: Conn,
    catalog: Catalog,
    schedule: int,
    spec: ScheduleSpec,
    *,
    expected: int | None = None,
) -> Row:
    async with conn.transaction():
        row = await locked(conn, schedule)
        if expected is not None and expected != row["version"]:
            raise Outdated(
                f"the schedule is at version {row['version']}, not {expected}: "
                "read it again and repeat the change"
            )
        await check(conn, catalog, target_of(row), spec)
        await require_free_name(conn, row, spec.name)
        await replace(conn, row, spec)
        await poke(conn)
    return await get(conn, schedule)


async def require_free_name(conn: Conn, row: Row, name: str) -> None:
    if name == row["name"]:
        return
    target = target_of(row)
    others = await stored.lock_all(conn, target)
    if any(other["name"] == name for other in others):
        raise taken(target, name)


async def replace(
    conn: Conn, row: Row, spec: ScheduleSpec, *, declared: dict[str, Any] | None = None
) -> None:
    """Another plan for a schedule that is locked."""
    await close(conn, row, CHANGED)
    plan = Plan(spec, key_of(target_of(row), spec.name))
    tick = plan.after(row["now"])
    if declared is None:
        require_future(tick)
    await stored.change(
        conn,
        row["id"],
        name=spec.name,
        spec=write_schedule(spec),
        declared=declared,
        next_tick=tick,
        next_at=wake_at(row, plan.due(tick) if tick else None),
    )


def wake_at(row: Row, due: datetime | None) -> datetime | None:
    if due is None or row["paused_at"] is None:
        return due
    until: datetime | None = row["paused_until"]
    return until


async def close(conn: Conn, row: Row, why: str) -> Turn:
    """Write down as skipped what was due and nobody had started."""
    now: datetime = row["now"]
    turn = skipped(row, Quiet(EPOCH, now, why))
    new = ticks_of(Decided(row, None, turn, [], {}))
    known = await ticks.known(conn, [(row["id"], each.tick) for each in new])
    if new := [each for each in new if (row["id"], each.tick) not in known]:
        await ticks.add(conn, new)
    return turn


def skipped(row: Row, quiet: Quiet) -> Turn:
    standing = Standing(row["next_tick"], queued=row["queued"])
    try:
        plan = plan_of(row)
    except Invalid:  # what was stored once means nothing any more: there is nothing to skip
        return Turn(None, queued=row["queued"])
    # By their names: what only its jitter holds back is over as well.
    return decide(Plan(without_jitter(plan.spec), plan.key), standing, quiet.end, [quiet])


def without_jitter(spec: ScheduleSpec) -> ScheduleSpec:
    return dataclasses.replace(spec, jitter=timedelta())


async def delete(conn: Conn, schedule: int) -> None:
    """With its ticks; the runs that it started stay readable."""
    if not await stored.delete(conn, schedule):
        raise unknown(schedule)


async def pause(
    conn: Conn, schedule: int, *, by: str, note: str | None = None, until: datetime | None = None
) -> Row:
    """Start nothing; what it has started goes on."""
    async with conn.transaction():
        row = await locked(conn, schedule)
        if until is not None and until <= row["now"]:
            raise Invalid("'until' is in the past", field="until")
        await stored.pause(conn, schedule, until=until, by=by, note=note)
    return await get(conn, schedule)


async def resume(conn: Conn, schedule: int) -> Row:
    async with conn.transaction():
        row = await locked(conn, schedule)
        if row["paused_at"] is None:
            raise Conflict(f"schedule {schedule} is not paused")
        [pause] = pause_of(row, row["now"])
        turn = await close(conn, row, pause.why)
        if turn.tick is not None:
            turn.at = plan_of(row).due(turn.tick)
        await stored.move(conn, [move_of(Decided(row, None, turn, row["living"], {}))])
        await stored.resume(conn, schedule)
        await poke(conn)
    return await get(conn, schedule)


async def trigger(
    conn: Conn,
    catalog: Catalog,
    schedule: int,
    *,
    by: str,
    input: dict[str, Any] | None = None,
    key: str | None = None,
) -> Begun:
    """Start a run now, whatever its plan, its pause or its policy for overlaps says.

    A record has one living run at most all the same. The same key gives the same run.
    """
    wish = Order(type=f"schedule {schedule}", input=input or {}, by=by, key=key)
    async with conn.transaction():
        row = await locked(conn, schedule)
        if key is not None and await stored_runs.remembered(conn, key):
            return await runs.replay(conn, wish)
        tick: datetime = row["now"]
        run = await start_run(conn, catalog, row, plan_of(row), tick, by=by, input=input)
        await ticks.trigger(conn, schedule, tick, run=run, reason=said("triggered", by, None))
        await stored.add_living(conn, schedule, run)
        if key is not None and not await stored_runs.remember(conn, key, runs.digest(wish), run):
            raise Conflict(
                f"the idempotency key {key!r} is being used by another request",
                field="Idempotency-Key",
            )
    return Begun(run)


def firings(plan: Plan, now: datetime, count: int) -> list[Firing]:
    """The next ticks that something will be started for."""
    return [Firing(tick, plan.due(tick)) for tick in islice(plan.upcoming(now), count)]


async def stop_all(conn: Conn, *, by: str, note: str | None = None) -> Row:
    """Nothing is started by any schedule, and no backfill goes on, until all are resumed."""
    if not await stored.stop_all(conn, by=by, note=note):
        raise Conflict("all schedules are stopped already")
    return await stored.stopped(conn) or {}


async def resume_all(conn: Conn, *, by: str) -> None:
    async with conn.transaction():
        if not await stored.resume_all(conn, by=by):
            raise Conflict("the schedules are not stopped")
        await poke(conn)


async def sync_of_type(conn: Conn, type: str, specs: Specs, by: str) -> None:
    """Make the schedules that a definition declares those of its type.

    What was edited since stays edited until the definition says something else; what the
    definition does not name any more goes, what people made themselves stays.
    """
    await sync(conn, Target(type=type), specs, by)


async def sync_of_record(
    conn: Conn, record: str, specs: Specs, by: str, *, origin: str = DEFINITION
) -> None:
    await sync(conn, Target(record=record), specs, by, origin=origin)


async def sync(
    conn: Conn, target: Target, specs: Specs, by: str, *, origin: str = DEFINITION
) -> None:
    async with conn.transaction():
        catalog = Catalog()
        rows = {row["name"]: row for row in await stored.lock_all(conn, target)}
        if not rows and not specs:
            return
        for spec in specs:
            await declare(conn, catalog, target, spec, rows.pop(spec.name, None), by, origin)
        for row in rows.values():
            if row["origin"] == origin:
                await stored.delete(conn, row["id"])
        await poke(conn)


async def declare(
    conn: Conn,
    catalog: Catalog,
    target: Target,
    spec: ScheduleSpec,
    row: Row | None,
    by: str,
    origin: str,
) -> None:
    document = write_schedule(spec)
    if row is not None and row["origin"] != origin:
        raise taken(target, spec.name)
    if row is not None and row["declared"] == document:
        return
    await check(conn, catalog, target, spec)
    if row is None:
        await insert(conn, target, spec, by=by, origin=origin, declared=document)
    else:
        await replace(conn, row, spec, declared=document)
