"""The tests' PostgreSQL: servers that the session starts itself, and a database for each test."""

import asyncio
import itertools
import os
import signal
import subprocess
import sys
import tempfile
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
from tests.support.memory import is_in_memory

CHOICE = "PROCESSION_TEST_POSTGRES"
SYSTEM_15 = Path("/usr/lib/postgresql/15/bin")
TEMPLATE = "procession_template"

# A test's server may lose what it has when the machine stops; it answers sooner for that.
HASTY = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "128MB",
    "max_wal_size": "128MB",
    "logging_collector": "off",
}

# Reads until its standard input ends, which it does with the tests however they end.
LEASH = """
import sys
sys.stdin.read()
import os, shutil, time
server, folder = sys.argv[1:]
os.kill(int(server), 2)
end = time.monotonic() + 30
while os.path.exists("/proc/" + server) and time.monotonic() < end:
    time.sleep(0.05)
shutil.rmtree(folder, ignore_errors=True)
"""


def binaries_of(version: str) -> Binaries:
    if version == "18":
        return packaged()
    if version == "15" and SYSTEM_15.is_dir():
        return at(SYSTEM_15)
    pytest.skip(f"no PostgreSQL {version} here ({CHOICE}): install it or choose 18 or a URL")


def chosen_version() -> str:
    choice = os.environ.get(CHOICE, "18")
    return "18" if "://" in choice else choice


@contextmanager
def folder_of_server() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        yield Path(name)


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
        self._leash = tied(database.pid, self.postgres.home.parent)

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


def tied(pid: int, folder: Path) -> subprocess.Popen[bytes]:
    """Whatever becomes of us, the server `pid` ends with us, and its files go."""
    argv = [sys.executable, "-ISc", LEASH, str(pid), str(folder)]
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
    conn: psycopg.Connection  # the owner's, from the first test to the last
    strategy: SQL

    def make_template(self) -> None:
        self.conn.execute(SQL("drop database if exists {}").format(Identifier(TEMPLATE)))
        self.conn.execute(SQL("create database {}").format(Identifier(TEMPLATE)))
        made = make_conninfo(self.admin, dbname=TEMPLATE)
        asyncio.run(migrate(made))
        # The first to come writes down what a connection has to know of the tables; it is cloned.
        psycopg.connect(made).close()

    @contextmanager
    def cloned(self) -> Iterator[str]:
        name = f"procession_test_{os.getpid()}_{next(numbers)}"
        names = Identifier(name), Identifier(TEMPLATE)
        self.conn.execute(SQL("create database {} template {} ").format(*names) + self.strategy)
        try:
            yield make_conninfo(self.admin, dbname=name)
        finally:
            self.conn.execute(SQL("drop database {} with (force)").format(Identifier(name)))


numbers = itertools.count(1)


@contextmanager
def session_databases() -> Iterator[Databases]:
    choice = os.environ.get(CHOICE, "18")
    if "://" in choice:
        with psycopg.connect(choice, autocommit=True) as conn:
            yield Databases(choice, conn, SQL(""))
        return
    with folder_of_server() as folder, running(Cluster(folder, binaries_of(choice))) as cluster:
        strategy = SQL("strategy file_copy" if is_in_memory(folder) else "strategy wal_log")
        with psycopg.connect(cluster.dsn, autocommit=True) as conn:
            yield Databases(cluster.dsn, conn, strategy)
