"""Procrastinate's queue as this system needs it.

What its own manager leaves to chance is decided here: a word that comes while it looks is not lost;
an attempt is ended by the worker that has it, or not at all; what became of it is written in the
same statement; an end that cannot be written is tried again, and then left to the keeper.
"""

import asyncio
import json
import logging
import traceback
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from procrastinate import jobs, manager
from procrastinate.connector import BaseConnector
from psycopg import AsyncConnection, Error
from psycopg.errors import UniqueViolation
from psycopg_pool import PoolTimeout

from scheduler.chores.kinds import Kinds, Pool
from scheduler.store import chores
from scheduler.store.chores import Ended

log = logging.getLogger(__name__)

CHANNEL = "procrastinate_any_queue_v1"
PATIENCE = 15.0  # seconds: half of what a silent worker is given
LONGEST = 2000  # characters of an error
LONGEST_TRACE = 16_000

Connect = Callable[[], Awaitable[AsyncConnection[Any]]]


class Forgotten(Exception):
    """This worker was silent for so long that others do its work."""


@dataclass(frozen=True, slots=True)
class Trouble:
    error: str
    trace: str
    is_cut_short: bool = False


def trouble_of(error: BaseException) -> Trouble:
    said = str(error) or type(error).__name__
    trace = "".join(traceback.format_exception(error))
    cut = isinstance(error, asyncio.CancelledError)
    words = "cut short: the server stops, or lost its database" if cut else said
    return Trouble(clean(words, LONGEST), clean(trace, LONGEST_TRACE), cut)


def clean(text: str, most: int) -> str:
    """Text as PostgreSQL takes it; of what is too long, the end says what happened."""
    return text.replace("\x00", "�")[-most:]


UNKNOWN = Trouble("this server knows no such chore", "")


class Queue(manager.JobManager):
    def __init__(
        self, connector: BaseConnector, pool: Pool, kinds: Kinds, connect: Connect, server: str
    ):
        super().__init__(connector)
        self.held: set[int] = set()
        self.worker: int | None = None
        self._pool = pool
        self._kinds = kinds
        self._connect = connect
        self._server = server
        self._heard = 0
        self._started: dict[int, datetime] = {}
        self._troubles: dict[int, Trouble] = {}

    async def listen_for_jobs(
        self, *, on_notification: Any, queues: Iterable[str] | None = None
    ) -> None:
        async with await self._connect() as conn:
            await conn.execute(f"listen {CHANNEL}")
            while True:
                async for word in conn.notifies(timeout=30):
                    self._heard += 1
                    notification = json.loads(word.payload)
                    await on_notification(channel=word.channel, notification=notification)
                await conn.execute("select 1")

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> jobs.Job | None:
        """Looks again if a word came meanwhile: who asked forgets it as soon as this returns."""
        self.worker = worker_id
        while True:
            before = self._heard
            job = await super().fetch_job(queues, worker_id)
            if job is not None and job.id is not None:
                self.held.add(job.id)
                self._started[job.id] = datetime.now(UTC)
                return job
            if self._heard == before:
                return None

    def note(self, job: int, error: BaseException) -> None:
        self._troubles[job] = trouble_of(error)

    async def finish_job(self, job: jobs.Job, status: jobs.Status, delete_job: bool) -> None:
        assert job.id is not None
        trouble = self._troubles.pop(job.id, None)
        started = self._started.pop(job.id, None)
        if trouble is None and status is not jobs.Status.SUCCEEDED:
            trouble = UNKNOWN
        try:
            await self._store(self._ended(job, trouble, started))
        finally:
            self.held.discard(job.id)

    def _ended(self, job: jobs.Job, trouble: Trouble | None, started: datetime | None) -> Ended:
        assert job.id is not None
        assert job.worker_id is not None
        base: dict[str, Any] = {
            "job": job.id,
            "worker": job.worker_id,
            "attempt": job.attempts,
            "server": self._server,
            "started": started,
        }
        if trouble is None:
            return Ended(**base, status="succeeded", state="SUCCEEDED")
        base |= {"error": trouble.error, "trace": trouble.trace}
        if trouble.is_cut_short:
            return Ended(**base, status="todo", state="HANDED_BACK", counted=0)
        kind, attempts = self._kinds.get(job.task_name), job.attempts + 1
        if attempts >= (kind.tries if kind else 10):
            return Ended(**base, status="failed", state="FAILED")
        pause = kind.pause_after(attempts) if kind else None
        at = datetime.now(UTC) + pause if pause else None
        return Ended(**base, status="todo", state="RETRIED", at=at)

    async def _store(self, ended: Ended) -> None:
        """Once, or not at all: then the keeper or this worker's own look finds the job."""
        end = asyncio.get_running_loop().time() + PATIENCE
        while True:
            try:
                async with self._pool.connection() as conn:
                    await self._write(conn, ended)
                return
            except (Error, PoolTimeout) as error:
                if asyncio.get_running_loop().time() > end:
                    facts = {"job": ended.job, "error": str(error)}
                    log.warning("the end of a chore could not be written", extra=facts)
                    return
            await asyncio.sleep(0.2)

    async def _write(self, conn: AsyncConnection[Any], ended: Ended) -> None:
        try:
            if not await chores.finish(conn, ended):
                log.warning("a chore ended that others have by now", extra={"job": ended.job})
        except UniqueViolation:
            await chores.merge(conn, ended.job, server=self._server)

    async def update_heartbeat(self, worker_id: int) -> None:
        async with self._pool.connection() as conn:
            if not await chores.beat(conn, worker_id):
                raise Forgotten(f"worker {worker_id} was silent for too long")
