"""The schema of procrastinate: its own file to begin with, and its own migrations from then on.

Read from the installed package without importing it: whoever looks whether a database is up to
date need not load a queue.
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection

Conn = AsyncConnection[Any]

INCLUDE = "-- include procrastinate/sql/schema.sql\n"


def folder() -> Path:
    spec = find_spec("procrastinate")
    if spec is None or not spec.submodule_search_locations:
        raise LookupError("the package procrastinate is not installed")
    return Path(spec.submodule_search_locations[0]) / "sql"


def known() -> list[str]:
    """The names of its migrations, in their order."""
    return sorted(path.name for path in (folder() / "migrations").glob("*.sql"))


def is_included(text: str) -> bool:
    return INCLUDE in text


def expanded(text: str) -> str:
    return text.replace(INCLUDE, (folder() / "schema.sql").read_text())


async def applied(conn: Conn) -> set[str] | None:
    """None if there is no chore in this database yet."""
    cursor = await conn.execute("select to_regclass('chore_migrations') is not null")
    row = await cursor.fetchone()
    if not (row and row[0]):
        return None
    cursor = await conn.execute("select name from chore_migrations")
    return {name for (name,) in await cursor.fetchall()}


async def missing(conn: Conn) -> list[str]:
    found = await applied(conn)
    return [] if found is None else [name for name in known() if name not in found]


async def remember(conn: Conn, names: Sequence[str]) -> None:
    await conn.execute(
        "insert into chore_migrations (name) select unnest(%s::text[])", [list(names)]
    )


async def catch_up(conn: Conn) -> list[str]:
    """Apply what a later version of the package brings, each in a transaction of its own."""
    done = []
    for name in await missing(conn):
        async with conn.transaction():
            await conn.execute((folder() / "migrations" / name).read_bytes())
            await conn.execute("select grant_chores()")
            await remember(conn, [name])
        done.append(f"chores {name}")
    return done
