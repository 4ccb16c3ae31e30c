"""`procession doctor`: looks at everything the system rests on, and says what to do about it."""

import os
import platform
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

from psycopg import AsyncConnection, OperationalError

from scheduler.domain.findings import Finding, Level, fine
from scheduler.store import connections, health
from scheduler.store.migrations import OLDEST, pending

Conn = AsyncConnection[Any]

GiB = 1 << 30
LEAST_DISK = GiB
MOST_SKEW = 2.0  # seconds between this machine's clock and the database's
PATIENCE = timedelta(seconds=15)  # the reaper's, beyond the end of a lease
MOST_SHOWN = 10


async def examine(url: str, data_dir: Path, *, quick: bool = False) -> list[Finding]:
    """Every check in turn; `quick` asks only what decides whether this process can work."""
    try:
        async with as_app(url) as conn:
            found = [await database(conn), await schema(conn)]
            if quick or any(finding.level is Level.FAULT for finding in found):
                return found
            return [*found, versions(), disk(data_dir), *await within(conn)]
    except OperationalError as error:
        return [unreachable(error)]


@asynccontextmanager
async def as_app(url: str) -> AsyncIterator[Conn]:
    conninfo = connections.as_app(url, name="doctor")
    async with await AsyncConnection.connect(conninfo, autocommit=True) as conn:
        yield conn


def unreachable(error: OperationalError) -> Finding:
    reason = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    remedy = "start it, or correct --database-url or PROCESSION_DATABASE_URL"
    if 'role "app" does not exist' in str(error):
        remedy = "run `procession migrate`"
    return Finding("database", Level.FAULT, f"cannot be used: {reason}", remedy)


async def within(conn: Conn) -> list[Finding]:
    """What only a migrated database can be asked."""
    return [
        await clock(conn),
        await durability(conn),
        await leases(conn),
        await workers(conn),
        await partitions(conn),
        await counters(conn),
    ]


async def database(conn: Conn) -> Finding:
    major = conn.info.server_version // 10000
    if major < OLDEST:
        remedy = f"use PostgreSQL {OLDEST} or newer"
        return Finding("database", Level.FAULT, f"PostgreSQL {major} is too old", remedy)
    return fine("database", f"PostgreSQL {major} answers")


async def schema(conn: Conn) -> Finding:
    if missing := await pending(conn):
        says = f"lacks {len(missing)} migrations, first {missing[0]}"
        return Finding("schema", Level.FAULT, says, "run `procession migrate`")
    return fine("schema", "up to date")


def versions() -> Finding:
    return fine("versions", f"procession {version('procession')}, {platform.python_version()}")


def disk(folder: Path) -> Finding:
    place = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    free = shutil.disk_usage(place).free
    says = f"{free / GiB:.1f} GiB free in {place}"
    if not os.access(place, os.W_OK):
        return Finding("disk", Level.FAULT, f"cannot write in {place}", "choose another --data-dir")
    if free < LEAST_DISK:
        return Finding("disk", Level.WARNING, says, "free some: output and results need room")
    return fine("disk", says)


async def clock(conn: Conn) -> Finding:
    """Half of the way there and back belongs to the question."""
    asked = time.time()
    theirs = await health.clock(conn)
    skew = theirs - (asked + time.time()) / 2
    says = f"{skew:+.2f} s from here to the database"
    if abs(skew) > MOST_SKEW:
        remedy = "set both by NTP; schedules and leases follow the database's clock"
        return Finding("clock", Level.WARNING, says, remedy)
    return fine("clock", says)


async def durability(conn: Conn) -> Finding:
    names = ("fsync", "full_page_writes", "synchronous_commit")
    cursor = await conn.execute(
        "select name from pg_settings where name = any(%s) and setting = 'off'", [list(names)]
    )
    if weak := [row[0] for row in await cursor.fetchall()]:
        says = f"{', '.join(weak)} off: a commit that was acknowledged can be lost"
        return Finding("durability", Level.WARNING, says, "switch it on in postgresql.conf")
    return fine("durability", "acknowledged commits are on the disk")


async def leases(conn: Conn) -> Finding:
    if silent := await health.silent_holders(conn, PATIENCE):
        names = ", ".join(f"{row['name']} for {row['late']:.0f} s" for row in silent[:MOST_SHOWN])
        remedy = "no reaper seems to run: start `procession serve` or `procession worker`"
        return Finding("leases", Level.FAULT, f"over and not taken back: {names}", remedy)
    return fine("leases", "none is overdue")


async def workers(conn: Conn) -> Finding:
    ours = version("procession")
    if others := await health.other_versions(conn, ours):
        names = ", ".join(f"{row['name']} ({row['version']})" for row in others[:MOST_SHOWN])
        remedy = f"bring them to {ours} too"
        return Finding("workers", Level.WARNING, f"of another version: {names}", remedy)
    return fine("workers", "all of this version")


async def partitions(conn: Conn) -> Finding:
    if day := await health.unkept_partitions(conn):
        remedy = "start `procession serve`, whose janitor makes them"
        return Finding("partitions", Level.WARNING, f"none for {day:%Y-%m-%d}", remedy)
    return fine("partitions", "made for tomorrow")


async def counters(conn: Conn) -> Finding:
    if wrong := await health.miscounted(conn, MOST_SHOWN):
        runs = ", ".join(str(run) for run in wrong)
        remedy = "stop and retry each, which counts again; and report it, for the fault is ours"
        return Finding("counters", Level.FAULT, f"do not follow from the tasks: {runs}", remedy)
    return fine("counters", "follow from the tasks")
