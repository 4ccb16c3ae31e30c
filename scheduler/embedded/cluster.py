"""The life of our own PostgreSQL: made once, started or adopted, kept running, stopped.

Everything lies in DIR/postgres: `data`, `socket`, `log`, and `pgpass` with the owner's password.
The server outlives a `procession up` that was killed, and the next one adopts it.
"""

import asyncio
import logging
import os
import secrets
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from psycopg import AsyncConnection, OperationalError, errors, sql

from scheduler.domain.errors import Invalid, Unavailable
from scheduler.embedded import folders, postmaster
from scheduler.embedded.binaries import Binaries, packaged
from scheduler.embedded.guise import Guise, guise_for
from scheduler.embedded.postmaster import Postmaster
from scheduler.embedded.settings import arguments, memory_of_machine, settings
from scheduler.supervise import Backoff

log = logging.getLogger(__name__)

OWNER = DATABASE = "procession"
DRAFT = "data-"
STARTED_WITHIN = 300.0  # recovery after a power cut counts
STOPPED_WITHIN = 60.0
STILL_IN_USE = "shared memory block"  # backends that outlived their postmaster for a moment
FULL = "No space left on device"


@dataclass(frozen=True, slots=True)
class Database:
    """`url` carries no secret: it names the password's file, so it may be shown and handed on."""

    url: str
    sockets: Path
    pid: int
    adopted: bool


class EmbeddedPostgres:
    def __init__(
        self,
        directory: Path,
        *,
        binaries: Binaries | None = None,
        extra: Mapping[str, str | None] | None = None,
    ) -> None:
        """`extra` settings go over ours; None leaves one out."""
        self.home = directory.expanduser().resolve() / "postgres"
        self.data = self.home / "data"
        self._binaries = binaries
        self._extra = extra or {}

    async def start(self) -> Database:
        """Ready to be used when this returns; a server that already runs here is adopted."""
        binaries = self._binaries or self._packaged()
        folders.make_private(self.home)
        try:
            database = await self._start(binaries)
        except OSError as error:
            raise Unavailable(f"no PostgreSQL in {self.home}: {cause(str(error))}") from error
        log.info("postgresql is ready", extra={"pid": database.pid, "adopted": database.adopted})
        return database

    def running(self) -> str | None:
        """The URL of the server that runs here now, if one does."""
        server = postmaster.find(self.data)
        return self._url(server, DATABASE) if server else None

    async def stop(self) -> None:
        """Open transactions are rolled back and clients sent away; nothing committed is lost."""
        server = postmaster.find(self.data)
        if server is not None:
            await self._end(server)
        folders.remove_sockets(self.home / "socket")

    async def wait_until_ended(self) -> None:
        if server := postmaster.find(self.data):
            await postmaster.wait_until_ended(server.pid)

    async def keep(self) -> None:
        """Start it again whenever it ends, until cancelled."""
        backoff = Backoff()
        while True:
            begun = asyncio.get_running_loop().time()
            await self.wait_until_ended()
            pause = backoff.after(asyncio.get_running_loop().time() - begun)
            log.warning("postgresql ended and is started again", extra={"in_seconds": pause})
            await asyncio.sleep(pause)
            try:
                await self.start()
            except Unavailable as refusal:
                log.error("postgresql does not start", extra={"reason": str(refusal)})

    async def _start(self, binaries: Binaries) -> Database:
        async with folders.locked(self.home / "lock"):
            running = postmaster.find(self.data)
            if running is None:
                await self._make(binaries)
            server = await self._ready(binaries, running)
            await make_database(self._url(server, "postgres"))
        url = self._url(server, DATABASE)
        return Database(url, server.sockets, server.pid, adopted=running is not None)

    @staticmethod
    def _packaged() -> Binaries:
        if sys.platform != "linux":
            raise Unavailable(
                "a PostgreSQL of our own needs Linux: name a database with --database-url or "
                "PROCESSION_DATABASE_URL"
            )
        return packaged()

    async def _make(self, binaries: Binaries) -> None:
        guise = guise_for(self.data)
        for abandoned in self.home.glob(f"{DRAFT}*"):
            shutil.rmtree(abandoned, ignore_errors=True)
        if not self.data.exists():
            await self._initialise(binaries, guise)
        self._require_version(binaries)
        guise.give(self.data)

    async def _initialise(self, binaries: Binaries, guise: Guise) -> None:
        """Under another name first: half a data directory is never taken for a whole one.

        A name of its own each time, since the initdb of a start that was killed may still write.
        """
        draft = Path(tempfile.mkdtemp(prefix=DRAFT, dir=self.home))
        guise.give(draft)
        password = secrets.token_urlsafe(32)
        await run_initdb([*guise.prefix, *initdb(binaries, draft)], password)
        folders.write_private(self.home / "pgpass", f"*:*:*:{OWNER}:{password}\n")
        folders.put_in_place(draft, self.data)

    def _require_version(self, binaries: Binaries) -> None:
        made_by = (self.data / "PG_VERSION").read_text().strip()
        if made_by != str(binaries.major):
            raise Invalid(
                f"{self.data} was made by PostgreSQL {made_by} and this is {binaries.major}: "
                f"dump it with {made_by} and restore it into a new --data-dir",
                field="data-dir",
            )
        if not (self.home / "pgpass").exists():
            raise Invalid(
                f"{self.home / 'pgpass'} is gone, and with it the password of {self.data}: "
                "put it back from a backup",
                field="data-dir",
            )

    async def _ready(self, binaries: Binaries, running: Postmaster | None) -> Postmaster:
        try:
            async with asyncio.timeout(STARTED_WITHIN):
                if running is not None:
                    return await self._wait_for(running.pid)
                return await self._launch(binaries)
        except TimeoutError:
            raise Unavailable(
                f"PostgreSQL was not ready within {STARTED_WITHIN:.0f} s: {self._last_words()}"
            ) from None

    async def _launch(self, binaries: Binaries) -> Postmaster:
        while True:
            try:
                return await self._wait_for(self._spawn(binaries))
            except Unavailable as refusal:
                if STILL_IN_USE not in str(refusal):
                    raise
                await asyncio.sleep(0.2)

    def _spawn(self, binaries: Binaries) -> int:
        guise = guise_for(self.data)
        sockets = folders.sockets(self.home / "socket")
        logs = folders.make_private(self.home / "log")
        for folder in (sockets, logs):
            guise.give(folder)
        postmaster.disown_stale_pid(self.data)
        values = {**settings(memory_of_machine(), logs, sockets), **self._extra}
        chosen = {name: value for name, value in values.items() if value is not None}
        server = [binaries.path("postgres"), "-D", str(self.data), *arguments(chosen)]
        return postmaster.spawn([*guise.prefix, *server], self.home / "start.log")

    async def _wait_for(self, pid: int) -> Postmaster:
        while True:
            server = postmaster.find(self.data)
            if server is not None and server.is_ready:
                return server
            if postmaster.has_ended(pid):
                raise Unavailable(f"PostgreSQL did not start: {self._last_words()}")
            await asyncio.sleep(0.02)

    async def _end(self, server: Postmaster) -> None:
        os.kill(server.pid, signal.SIGINT)
        try:
            async with asyncio.timeout(STOPPED_WITHIN):
                await postmaster.wait_until_ended(server.pid)
        except TimeoutError:
            log.warning("postgresql is slow to stop and is cut short", extra={"pid": server.pid})
            os.kill(server.pid, signal.SIGQUIT)
            await postmaster.wait_until_ended(server.pid)

    def _url(self, server: Postmaster, database: str) -> str:
        sockets, password = (quote(str(p), safe="") for p in (server.sockets, self.home / "pgpass"))
        # Nothing is left to the caller's own PGPORT or PGHOST.
        where = f"host={sockets}&port={server.port}"
        return f"postgresql://{OWNER}@/{database}?{where}&passfile={password}"

    def _last_words(self) -> str:
        newest = sorted((self.home / "log").glob("*.log"), key=lambda file: file.stat().st_mtime)
        return cause("".join(tail(file) for file in [*newest[-1:], self.home / "start.log"]))


async def make_database(admin: str) -> None:
    """Unless it exists. A start that was killed may have one on its way, in a server we adopt."""
    try:
        conn = await AsyncConnection.connect(admin, autocommit=True)
    except OperationalError as error:
        reason = str(error).strip().splitlines()[0]
        raise Unavailable(f"our own PostgreSQL refuses us: {reason}") from error
    async with conn:
        found = await conn.execute("select from pg_database where datname = %s", [DATABASE])
        if not found.rowcount:
            with suppress(errors.DuplicateDatabase, errors.UniqueViolation):
                await conn.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))


def initdb(binaries: Binaries, data: Path) -> list[str]:
    """Text is ordered by code point, the same everywhere and for ever; letters are Unicode's."""
    unicode = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
    return [
        binaries.path("initdb"),
        f"--pgdata={data}",
        f"--username={OWNER}",
        "--auth=scram-sha-256",
        "--pwfile=/dev/stdin",
        "--encoding=UTF8",
        "--locale=C",
        *(unicode if binaries.major >= 17 else []),
    ]


async def run_initdb(argv: list[str], password: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *argv,
        env=postmaster.ENVIRONMENT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        start_new_session=True,
    )
    try:
        said, _ = await process.communicate(f"{password}\n".encode())
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    if process.returncode:
        raise Unavailable(f"initdb failed: {cause(said.decode(errors='replace'))}")


def tail(file: Path) -> str:
    try:
        return file.read_text(errors="replace")[-8192:]
    except OSError:
        return ""


def cause(text: str) -> str:
    """The line that says why, of all that PostgreSQL printed before it ended."""
    if FULL in text:
        return "no space is left on the device: free some, or give another folder with --data-dir"
    lines = text.strip().splitlines() or ["it said nothing"]
    telling = [line for line in lines if "FATAL:" in line or "PANIC:" in line or "error:" in line]
    return (telling or lines)[-1].strip()
