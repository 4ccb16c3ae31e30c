"""The engine as the benchmarks use it: real services, a real worker, no server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from benchmarks.support import one
from scheduler.domain.process_types import parse
from scheduler.hands import Hands, NoHands
from scheduler.services import definitions, runs
from scheduler.services.catalog import Catalog
from scheduler.services.runs import Order
from scheduler.settings import WorkerSettings
from scheduler.store import connections
from scheduler.worker import Worker, identity_of

Conn = AsyncConnection[Any]


def chain(name: str, tasks: int, kind: str = "noop: true") -> str:
    """A definition of tasks that follow each other."""
    lines = [f"  - name: t{i}\n    {kind}" for i in range(tasks)]
    return f"name: {name}\ntasks:\n" + "\n".join(lines) + "\n"


async def publish(conn: Conn, text: str) -> None:
    await definitions.publish(conn, parse(text), by="benchmark")


async def start(conn: Conn, name: str, count: int) -> list[UUID]:
    ids: list[UUID] = []
    order = Order(type=name, input={}, by="benchmark")
    for begin in range(0, count, 1000):
        inputs: list[dict[str, Any]] = [{} for _ in range(min(1000, count - begin))]
        ids += await runs.start_many(conn, Catalog(), order, inputs)
    return ids


@asynccontextmanager
async def working(
    url: str, hands: Hands | None = None, *, name: str = "bench", slots: int = 8
) -> AsyncIterator[Worker]:
    settings = WorkerSettings(name=name, slots=slots)
    identity = identity_of(name, host="bench", version="0", settings=settings)
    worker, stop = Worker(url, settings, identity, hands or NoHands()), asyncio.Event()
    life = asyncio.create_task(worker.run(stop))
    try:
        yield worker
    finally:
        stop.set()
        await life


async def all_final(conn: Conn) -> bool:
    return not await one(conn, "select count(*) from runs where open > 0")


async def open_connection(url: str) -> Conn:
    return await connections.connect(url, name="benchmark")
