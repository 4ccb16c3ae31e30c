"""What people and programs ask of workflows: messages, what they tell, forks."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain import process_types
from scheduler.domain.calls import MOST
from scheduler.domain.errors import Conflict, Invalid, NotFound
from scheduler.domain.ids import new_id
from scheduler.domain.kinds.get import checked_key
from scheduler.domain.kinds.recv import checked_topic
from scheduler.domain.values import refuse_unstorable
from scheduler.domain.wakes import Wake
from scheduler.services import mailing, runs
from scheduler.services.catalog import Catalog
from scheduler.services.runs import Order
from scheduler.services.waking import notify
from scheduler.store import flows, run_tasks
from scheduler.store.flows import Message
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]

MOST_BODY = 256 << 10  # bytes as JSON
SHOWN = 100  # workflows of a run


# Messages.


async def send(conn: Conn, message: Message) -> Row:
    """With a key that was used for this run already, what was sent then."""
    check(message)
    async with conn.transaction():
        await require_room(conn, message.run)
        sent = await mailing.send(conn, [message])
        if not sent:
            return await sent_before(conn, message)
        wake = Wake()
        wake.add(runs=[message.run], due=True)
        await notify(conn, wake)
    return sent[0]


def check(message: Message) -> None:
    checked_topic(message.topic)
    if message.key is not None:
        checked_key(message.key)
    refuse_unstorable([message.topic, message.key, message.body], "body")
    if len(json.dumps(message.body)) > MOST_BODY:
        raise Invalid(
            f"the body has more than {MOST_BODY} bytes: keep it elsewhere, and say where",
            field="body",
        )


async def require_room(conn: Conn, run: UUID) -> None:
    found = await runs.get(conn, run)
    if found["finished_at"] is not None:
        raise Conflict(f"run {run} is {found['state']}: nobody takes messages there any more")
    if await flows.full(conn, [run], mailing.MOST_WAITING):
        raise Conflict(
            f"{mailing.MOST_WAITING} messages wait there already",
            remedy="send more when the run has taken some",
        )


async def sent_before(conn: Conn, message: Message) -> Row:
    found = await flows.message(conn, message.run, message.key or "")
    if found is None:
        raise NotFound(f"there is no run {message.run}")
    return found


async def messages(
    conn: Conn, run: UUID, *, topic: str | None, after: int, limit: int
) -> list[Row]:
    await runs.get(conn, run)
    return await flows.messages(conn, run, topic=topic, after=after, limit=limit)


# What runs tell.


async def values(conn: Conn, run: UUID, *, after: str, limit: int) -> list[Row]:
    """The newest under each key."""
    await runs.get(conn, run)
    return await flows.newest(conn, run, after=after, limit=limit)


async def tellings(
    conn: Conn, run: UUID, kind: str, name: str, *, after: int, limit: int
) -> list[Row]:
    """All that was told under a key, or in a stream, the first of it first."""
    await runs.get(conn, run)
    return await flows.tellings(conn, run, kind, name, after=after, limit=limit)


async def streams(conn: Conn, run: UUID) -> list[str]:
    await runs.get(conn, run)
    return await flows.streams(conn, run, limit=1000)


async def of_run(conn: Conn, run: UUID) -> list[Row]:
    await runs.get(conn, run)
    return await flows.of_run(conn, run, limit=SHOWN)


async def forks(conn: Conn, run: UUID) -> list[Row]:
    await runs.get(conn, run)
    return await flows.forks(conn, run, limit=SHOWN)


# Forks.


@dataclass(frozen=True, slots=True, kw_only=True)
class Fork:
    """A wish for a new run that begins with what another knew below a number of a call."""

    run: UUID
    from_seq: int
    by: str
    task: str | None = None
    input: Mapping[str, Any] | None = None


async def fork(conn: Conn, catalog: Catalog, wish: Fork) -> UUID:
    """Nobody is offered the new run before it has what it begins with."""
    if not 1 <= wish.from_seq <= MOST:
        raise Invalid(f"the number of a call is 1 to {MOST}", field="from_seq")
    async with conn.transaction():
        model = await runs.get(conn, wish.run)
        task = await chosen(conn, wish)
        definition = await catalog.get(conn, model["type"], model["type_version"])
        input = process_types.check_input(definition, dict(wish.input or model["input"]))
        order = Order(
            type=model["type"],
            input=input,
            by=f"{wish.by}, a fork of run {wish.run}",
            priority=model["priority"],
            labels=model["labels"],
        )
        new = runs.new_run(definition, model["type_version"], order)
        run = new_id()
        wake = await runs.insert(conn, catalog, new, [run], [input])
        await flows.fork_of(conn, run, model=wish.run, from_seq=wish.from_seq)
        mine = await run_tasks.by_name(conn, run, task["name"])
        if mine is not None:
            await flows.copy(conn, model=task["id"], task=mine, from_seq=wish.from_seq)
        await notify(conn, wake)
    return run


async def chosen(conn: Conn, wish: Fork) -> Row:
    found = await flows.workflow_tasks(conn, wish.run)
    named = [row for row in found if wish.task in (None, row["name"])]
    if not found:
        raise Conflict(
            f"run {wish.run} has no workflow: only what code has called is known by number",
            remedy="start another run of its type",
        )
    if len(named) != 1:
        names = ", ".join(row["name"] for row in found)
        raise Invalid(f"say which of its workflows is meant: {names}", field="task")
    return named[0]
