"""Events: stored once each, and told to those who wait for them. One transaction a batch."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from psycopg import AsyncConnection

from scheduler.domain import events as rules
from scheduler.domain.errors import Invalid, NotFound
from scheduler.domain.events import NewEvent
from scheduler.domain.orders import EmitEvent
from scheduler.domain.wakes import Wake
from scheduler.services.waking import notify
from scheduler.store import events, waits
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

MOST = 1_000  # in one request


async def receive(conn: Conn, new: Sequence[NewEvent], *, by: str) -> list[Row]:
    """Store a batch; what was known by source and id already is left out of the answer."""
    if not 1 <= len(new) <= MOST:
        raise Invalid(f"{len(new)} events: send 1 to {MOST} at a time", field="events")
    checked = [rules.check(each) for each in new]
    async with conn.transaction():
        stored, wake = await receive_within(conn, checked, by=by)
        await notify(conn, wake)
    return stored


async def receive_within(conn: Conn, new: Sequence[NewEvent], *, by: str) -> tuple[list[Row], Wake]:
    """The same in the caller's transaction; no run is locked for it."""
    await waits.lock(conn, [each.type for each in new], [each.key for each in new])
    stored = await events.add(conn, new, by=by)
    reached = await waits.reached(conn, [row["id"] for row in stored]) if stored else 0
    wake = Wake()
    wake.add(due=bool(reached))
    return stored, wake


async def emit(conn: Conn, orders: Sequence[EmitEvent]) -> Wake:
    """What tasks say: the source is their run, so that a task tells each attempt's event once."""
    new = [
        NewEvent(
            source=f"run:{order.task.run_id}",
            id=f"{order.task.name}:{order.task.attempt}",
            type=order.event,
            key=order.key,
            data=order.data,
        )
        for order in orders
    ]
    _, wake = await receive_within(conn, new, by="engine")
    return wake


def new_event_id() -> str:
    return uuid4().hex


async def get(conn: Conn, event: int) -> Row:
    found = await events.get(conn, event)
    if found is None:
        raise NotFound(f"there is no event {event}")
    return found
