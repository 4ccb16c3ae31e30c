"""Publishing process types. A version, once published, never changes."""

from dataclasses import asdict, dataclass
from typing import Any

from psycopg import AsyncConnection

from scheduler.domain import adhoc, graph
from scheduler.domain import process_types as definitions
from scheduler.domain.errors import Invalid, NotFound
from scheduler.domain.process_types import ProcessType
from scheduler.store import process_types
from scheduler.store.rows import Row

Conn = AsyncConnection[Any]


@dataclass(frozen=True, slots=True)
class Published:
    name: str
    version: int
    changed: bool


async def publish(conn: Conn, types: list[ProcessType], *, by: str) -> list[Published]:
    """Publish all of them or none. The same content again changes nothing."""
    if any(each.name == adhoc.TYPE for each in types):
        raise Invalid(
            f"the name {adhoc.TYPE!r} is kept for ad-hoc commands: choose another", field="name"
        )
    async with conn.transaction():
        # In the order of names: two who publish the same files must not wait for each other.
        done = {t.name: await publish_one(conn, t, by) for t in sorted(types, key=by_name)}
    return [done[each.name] for each in types]


def by_name(process_type: ProcessType) -> str:
    return process_type.name


async def publish_one(conn: Conn, definition: ProcessType, by: str) -> Published:
    name = definition.name
    new = await process_types.create(conn, name)
    latest = 0 if new else await process_types.lock(conn, name) or 0
    digest = definitions.digest(definition)
    if latest and digest == await process_types.digest(conn, name, latest):
        return Published(name, latest, changed=False)
    version = latest + 1
    document = definitions.to_document(definition)
    await process_types.publish(conn, name, version, digest=digest, document=document, by=by)
    await process_types.add_tasks(conn, name, version, template_rows(definition))
    await process_types.advance(conn, name, version)
    return Published(name, version, changed=True)


def template_rows(definition: ProcessType) -> list[dict[str, Any]]:
    return [asdict(template) for template in graph.templates(definition)]


async def get(conn: Conn, name: str, version: int | None = None) -> Row:
    found = await process_types.get(conn, name, version)
    if found is None:
        which = f"version {version} of process type" if version else "process type"
        raise NotFound(f"there is no {which} {name!r}: `procession types` lists what there is")
    return found
