"""What people and programs may ask of triggers. One transaction each."""

from collections.abc import Mapping, Sequence
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain.errors import Conflict, Invalid, NotFound
from scheduler.domain.trigger_reading import read_trigger, write_trigger
from scheduler.domain.triggers import TriggerSpec
from scheduler.store import process_records, process_types, triggers
from scheduler.store.rows import Row
from scheduler.store.schedules import Target

Conn = AsyncConnection[Any]
Documents = Sequence[Mapping[str, Any]]

PERSON, DEFINITION = "person", "definition"


class Outdated(Conflict):
    """It was changed since the caller read it."""


async def create(conn: Conn, target: Target, spec: TriggerSpec, *, by: str) -> Row:
    async with conn.transaction():
        await require_target(conn, target)
        made = await insert(conn, target, spec, by=by, origin=PERSON)
    return await get(conn, made)


async def require_target(conn: Conn, target: Target) -> None:
    if target.type is not None and await process_types.get(conn, target.type, None) is None:
        raise NotFound(f"there is no process type {target.type!r}")
    if target.record is not None and await process_records.get(conn, target.record) is None:
        raise NotFound(f"there is no process record {target.record!r}")


async def insert(
    conn: Conn,
    target: Target,
    spec: TriggerSpec,
    *,
    by: str,
    origin: str,
    declared: dict[str, Any] | None = None,
) -> int:
    made = await triggers.create(
        conn,
        target,
        spec.name,
        spec=write_trigger(spec),
        declared=declared,
        origin=origin,
        patterns=spec.events,
        remembers=spec.remembers,
        by=by,
    )
    if made is None:
        raise taken(spec.name)
    return made


def taken(name: str) -> Conflict:
    return Conflict(
        f"there is a trigger {name!r} of it already: give this one another 'name'", field="name"
    )


async def get(conn: Conn, trigger: int) -> Row:
    found = await triggers.get(conn, trigger)
    if found is None:
        raise unknown(trigger)
    return found


def unknown(trigger: int) -> NotFound:
    return NotFound(f"there is no trigger {trigger}: `procession triggers` lists what there is")


async def change(
    conn: Conn, trigger: int, spec: TriggerSpec, *, expected: int | None = None
) -> Row:
    """For the events to come; what waits already starts as it was to."""
    async with conn.transaction():
        row = await triggers.lock(conn, trigger)
        if row is None:
            raise unknown(trigger)
        if expected is not None and expected != row["version"]:
            raise Outdated(f"the trigger is at version {row['version']}, not {expected}")
        if spec.name != row["name"]:
            raise Invalid(
                f"a trigger keeps its name, which is {row['name']!r}: make another one",
                field="spec.name",
            )
        await replace(conn, trigger, spec)
    return await get(conn, trigger)


async def replace(
    conn: Conn, trigger: int, spec: TriggerSpec, *, declared: dict[str, Any] | None = None
) -> None:
    await triggers.change(
        conn,
        trigger,
        name=spec.name,
        spec=write_trigger(spec),
        declared=declared,
        patterns=spec.events,
        remembers=spec.remembers,
    )


async def delete(conn: Conn, trigger: int) -> None:
    """With what it decided and what waits; the runs that it started stay."""
    if not await triggers.delete(conn, trigger):
        raise unknown(trigger)


async def pause(conn: Conn, trigger: int, *, by: str, note: str | None = None) -> Row:
    """What comes meanwhile is written down as skipped; what waits goes on waiting."""
    await get(conn, trigger)
    await triggers.pause(conn, trigger, by=by, note=note)
    return await get(conn, trigger)


async def resume(conn: Conn, trigger: int) -> Row:
    await get(conn, trigger)
    if not await triggers.resume(conn, trigger):
        raise Conflict(f"trigger {trigger} is not paused")
    return await get(conn, trigger)


async def sync_of_type(conn: Conn, type: str, documents: Documents, by: str) -> None:
    """Make the triggers that a definition declares those of its type.

    What was edited since stays edited until the definition says something else; what the
    definition does not name any more goes, what people made themselves stays.
    """
    specs = read_all(documents)
    async with conn.transaction():
        rows = {row["name"]: row for row in await triggers.lock_all(conn, type)}
        for spec in specs:
            await declare(conn, type, spec, rows.pop(spec.name, None), by)
        for row in rows.values():
            if row["origin"] == DEFINITION:
                await triggers.delete(conn, row["id"])


def read_all(documents: Documents) -> list[TriggerSpec]:
    specs = [read_trigger(each) for each in documents]
    names = [spec.name for spec in specs]
    for name in names:
        if names.count(name) > 1:
            raise Invalid(
                f"there are two triggers {name!r}: give each a 'name' of its own", field="triggers"
            )
    return specs


async def declare(conn: Conn, type: str, spec: TriggerSpec, row: Row | None, by: str) -> None:
    document = write_trigger(spec)
    if row is None:
        await insert(conn, Target(type=type), spec, by=by, origin=DEFINITION, declared=document)
        return
    if row["origin"] != DEFINITION:
        raise taken(spec.name)
    if row["declared"] != document:
        await replace(conn, row["id"], spec, declared=document)
