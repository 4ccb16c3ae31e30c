"""Ad-hoc commands: a run of a definition that is made for it."""

from typing import Any

from psycopg import AsyncConnection

from scheduler.domain import adhoc
from scheduler.domain import process_types as definitions
from scheduler.domain.adhoc import AdHoc
from scheduler.domain.errors import Conflict
from scheduler.domain.process_types import ProcessType
from scheduler.services import definitions as published
from scheduler.services import runs
from scheduler.services.catalog import Catalog
from scheduler.services.runs import Begun, Order
from scheduler.store import process_types

Conn = AsyncConnection[Any]


async def start(
    conn: Conn, catalog: Catalog, wish: AdHoc, *, by: str, key: str | None = None
) -> Begun:
    definition = adhoc.as_type(wish)
    async with conn.transaction():
        version = await version_of(conn, definition, by)
        order = Order(type=adhoc.TYPE, version=version, input={}, by=by, key=key)
        return await runs.start_within(conn, catalog, order)


async def version_of(conn: Conn, definition: ProcessType, by: str) -> int:
    """The same command again is the same version."""
    latest = await process_types.get(conn, adhoc.TYPE)
    if latest is not None and not adhoc.is_ad_hoc(latest["document"]):
        raise Conflict(
            f"somebody published a process type {adhoc.TYPE!r}, which is kept for ad-hoc commands",
            remedy="give that type another name, or start the command as a type of your own",
        )
    digest = definitions.digest(definition)
    known = await process_types.version_with(conn, adhoc.TYPE, digest)
    return known or (await published.publish_one(conn, definition, by)).version
