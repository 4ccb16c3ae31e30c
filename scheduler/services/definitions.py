"""Publishing process types. A version, once published, never changes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain import adhoc, differences, graph
from scheduler.domain import process_types as definitions
from scheduler.domain.differences import Difference
from scheduler.domain.errors import Conflict, Invalid, NotFound
from scheduler.domain.process_types import ProcessType
from scheduler.domain.schedule_reading import read_schedule
from scheduler.services import triggers
from scheduler.store import process_types
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Comparison:
    before: Row
    after: Row
    changes: list[Difference]


@dataclass(frozen=True, slots=True)
class Published:
    name: str
    version: int
    changed: bool


class Overtaken(Conflict):
    """Somebody published another version than the one that was looked at."""

    def __init__(self, name: str, seen: int, latest: int):
        was = f"not {seen}" if seen else "and was taken to be new"
        super().__init__(
            f"process type {name!r} is at version {latest}, {was}",
            field="seen",
            remedy="look at what changed, and publish again if this is to stand instead",
        )
        self.name, self.seen, self.latest = name, seen, latest


async def publish(
    conn: Conn, types: list[ProcessType], *, by: str, seen: Mapping[str, int] | None = None
) -> list[Published]:
    """Publish all of them or none. The same content again changes nothing.

    With `seen`, the newest versions that somebody knew of, 0 for one that is new, whoever was
    overtaken learns so.
    """
    if any(each.name == adhoc.TYPE for each in types):
        raise Invalid(
            f"the name {adhoc.TYPE!r} is kept for ad-hoc commands: choose another", field="name"
        )
    async with conn.transaction():
        # In the order of names: two who publish the same files must not wait for each other.
        done = {t.name: await publish_one(conn, t, by, seen) for t in sorted(types, key=by_name)}
    return [done[each.name] for each in types]


def by_name(process_type: ProcessType) -> str:
    return process_type.name


async def publish_one(
    conn: Conn, definition: ProcessType, by: str, seen: Mapping[str, int] | None = None
) -> Published:
    name = definition.name
    latest = await lock_latest(conn, name)
    digest = definitions.digest(definition)
    if latest and digest == await process_types.digest(conn, name, latest):
        return Published(name, latest, changed=False)
    if seen is not None and seen.get(name, 0) != latest:
        raise Overtaken(name, seen.get(name, 0), latest)
    version = latest + 1
    document = definitions.to_document(definition)
    await process_types.publish(conn, name, version, digest=digest, document=document, by=by)
    await process_types.add_tasks(conn, name, version, template_rows(definition))
    await process_types.advance(conn, name, version)
    await declare_schedules(conn, definition, by)
    await triggers.sync_of_type(conn, name, definition.triggers, by)
    return Published(name, version, changed=True)


async def declare_schedules(conn: Conn, definition: ProcessType, by: str) -> None:
    from scheduler.services import schedules  # which starts runs of what is published here

    wanted = [read_schedule(each) for each in definition.schedules]
    await schedules.sync_of_type(conn, definition.name, wanted, by)


async def lock_latest(conn: Conn, name: str) -> int:
    """The newest version, which stays so until the caller commits; 0 of a type that is new."""
    if await process_types.create(conn, name):
        return 0
    found = await process_types.lock(conn, name)
    if found is None:
        return 0
    require_in_use(found)
    latest: int = found["latest"]
    return latest


def template_rows(definition: ProcessType) -> list[dict[str, Any]]:
    return [asdict(template) for template in graph.templates(definition)]


async def get(conn: Conn, name: str, version: int | None = None) -> Row:
    found = await process_types.get(conn, name, version)
    if found is None:
        which = f"version {version} of process type" if version else "process type"
        raise NotFound(f"there is no {which} {name!r}: `procession types` lists what there is")
    return found


async def startable(conn: Conn, name: str, version: int | None = None) -> Row:
    """A version that runs may be started of."""
    found = await get(conn, name, version)
    require_in_use(found)
    return found


def require_in_use(found: Row) -> None:
    if found["retired_at"] is None:
        return
    name, note = found["name"], found["retired_note"]
    raise Conflict(
        f"process type {name!r} was retired by {found['retired_by'] or 'somebody'}"
        + (f": {note}" if note else ""),
        field="type",
        remedy=f"reinstate it with POST /api/v1/process-types/{name}/reinstate, "
        "or use another type",
    )


async def retire(conn: Conn, name: str, *, by: str, note: str | None = None) -> Row:
    """Nothing more of it is started or published; what runs goes on. Again changes nothing."""
    if name == adhoc.TYPE:
        raise Conflict(f"{name!r} is kept for ad-hoc commands and cannot be retired", field="name")
    async with conn.transaction():
        found = await locked(conn, name)
        if found["retired_at"] is None:
            await process_types.retire(conn, name, by=by, note=note)
    return await get(conn, name)


async def reinstate(conn: Conn, name: str) -> Row:
    async with conn.transaction():
        if (await locked(conn, name))["retired_at"] is not None:
            await process_types.reinstate(conn, name)
    return await get(conn, name)


async def locked(conn: Conn, name: str) -> Row:
    found = await process_types.lock(conn, name)
    return found or await get(conn, name)


async def compare(conn: Conn, name: str, before: int, after: int | None) -> Comparison:
    """What the one version says otherwise than the other."""
    old, new = await get(conn, name, before), await get(conn, name, after)
    return Comparison(old, new, differences.between(old["document"], new["document"]))
