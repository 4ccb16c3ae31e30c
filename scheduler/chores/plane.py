"""Carries chores out, in every server, for as long as it lives; begins anew whatever happens to the
database."""

import asyncio
import contextlib
import logging
import os
import random
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from procrastinate import App, JobContext, PsycopgConnector
from procrastinate.exceptions import ProcrastinateException
from psycopg import AsyncConnection, Error
from psycopg_pool import PoolTimeout

from scheduler.chores.kinds import Kind, Kinds, Pool, Tools
from scheduler.chores.queue import Queue
from scheduler.services import upkeep
from scheduler.settings import ChoreSettings
from scheduler.store import chores, connections

log = logging.getLogger(__name__)

QUEUE = "chores"  # short: its name goes into that of a channel
AWAY = (Error, PoolTimeout, ProcrastinateException, OSError)
LONGEST_DELAY = 2.0
GRACE = 5.0  # seconds for chores in hand when a server stops; their batches are short
NOBODY = 0


@dataclass(frozen=True, slots=True)
class Plane:
    """`make` gives the tools for a pool; their job is filled in for each chore."""

    url: str
    settings: ChoreSettings
    kinds: Kinds
    make: Callable[[Pool, int], Tools]

    async def work(self) -> None:
        logging.getLogger("procrastinate").setLevel(logging.CRITICAL)  # we say it ourselves
        delay = 0.1
        while True:
            began = asyncio.get_running_loop().time()
            try:
                await self.live()
            except* AWAY as group:
                error = str(group.exceptions[0]).strip()
                log.warning("chores stand still", extra={"error": error})
            if (task := asyncio.current_task()) and task.cancelling():
                # A group that ends with faults of its own says nothing of its cancellation.
                raise asyncio.CancelledError
            if asyncio.get_running_loop().time() - began > 30:
                delay = 0.1
            await asyncio.sleep(delay * random.uniform(0.5, 1.5))
            delay = min(2 * delay, LONGEST_DELAY)

    async def live(self) -> None:
        size = self.settings.at_once + 3
        async with connections.open_pool(self.url, name="server chores", size=size) as pool:
            async with pool.connection() as conn:
                await upkeep.plan(conn, self.plans())
            queue, app = self.assemble(pool)
            await app.open_async(pool)
            async with asyncio.TaskGroup() as group:
                looking = group.create_task(self.look_after(queue, pool), name="chores in hand")
                try:
                    await self.run(app)
                finally:
                    looking.cancel()

    def plans(self) -> dict[str, Any]:
        return {kind.name: kind.every for kind in self.kinds.values() if kind.every}

    async def run(self, app: App) -> None:
        await app.run_worker_async(
            queues=[QUEUE],
            concurrency=self.settings.at_once,
            install_signal_handlers=False,
            fetch_job_polling_interval=self.settings.poll.total_seconds(),
            shutdown_graceful_timeout=GRACE,
            update_heartbeat_interval=self.settings.silent_after.total_seconds() / 4,
            stalled_worker_timeout=self.settings.silent_after.total_seconds(),
        )

    def assemble(self, pool: Pool) -> tuple[Queue, App]:
        connector = PsycopgConnector()
        app = App(connector=connector)
        queue = Queue(connector, pool, self.kinds, self.connect, server_name())
        app.job_manager = queue
        tools = self.make(pool, NOBODY)
        for kind in self.kinds.values():
            task = app.task(name=kind.name, queue=QUEUE, pass_context=True)
            task(job_of(kind, tools, queue))
        return queue, app

    def connect(self) -> Awaitable[AsyncConnection[Any]]:
        return connections.connect(self.url, name="server chores listen")

    async def look_after(self, queue: Queue, pool: Pool) -> None:
        """Gives back what the database says that we have, and we know nothing of: the answer to a
        fetch was lost, or the end of a chore could not be written."""
        strange: set[int] = set()
        while True:
            await asyncio.sleep(self.settings.silent_after.total_seconds() / 4)
            with contextlib.suppress(*AWAY):
                async with pool.connection() as conn:
                    found = await self.unknown(conn, queue)
                    await upkeep.give_back(
                        conn,
                        found & strange,
                        server=server_name(),
                        error="its server does not know that it has it",
                    )
                strange = found - strange

    async def unknown(self, conn: AsyncConnection[Any], queue: Queue) -> set[int]:
        if queue.worker is None:
            return set()
        return await chores.in_hand(conn, queue.worker) - queue.held


def job_of(kind: Kind, tools: Tools, queue: Queue) -> Callable[..., Awaitable[None]]:
    async def job(context: JobContext, **args: Any) -> None:
        assert context.job.id is not None
        try:
            async with asyncio.timeout(kind.limit.total_seconds()):
                await kind.work(replace(tools, job=context.job.id), args)
        except BaseException as error:
            queue.note(context.job.id, error)
            if not isinstance(error, asyncio.CancelledError):
                facts = {"job": context.job.id, "chore": kind.name, "error": str(error)}
                log.warning("a chore failed", extra=facts)
            raise

    return job


def server_name() -> str:
    return f"{socket.gethostname()} {os.getpid()}"
