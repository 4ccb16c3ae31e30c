"""Brings a database to the newest schema: numbered files, each once, in order, as the owner."""

import asyncio
import contextlib
import hashlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from typing import TypeVar

from psycopg import AsyncConnection, OperationalError, errors, sql

from scheduler.domain.errors import Unavailable
from scheduler.store import chore_schema

OLDEST = 14
ROLE = "app"
LOCK = 7_301_944_115  # any number, as long as every version of ours takes the same
# Whoever comes after a migration that waits for a table waits behind it: it asks briefly, again.
ASKS, PAUSE, TRIES = "1s", 0.5, 120
FILE = re.compile(r"^(\d{4})_(\w+)\.sql$")

T = TypeVar("T")

LEDGER = """
create table if not exists schema_migrations (
    number     integer     primary key,
    name       text        not null,
    checksum   text        not null,
    applied_at timestamptz not null default clock_timestamp()
)"""


LONGEST = """
select pid, coalesce(nullif(application_name, ''), usename), xact_start at time zone 'utc'
  from pg_stat_activity
 where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
 order by xact_start
 limit 1"""


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    text: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def known() -> list[Migration]:
    found = []
    for file in (files("sql") / "migrations").iterdir():
        if match := FILE.match(file.name):
            found.append(Migration(int(match[1]), match[2], file.read_text()))
    return sorted(found, key=lambda migration: migration.number)


async def migrate(conninfo: str) -> list[str]:
    """Apply what is missing and name it. Several may try at once: one does, the others wait."""
    try:
        conn = await AsyncConnection.connect(conninfo, autocommit=True, connect_timeout=10)
    except OperationalError as error:
        raise Unavailable(f"the database cannot be reached: {first_line(error)}") from error
    async with conn:
        require_version(conn.info.server_version)
        await conn.execute("select pg_advisory_lock(%s)", [LOCK])
        await ensure_role(conn)
        await conn.execute(LEDGER)
        await conn.execute("grant select on schema_migrations to app")
        applied = await ledger(conn)
        await conn.execute(f"set lock_timeout = '{ASKS}'")
        done = [await apply(conn, each) for each in known() if each.number not in applied]
        return done + await patiently(conn, lambda: chore_schema.catch_up(conn))


async def pending(conn: AsyncConnection) -> list[str]:
    """The migrations that this version knows and the database lacks."""
    cursor = await conn.execute("select to_regclass('schema_migrations') is not null")
    row = await cursor.fetchone()
    applied = await ledger(conn) if row and row[0] else {}
    ours = [f"{m.number:04} {m.name}" for m in known() if m.number not in applied]
    return ours + await chore_schema.missing(conn)


def require_version(number: int) -> None:
    if number // 10000 < OLDEST:
        raise Unavailable(
            f"PostgreSQL {number // 10000} is too old: use PostgreSQL {OLDEST} or newer"
        )


async def ledger(conn: AsyncConnection) -> dict[int, str]:
    cursor = await conn.execute("select number, checksum from schema_migrations")
    return dict(await cursor.fetchall())


async def ensure_role(conn: AsyncConnection) -> None:
    """`app` is what everything but a migration runs as; the owner may become it."""
    role = sql.Identifier(ROLE)
    with contextlib.suppress(errors.DuplicateObject, errors.UniqueViolation):
        await conn.execute(sql.SQL("create role {} nologin").format(role))
    await conn.execute(sql.SQL("grant {} to current_user").format(role))
    await conn.execute(sql.SQL("grant usage on schema public to {}").format(role))


async def apply(conn: AsyncConnection, migration: Migration) -> str:
    await patiently(conn, lambda: carry_out(conn, migration))
    return f"{migration.number:04} {migration.name}"


async def carry_out(conn: AsyncConnection, migration: Migration) -> None:
    async with conn.transaction():
        await conn.execute(chore_schema.expanded(migration.text))
        if chore_schema.is_included(migration.text):
            await chore_schema.remember(conn, chore_schema.known())
        await conn.execute(
            "insert into schema_migrations (number, name, checksum) values (%s, %s, %s)",
            [migration.number, migration.name, migration.checksum],
        )


async def patiently(
    conn: AsyncConnection, change: Callable[[], Awaitable[T]], tries: int = TRIES
) -> T:
    """A change of tables that others use, once none of them has them for long."""
    for _ in range(tries):
        try:
            return await change()
        except (errors.LockNotAvailable, errors.DeadlockDetected):
            await asyncio.sleep(PAUSE)
    raise Unavailable(
        f"a table that has to change is in use: end {await longest(conn)} and migrate again"
    )


async def longest(conn: AsyncConnection) -> str:
    cursor = await conn.execute(LONGEST)
    if (row := await cursor.fetchone()) is None:
        return "what uses it"
    pid, name, began = row
    return f"the transaction of process {pid} ({name}, since {began:%Y-%m-%d %H:%M:%S} UTC)"


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
