"""A server that is killed again and again under workers that carry actions out."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from websockets.exceptions import InvalidHandshake, WebSocketException

from edge.remote.messages import Ended, Ending, Offer
from scheduler.services.access import Role, create_token
from scheduler.store import connections
from tests.support.builders import Conn, one, publish, start_many
from tests.support.remote_workers import Mate
from tests.support.servers import Server
from tests.support.waiting import patience

if TYPE_CHECKING:
    from tests.support.gateways import Served

pytestmark = pytest.mark.anyio

LONG = bool(os.environ.get("PROCESSION_LONG"))
KILLS, ACTIONS, WORKERS = (30, 6_000, 3) if LONG else (1, 400, 2)
TYPE = """
name: press
tasks:
  - {name: press, action: press}
"""
BROKEN = (OSError, WebSocketException, InvalidHandshake, TimeoutError)
OPEN = "select count(*) from runs where state <> 'COMPLETED'"
DONE = "select count(*) from runs where state = 'COMPLETED'"


@dataclass
class Address:
    """All that a worker has to know of a server."""

    url: str


async def keep_working(mate: Mate) -> None:
    """Whatever becomes of its connection, until it is cancelled."""
    while True:
        with suppress(*BROKEN):
            async with mate.line():
                while not mate.closed:
                    await mate.say(mate.lease(), *ends_of(mate.running.values()))
                    await asyncio.sleep(0.02)
        await asyncio.sleep(0.1)


def ends_of(offers: Iterable[Offer]) -> list[Ended]:
    return [Ended(each.attempt, Ending.SUCCEEDED, each.payload) for each in offers]


@asynccontextmanager
async def working(mates: Sequence[Mate]) -> AsyncIterator[None]:
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(keep_working(mate)) for mate in mates]
        yield
        for task in tasks:
            task.cancel()


async def reaches(conn: Conn, statement: str, count: int) -> None:
    async with asyncio.timeout(patience(120)):
        while True:
            if await one(conn, statement) >= count:
                return
            await asyncio.sleep(0.02)


@pytest.mark.timeout(3600 if LONG else 300)
async def test_a_server_that_is_killed_loses_no_result_and_doubles_none(
    dsn: str, tmp_path: Path
) -> None:
    server = Server(dsn, tmp_path)
    async with await connections.connect(dsn, name="test") as conn:
        token = await create_token(conn, "worker", Role.WORKER)
        await publish(conn, TYPE)
        for _ in range(0, ACTIONS, 200):
            await start_many(conn, "press", 200)
        url = await asyncio.to_thread(server.start)
        mates = [
            Mate(cast("Served", Address(url)), token, ["press"], name=f"mate-{number}", slots=3)
            for number in range(WORKERS)
        ]
        try:
            async with working(mates):
                for kill in range(KILLS):
                    await reaches(conn, DONE, (kill + 1) * ACTIONS // (KILLS + 2))
                    await asyncio.to_thread(server.kill)
                    await asyncio.to_thread(server.start)
                await reaches(conn, DONE, ACTIONS)
        finally:
            await asyncio.to_thread(server.kill)
        tried = "select count(*) from attempts where state = 'SUCCEEDED'"
        assert await one(conn, tried) == ACTIONS
        assert await one(conn, tried.replace("*", "distinct task_id")) == ACTIONS
        assert await one(conn, OPEN) == 0
