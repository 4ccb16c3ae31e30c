"""Process records: saved, startable processes. One transaction each."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from scheduler.domain import process_types as definitions
from scheduler.domain.errors import Conflict, Invalid, NotFound
from scheduler.domain.states import RunState
from scheduler.services import definitions as published
from scheduler.services import runs as run_service
from scheduler.services.catalog import Catalog
from scheduler.services.runs import Begun, Order
from scheduler.store import process_records as records
from scheduler.store import runs
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]


class Edited(Conflict):
    """Somebody was faster."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What people may say of a record; the rest is the engine's."""

    type: str
    input: dict[str, Any]
    vars: dict[str, Any] = field(default_factory=dict)
    description: str = ""
    priority: int | None = None


async def create(conn: Conn, catalog: Catalog, record: str, draft: Draft, *, by: str) -> Row:
    require_id(record)
    async with conn.transaction():
        await check(conn, catalog, draft)
        made = await records.create(
            conn,
            record,
            type=draft.type,
            description=draft.description,
            input=draft.input,
            vars=draft.vars,
            priority=draft.priority,
            by=by,
        )
    if not made:
        raise Conflict(f"a process record {record!r} already exists: choose another id", field="id")
    return await get(conn, record)


def require_id(record: str) -> None:
    if not 1 <= len(record) <= 200 or not record.isprintable() or "/" in record:
        raise Invalid(
            f"{record!r} cannot be an id: use 1 to 200 printable characters without '/'",
            field="id",
        )


async def check(conn: Conn, catalog: Catalog, draft: Draft) -> None:
    """The input must be right for the newest version of the type."""
    row = await published.startable(conn, draft.type)
    definition = await catalog.get(conn, row["name"], row["version"])
    definitions.check_input(definition, draft.input)


async def get(conn: Conn, record: str) -> Row:
    found = await records.get(conn, record)
    if found is None:
        raise NotFound(f"there is no process record {record!r}")
    return found


async def change(
    conn: Conn, catalog: Catalog, record: str, draft: Draft, *, expected: int | None = None
) -> Row:
    """Replace what people may say of it."""
    async with conn.transaction():
        await locked(conn, record, expected)
        await write(conn, catalog, record, draft)
    return await get(conn, record)


async def patch(
    conn: Conn,
    catalog: Catalog,
    record: str,
    given: Mapping[str, Any],
    *,
    changes: Mapping[str, Any] | None = None,
    expected: int | None = None,
) -> Row:
    """Change what is given and leave the rest, as it is then; `changes` are laid over the
    input."""
    async with conn.transaction():
        found = await locked(conn, record, expected)
        kept = {name: found[name] for name in ("type", "input", "vars", "description", "priority")}
        draft = Draft(**{**kept, **given})
        if changes is not None:
            draft = replace(draft, input={**draft.input, **changes})
        await write(conn, catalog, record, draft)
    return await get(conn, record)


async def write(conn: Conn, catalog: Catalog, record: str, draft: Draft) -> None:
    await check(conn, catalog, draft)
    await records.change(
        conn,
        record,
        type=draft.type,
        description=draft.description,
        input=draft.input,
        vars=draft.vars,
        priority=draft.priority,
    )


async def delete(conn: Conn, record: str, *, expected: int | None = None) -> None:
    """Refused while it runs; the runs that were stay readable."""
    async with conn.transaction():
        found = await locked(conn, record, expected)
        if await is_running(conn, found["current_run"]):
            raise Conflict(f"cannot delete the running process record {record!r}: stop it first")
        await records.delete(conn, record)


async def start(
    conn: Conn,
    catalog: Catalog,
    record: str,
    *,
    by: str,
    input: dict[str, Any] | None = None,
    key: str | None = None,
) -> Begun:
    """Each start is a run of its own; a record has one living run at most."""
    async with conn.transaction():
        found = await locked(conn, record)
        order = order_of(found, by=by, input=input, key=key)
        if key is not None and await runs.remembered(conn, key):
            return await run_service.start_within(conn, catalog, order)
        if await is_running(conn, found["current_run"]):
            raise Conflict(f"process record {record!r} is already running: stop it or wait")
        begun = await run_service.start_within(conn, catalog, order)
        await records.point(conn, record, begun.id)
    return begun


def order_of(found: Row, *, by: str, input: dict[str, Any] | None, key: str | None) -> Order:
    return Order(
        type=found["type"],
        input={**found["input"], **(input or {})},
        by=by,
        record=found["id"],
        priority=found["priority"],
        key=key,
    )


async def stop(conn: Conn, catalog: Catalog, record: str, *, by: str, kill: bool = False) -> Row:
    run = await running(conn, record)
    await run_service.stop(conn, catalog, run, by=by, kill=kill)
    return await get(conn, record)


async def running(conn: Conn, record: str) -> UUID:
    found = await get(conn, record)
    if found["current_run"] is None or RunState(found["current_status"]).is_final:
        raise Conflict(f"process record {record!r} is not running")
    run: UUID = found["current_run"]
    return run


async def locked(conn: Conn, record: str, expected: int | None = None) -> Row:
    """Nobody else edits or starts it until the caller commits."""
    found = await records.lock(conn, record)
    if found is None:
        raise NotFound(f"there is no process record {record!r}")
    if expected is not None and expected != found["version"]:
        raise Edited(f"the record is at version {found['version']}, not {expected}")
    return found


async def is_running(conn: Conn, run: UUID | None) -> bool:
    if run is None:
        return False
    return any(not RunState(row["state"]).is_final for row in await runs.states(conn, [run]))
