"""The web application over a database in use, and what all of its tables hold."""

import base64
import os
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from psycopg import AsyncConnection
from psycopg.sql import SQL, Identifier

from scheduler.services.access import Role
from scheduler.services.keyring import Keys
from tests.support.api import Api, serving
from tests.support.seeded import seed
from tests.support.seeded_runs import Size

TINY = Size(runs=300, told=300, heard=300, records=24, events=60)

# When somebody was last seen is written for whoever asks, once a minute, and tells of nothing that
# they did.
SEEN: Mapping[str, tuple[str, ...]] = {
    "tokens": ("last_used_at",),
    "sessions": ("seen_at", "expires_at"),
}


@asynccontextmanager
async def a_seeded_api(dsn: str, folder: Path) -> AsyncIterator[Api]:
    """Nobody else is there: no loop, no worker, no chore."""
    keys = folder / "secret.keys"
    keys.write_text(base64.b64encode(os.urandom(32)).decode())
    keys.chmod(0o600)
    async with serving(dsn) as api:
        api.app.state.keys = Keys(file=keys)
        transport = httpx.ASGITransport(api.app)
        headers = {"Authorization": f"Bearer {api.tokens[Role.ADMIN]}"}
        async with httpx.AsyncClient(
            transport=transport, base_url="http://server/api/v1", headers=headers, timeout=60
        ) as http:
            await seed(http, dsn, TINY)
        yield api


Digests = Mapping[str, tuple[Any, ...]]


async def digests(dsn: str) -> Digests:
    """Of every table, its rows and what is in them."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        cursor = await conn.execute(
            "select relname from pg_class where relkind in ('r', 'p') and not relispartition "
            "and relnamespace = 'public'::regnamespace order by relname"
        )
        return {name: await digest(conn, name) for (name,) in await cursor.fetchall()}


async def digest(conn: AsyncConnection[Any], table: str) -> tuple[Any, ...]:
    query = SQL(
        "select count(*), sum(hashtextextended((to_jsonb(t) - %s::text[])::text, 0)) from {} t"
    )
    cursor = await conn.execute(query.format(Identifier(table)), [list(SEEN.get(table, ()))])
    [row] = await cursor.fetchall()
    return tuple(row)


def differing(before: Digests, after: Digests) -> Iterable[str]:
    return [name for name in {*before, *after} if before.get(name) != after.get(name)]
