"""Events: stored once each, and told to those who wait for them. One transaction a batch."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

from psycopg import AsyncConnection, errors

from scheduler.domain import events as rules
from scheduler.domain.errors import Invalid, NotFound
from scheduler.domain.events import NewEvent
from scheduler.domain.orders import EmitEvent
from scheduler.domain.wakes import Wake
from scheduler.services.waking import notify
from scheduler.store import events, waits
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

MOST = 1_000  # in one request, and in one transaction
HOPELESS = (errors.QueryCanceled, errors.AdminShutdown)  # halves would fare no better


@dataclass(frozen=True, slots=True)
class Sent:
    """What somebody sent at once: all of it is stored, or none."""

    events: Sequence[NewEvent]
    by: str


async def receive(conn: Conn, new: Sequence[NewEvent], *, by: str) -> list[Row]:
    """Store a batch; what was known by source and id already is left out of the answer."""
    checked = check(new)
    async with conn.transaction():
        stored, wake = await receive_within(conn, checked, by=[by] * len(checked))
        await notify(conn, wake)
    return stored


def check(new: Sequence[NewEvent]) -> list[NewEvent]:
    if not 1 <= len(new) <= MOST:
        raise Invalid(f"{len(new)} events: send 1 to {MOST} at a time", field="events")
    return [rules.check(each) for each in new]


async def receive_all(conn: Conn, all: Sequence[Sent]) -> list[int | Exception]:
    """How many events of each were not known yet. What came together is committed together; what
    the database refuses is found by halves, so that nobody fails for another."""
    answers: list[int | Exception] = []
    for portion in portions(all):
        answers += await receive_portion(conn, portion)
    return answers


def portions(all: Sequence[Sent]) -> Iterator[list[Sent]]:
    portion: list[Sent] = []
    size = 0
    for each in all:
        if portion and size + len(each.events) > MOST:
            yield portion
            portion, size = [], 0
        portion.append(each)
        size += len(each.events)
    if portion:
        yield portion


async def receive_portion(conn: Conn, portion: Sequence[Sent]) -> list[int | Exception]:
    try:
        async with conn.transaction():
            new = [event for sent in portion for event in sent.events]
            by = [sent.by for sent in portion for _ in sent.events]
            stored, wake = await receive_within(conn, new, by=by)
            await notify(conn, wake)
    except Exception as error:
        if len(portion) == 1 or conn.broken or isinstance(error, HOPELESS):
            return [error] * len(portion)
        middle = len(portion) // 2
        first = await receive_portion(conn, portion[:middle])
        return first + await receive_portion(conn, portion[middle:])
    return list(shares(portion, {(row["source"], row["event_id"]) for row in stored}))


def shares(portion: Sequence[Sent], stored: set[tuple[str, str]]) -> Iterator[int]:
    """Of an event that two of them sent, the first has stored it."""
    for sent in portion:
        own = {(event.source, event.id) for event in sent.events} & stored
        stored -= own
        yield len(own)


async def receive_within(
    conn: Conn, new: Sequence[NewEvent], *, by: Sequence[str]
) -> tuple[list[Row], Wake]:
    """The same in the caller's transaction; no run is locked for it."""
    await waits.lock_shared(conn, [each.type for each in new], [each.key for each in new])
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
    _, wake = await receive_within(conn, new, by=["engine"] * len(new))
    return wake


def new_event_id() -> str:
    return uuid4().hex


async def get(conn: Conn, event: int) -> Row:
    found = await events.get(conn, event)
    if found is None:
        raise NotFound(f"there is no event {event}")
    return found
