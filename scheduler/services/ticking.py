"""What the clock and people share: the plan of a schedule, starting a run for a tick."""

import json
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain.errors import Conflict
from scheduler.domain.schedule_reading import read_schedule
from scheduler.domain.schedules import EPOCH, Overlap, Plan, Quiet, ScheduleSpec
from scheduler.services import records, runs
from scheduler.services.catalog import Catalog
from scheduler.services.runs import Order
from scheduler.store import process_records
from scheduler.store.rows import Row
from scheduler.store.schedules import Target

Conn = AsyncConnection[Any]

CHANNEL = "procession_schedules"


def key_of(target: Target, name: str) -> str:
    """What a schedule is called: its hashes and jitters are made of it."""
    return f"{target.type}/{name}" if target.type else f"record:{target.record}/{name}"


def target_of(row: Row) -> Target:
    return Target(type=row["type"], record=row["record_id"])


def plan_of(row: Row) -> Plan:
    """Raises Invalid where what was stored once means nothing any more."""
    spec = spec_of(json.dumps(row["spec"]))
    if row["record_id"] is not None and spec.overlap is Overlap.ALLOW:
        spec = replace(spec, overlap=Overlap.SKIP)  # a record has one living run at most
    return Plan(spec, key_of(target_of(row), row["name"]))


@lru_cache(maxsize=4096)
def spec_of(document: str) -> ScheduleSpec:
    return read_schedule(json.loads(document))


def pause_of(row: Row, now: datetime) -> list[Quiet]:
    """A pause covers all that was not decided on when it began."""
    if row["paused_at"] is None:
        return []
    end = min(row["paused_until"] or now, now)
    return [Quiet(EPOCH, end, said("paused", row["paused_by"], row["note"]))]


def said(what: str, by: str, note: str | None) -> str:
    return f"{what} by {by}: {note}" if note else f"{what} by {by}"


async def start_run(
    conn: Conn,
    catalog: Catalog,
    row: Row,
    plan: Plan,
    tick: datetime,
    *,
    by: str | None = None,
    input: dict[str, Any] | None = None,
) -> UUID:
    """The run for a tick, in the caller's transaction, which has locked the schedule."""
    order = Order(
        type=row["type"] or "",
        input={**plan.input_for(tick), **(input or {})},
        by=by or f"schedule {plan.key}",
        priority=plan.spec.priority,
        labels={"schedule": str(row["id"])},
    )
    if row["record_id"] is None:
        return (await runs.start_within(conn, catalog, order)).id
    return await start_of_record(conn, catalog, row["record_id"], order)


async def start_of_record(conn: Conn, catalog: Catalog, record: str, order: Order) -> UUID:
    found = await records.locked(conn, record)
    if await records.is_running(conn, found["current_run"]):
        raise Conflict(f"process record {record!r} is already running: stop it or wait")
    own = records.order_of(found, by=order.by, input=order.input, key=None)
    priority = own.priority if order.priority is None else order.priority
    begun = await runs.start_within(
        conn, catalog, replace(own, priority=priority, labels=order.labels)
    )
    await process_records.point(conn, record, begun.id)
    return begun.id


async def poke(conn: Conn) -> None:
    """Let clocks look again when this transaction commits."""
    await conn.execute("select pg_notify(%s, '')", [CHANNEL])
