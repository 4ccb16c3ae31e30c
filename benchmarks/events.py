"""Events through triggers: stored in batches, routed by as many loops as asked, each start once."""

import argparse
import asyncio
import time
from typing import Any

from benchmarks.support import database, one, postgres, settle
from benchmarks.system import Conn, open_connection, publish
from scheduler.domain.events import NewEvent
from scheduler.domain.trigger_reading import read_trigger
from scheduler.loops.router import Router
from scheduler.services import events, triggers
from scheduler.services.catalog import Catalog
from scheduler.store import connections
from scheduler.store.schedules import Target

TRIGGERS = 20
AT_ONCE = 1_000
ROUTERS = 2


async def main(chosen: argparse.Namespace) -> dict[str, Any]:
    async with postgres(chosen.database_url) as server, database(server) as url:
        return await measure(url, chosen.events)


async def measure(url: str, count: int) -> dict[str, Any]:
    async with await open_connection(url) as conn:
        await prepare(conn)
        stored = await timed(store(conn, count))
        await settle(url)
        routed = await timed(route(url))
        runs = await one(conn, "select count(*) from runs")
        decisions = await one(conn, "select count(*) from trigger_decisions")
        twice = await one(conn, "select count(*) - count(distinct run_id) from trigger_decisions")
    return {
        "events": count,
        "triggers": TRIGGERS,
        "routers": ROUTERS,
        "stored_per_s": round(count / stored),
        "routed_per_s": round(count / routed),
        "runs": runs,
        "decisions": decisions,
        "run_by_several": twice,
    }


async def prepare(conn: Conn) -> None:
    """Each event is wanted by one of the triggers, which are of four kinds."""
    await publish(conn, "name: started\ntasks: [{name: it, noop: true}]\n")
    for number in range(TRIGGERS):
        await triggers.create(conn, Target(type="started"), spec_of(number), by="benchmark")


def spec_of(number: int) -> Any:
    document: dict[str, Any] = {
        "name": f"t{number}",
        "event": f"bench.t{number}.*",
        "input": {"n": "${{ event.data.n }}"},
    }
    if number % 4 == 1:
        document["when"] = "${{ event.data.n >= 0 }}"
    if number % 4 == 2:
        document["dedup"] = {"key": "${{ event.id }}", "window": "1h"}
    if number % 4 == 3:
        document["event"] = [f"bench.t{number}.**"]
    return read_trigger(document)


async def store(conn: Conn, count: int) -> None:
    for begin in range(0, count, AT_ONCE):
        new = [event(number) for number in range(begin, min(begin + AT_ONCE, count))]
        await events.receive(conn, new, by="benchmark")


def event(number: int) -> NewEvent:
    type = f"bench.t{number % TRIGGERS}.done"
    return NewEvent(source="bench", id=str(number), type=type, data={"n": number})


async def route(url: str) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(ROUTERS):
            group.create_task(drain(url))


async def drain(url: str) -> None:
    async with await connections.connect(url, name="benchmark", engine=True) as conn:
        router = Router(Catalog())
        while await router.tick(conn):
            pass


async def timed(work: Any) -> float:
    began = time.perf_counter()
    await work
    return time.perf_counter() - began
