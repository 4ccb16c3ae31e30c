"""Peers, each set up as its documents recommend and given no-op jobs that are already queued."""

import asyncio
import time
from typing import Any

import asyncpg
import procrastinate
from pgqueuer import AsyncpgDriver, PgQueuer, Queries
from pgqueuer.models import Job
from pgqueuer.types import QueueExecutionMode
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from benchmarks.support import database, one, settle, until


async def pgqueuer_rate(server: str, jobs: int, *, batch: int = 10) -> float:
    """Jobs per second of one pgqueuer worker that drains its queue; 10 is its default batch."""
    async with database(server, migrated=False) as url:
        conn = await asyncpg.connect(**asyncpg_arguments(url))
        try:
            queries = Queries(AsyncpgDriver(conn))
            await queries.install()
            for start in range(0, jobs, 5000):
                size = min(5000, jobs - start)
                await queries.enqueue(["noop"] * size, [None] * size, [0] * size)
            await settle(url)
            worker = PgQueuer(AsyncpgDriver(conn))

            @worker.entrypoint("noop")
            async def noop(job: Job) -> None: ...

            began = time.perf_counter()
            await worker.run(batch_size=batch, mode=QueueExecutionMode.drain)
            took = time.perf_counter() - began
            if left := await conn.fetchval("select count(*) from pgqueuer"):
                raise RuntimeError(f"pgqueuer left {left} jobs")
        finally:
            await conn.close()
    return jobs / took


def asyncpg_arguments(url: str) -> dict[str, Any]:
    given = conninfo_to_dict(url)
    names = {"host": "host", "port": "port", "user": "user", "password": "password"}
    names |= {"dbname": "database", "passfile": "passfile"}
    return {theirs: given[ours] for ours, theirs in names.items() if given.get(ours)}


async def procrastinate_rate(server: str, jobs: int) -> float:
    """Jobs per second of one stock procrastinate worker."""
    async with (
        database(server, migrated=False) as url,
        await AsyncConnection.connect(url, autocommit=True) as watch,
    ):
        app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))

        @app.task(name="noop")
        async def noop() -> None: ...

        async with app.open_async():
            await app.schema_manager.apply_schema_async()
            await noop.batch_defer_async(*({} for _ in range(jobs)))
            await settle(url)
            began = time.perf_counter()
            worker = asyncio.create_task(
                app.run_worker_async(concurrency=10, install_signal_handlers=False, wait=False)
            )
            await worker
            took = time.perf_counter() - began

            async def done(conn: AsyncConnection[object]) -> bool:
                left = "select count(*) from procrastinate_jobs where status <> 'succeeded'"
                return not await one(conn, left)

            await until(watch, done, limit=10)
    return jobs / took
