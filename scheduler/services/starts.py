"""Starts of many who ask at the same time, in one transaction.

What is wrong with one wish is found before, and answered to whoever has it alone. What only the
database finds, or another who uses the same key, undoes the transaction: then the wishes are
started by halves, until whoever is at fault stands alone.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import AsyncConnection, errors

from scheduler.domain import process_types as definitions
from scheduler.domain.errors import Refusal, Unavailable
from scheduler.domain.ids import new_id
from scheduler.domain.wakes import Wake
from scheduler.services import definitions as published
from scheduler.services.catalog import Catalog
from scheduler.services.runs import Begun, Order, digest, insert, new_run, used_before
from scheduler.services.waking import notify
from scheduler.store import audit, starts
from scheduler.store.audit import Actor
from scheduler.store.runs import Start
from scheduler.store.starts import Key

Conn = AsyncConnection[Any]
Answer = Begun | Exception
Asked = tuple[str, int | None]

MOST_TASKS = 2000
HOPELESS = (errors.QueryCanceled, errors.AdminShutdown)  # halves would fare no better


@dataclass(frozen=True, slots=True)
class Wish:
    """A run that somebody wants; `actor` is who the audit log says it was."""

    order: Order
    actor: Actor


@dataclass(frozen=True, slots=True)
class Ready:
    """A wish that nothing is wrong with, and what becomes of it."""

    place: int
    wish: Wish
    key: Key | None
    new: Start
    input: dict[str, Any]
    begun: Begun
    tasks: int


async def start_all(conn: Conn, catalog: Catalog, wishes: Sequence[Wish]) -> list[Answer]:
    """An answer for each wish, in their order. Who gets a run gets it after the commit."""
    answers: dict[int, Answer] = await answered_before(conn, wishes)
    open = [(place, wish) for place, wish in enumerate(wishes) if place not in answers]
    ready = []
    versions = await starts.versions(conn, sorted({asked(w.order) for _, w in open}, key=str))
    for place, wish in open:
        try:
            ready.append(await prepare(conn, catalog, versions, place, wish))
        except Refusal as refusal:
            answers[place] = refusal
    for portion in portions(ready):
        answers |= await begin(conn, catalog, portion)
    return [answers[place] for place in range(len(wishes))]


def asked(order: Order) -> Asked:
    return order.type, order.version


async def answered_before(conn: Conn, wishes: Sequence[Wish]) -> dict[int, Answer]:
    """Whoever comes again with a key gets the same answer, whatever has changed in between."""
    if not (keys := sorted({wish.order.key for wish in wishes if wish.order.key is not None})):
        return {}
    known = await starts.remembered(conn, keys)
    return {
        place: replay(wish.order, known[wish.order.key])
        for place, wish in enumerate(wishes)
        if wish.order.key is not None and wish.order.key in known
    }


def replay(order: Order, known: Key) -> Answer:
    return Begun(known.run, replayed=True) if known.digest == digest(order) else used_before(order)


async def prepare(
    conn: Conn, catalog: Catalog, versions: dict[Asked, int], place: int, wish: Wish
) -> Ready:
    order, begun = wish.order, Begun(new_id())
    version = (
        versions.get(asked(order)) or (await published.startable(conn, *asked(order)))["version"]
    )
    definition = await catalog.get(conn, order.type, version)
    return Ready(
        place=place,
        wish=wish,
        key=None if order.key is None else Key(order.key, digest(order), begun.id),
        new=new_run(definition, version, order),
        input=definitions.check_input(definition, order.input),
        begun=begun,
        tasks=len(definition.tasks),
    )


def portions(ready: Iterable[Ready]) -> Iterator[list[Ready]]:
    """No more in one transaction than is written in good time, though one run may be larger."""
    portion: list[Ready] = []
    size = 0
    for each in ready:
        if portion and size + each.tasks > MOST_TASKS:
            yield portion
            portion, size = [], 0
        portion.append(each)
        size += each.tasks
    if portion:
        yield portion


async def begin(conn: Conn, catalog: Catalog, ready: Sequence[Ready]) -> dict[int, Answer]:
    """Start them together, or by halves. A lost connection leaves nobody's answer known."""
    try:
        return await begin_together(conn, catalog, ready)
    except Exception as error:
        if len(ready) == 1 or conn.broken or isinstance(error, HOPELESS):
            return {each.place: told(each, error) for each in ready}
    middle = len(ready) // 2
    first = await begin(conn, catalog, ready[:middle])
    return first | await begin(conn, catalog, ready[middle:])


def told(ready: Ready, error: Exception) -> Exception:
    if isinstance(error, errors.LockNotAvailable):
        return Unavailable(
            f"another request with the idempotency key {ready.wish.order.key!r} is under way",
            remedy="ask again in a moment, with the same key",
        )
    return error


async def begin_together(conn: Conn, catalog: Catalog, ready: Sequence[Ready]) -> dict[int, Answer]:
    async with conn.pipeline():
        async with conn.transaction():
            answers = await take_keys(conn, ready)
            new = [each for each in ready if each.place not in answers]
            wake = Wake()
            for alike in groups(new):
                wake.merge(await insert_alike(conn, catalog, alike))
            await notify(conn, wake)
            found = await starts.rows(conn, [each.begun.id for each in new])
        rows = {row["id"]: row for row in await found.fetchall()}
    return answers | {each.place: Begun(each.begun.id, row=rows[each.begun.id]) for each in new}


async def take_keys(conn: Conn, ready: Sequence[Ready]) -> dict[int, Answer]:
    """Answers for those whose key was taken since: by another server, or within the batch."""
    if not (keys := [each.key for each in ready if each.key is not None]):
        return {}
    await starts.patience(conn)
    ours = await starts.remember(conn, keys)
    late = [each for each in ready if each.key is not None and each.key.run not in ours]
    if not late:
        return {}
    known = await starts.remembered(conn, [each.key.key for each in late if each.key])
    return {each.place: replay(each.wish.order, known[each.key.key]) for each in late if each.key}


def groups(ready: Iterable[Ready]) -> Iterable[Sequence[Ready]]:
    """Those that differ in nothing but their input go into one statement."""
    found: dict[str, list[Ready]] = {}
    for each in ready:
        what, labels = each.new, json.dumps(each.new.labels, sort_keys=True)
        alike = (
            each.wish.actor,
            *(what.type, what.version, what.priority, what.task_priority),
            *(what.triggered_by, what.record, labels),
        )
        found.setdefault(repr(alike), []).append(each)
    return found.values()


async def insert_alike(conn: Conn, catalog: Catalog, alike: Sequence[Ready]) -> Wake:
    await audit.act_as(conn, alike[0].wish.actor)
    ids, inputs = [each.begun.id for each in alike], [each.input for each in alike]
    return await insert(conn, catalog, alike[0].new, ids, inputs)
