"""The tests' PostgreSQL: servers that the session starts itself, and a database for each test."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from scheduler.embedded import EmbeddedPostgres, postmaster
from scheduler.embedded.binaries import Binaries, at, packaged
from scheduler.store.migrations import migrate

CHOICE = "PROCESSION_TEST_POSTGRES"
SYSTEM_15 = Path("/usr/lib/postgresql/15/bin")
TEMPLATE = "procession_template"

# A test's server may lose what it has when the machine stops; it answers sooner for that.
HASTY = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "128MB",
    "logging_collector": "off",
}

# Reads until its standard input ends, which it does with the tests however they end.
LEASH = "import os, sys; sys.stdin.read(); os.kill(int(sys.argv[1]), 2)"


def binaries_of(version: str) -> Binaries:
    if version == "18":
        return packaged()
    if version == "15" and SYSTEM_15.is_dir():
        return at(SYSTEM_15)
    pytest.skip(f"no PostgreSQL {version} here ({CHOICE}): install it or choose 18 or a URL")


def chosen_version() -> str:
    choice = os.environ.get(CHOICE, "18")
    return "18" if "://" in choice else choice


class Cluster:
    """A server of one test's own, which it may stop and kill."""

    def __init__(self, directory: Path, binaries: Binaries, **more: str) -> None:
        extra: dict[str, str | None] = {**HASTY, **more}
        if binaries.major < 18:
            extra["io_method"] = None
        self.postgres = EmbeddedPostgres(directory, binaries=binaries, extra=extra)
        self.dsn = ""
        self._leash: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        database = await self.postgres.start()
        self.dsn = database.url
        self.release()
        self._leash = tied(database.pid)

    async def stop(self) -> None:
        await self.postgres.stop()
        self.release()

    async def restart(self, *, immediate: bool = False) -> None:
        """Immediate is like a crash: no goodbye to clients, and recovery at the start."""
        await self.end(signal.SIGQUIT if immediate else signal.SIGINT)
        await self.start()

    async def kill(self) -> None:
        await self.end(signal.SIGKILL)

    async def end(self, number: signal.Signals) -> None:
        if server := postmaster.find(self.postgres.data):
            os.kill(server.pid, number)
            await postmaster.wait_until_ended(server.pid)

    def release(self) -> None:
        """The server has ended or has another leash: this one has nothing to kill any more."""
        if self._leash:
            self._leash.kill()
            self._leash.communicate()
            self._leash = None


def tied(pid: int) -> subprocess.Popen[bytes]:
    """Whatever becomes of us, the server `pid` ends with us."""
    argv = [sys.executable, "-ISc", LEASH, str(pid)]
    return subprocess.Popen(argv, stdin=subprocess.PIPE)


@contextmanager
def running(cluster: Cluster) -> Iterator[Cluster]:
    asyncio.run(cluster.start())
    try:
        yield cluster
    finally:
        asyncio.run(cluster.stop())


@dataclass(frozen=True, slots=True)
class Databases:
    """Gives each test a database of its own, cloned from one that is migrated once."""

    admin: str

    def make_template(self) -> None:
        with psycopg.connect(self.admin, autocommit=True) as conn:
            conn.execute(SQL("drop database if exists {}").format(Identifier(TEMPLATE)))
            conn.execute(SQL("create database {}").format(Identifier(TEMPLATE)))
        asyncio.run(migrate(make_conninfo(self.admin, dbname=TEMPLATE)))

    @contextmanager
    def cloned(self) -> Iterator[str]:
        name = f"procession_test_{os.getpid()}_{next(numbers)}"
        with psycopg.connect(self.admin, autocommit=True) as conn:
            names = Identifier(name), Identifier(TEMPLATE)
            conn.execute(SQL("create database {} template {}").format(*names))
        try:
            yield make_conninfo(self.admin, dbname=name)
        finally:
            with psycopg.connect(self.admin, autocommit=True) as conn:
                conn.execute(SQL("drop database {} with (force)").format(Identifier(name)))


numbers = itertools.count(1)


@contextmanager
def session_databases(directory: Path) -> Iterator[Databases]:
    choice = os.environ.get(CHOICE, "18")
    if "://" in choice:
        yield Databases(choice)
        return
    with running(Cluster(directory, binaries_of(choice))) as cluster:
        yield Databases(cluster.dsn)
