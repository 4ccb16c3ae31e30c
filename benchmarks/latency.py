"""How soon things happen on an idle system, and what it costs to be idle.

A server and a worker as processes of their own. The commands themselves say when they run: `date`
prints the clock, its own start included. Each start waits for a quiet moment before it.
"""

import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from typing import Any, LiteralString

from benchmarks import cpu
from benchmarks.processes import System, publish, start, system
from benchmarks.support import database, postgres
from benchmarks.system import Conn, chain, open_connection

STAMP = "run: [/bin/date, +%s%N]"
QUIET = 0.1  # seconds before each start, so that no pause of the one before is still running
WAIT = 30

# When each task of the newest run began, by its own word, and when all was recorded.
STAMPS: LiteralString = """
select convert_from(string_agg(c.data, ''::bytea order by c.start), 'utf8')::bigint / 1e9 as began
  from tasks t join output_chunks c on c.task_id = t.id
 where t.run_id = (select id from runs order by id desc limit 1)
 group by t.position order by t.position
"""
FINISHED: LiteralString = """
select extract(epoch from t.finished_at)::float8 from tasks t
 where t.run_id = (select id from runs order by id desc limit 1) order by t.position
"""
ENDED: LiteralString = """
select extract(epoch from finished_at)::float8 from runs order by id desc limit 1
"""

Figures = dict[str, float]


async def one_start(api: Any, name: str) -> float:
    """The moment at which the request was sent; the run is over when this returns."""
    await asyncio.sleep(QUIET * random.uniform(1.0, 2.0))
    asked = time.time()
    if (state := await start(api, name, wait=WAIT)) != "COMPLETED":
        raise RuntimeError(f"{name} is {state} after {WAIT} s")
    return asked


async def column(conn: Conn, statement: LiteralString) -> list[float]:
    cursor = await conn.execute(statement)
    return [float(row[0]) for row in await cursor.fetchall()]


async def commands(conn: Conn, api: Any, count: int) -> tuple[list[float], ...]:
    running, following, done = [], [], []
    for _ in range(count):
        asked = await one_start(api, "stamps")
        first, second = await column(conn, STAMPS)
        (ended,) = await column(conn, ENDED)
        running.append(first - asked)
        following.append(second - first)
        done.append(ended - asked)
    return running, following, done


async def noops(conn: Conn, api: Any, count: int) -> list[float]:
    following = []
    for _ in range(count):
        await one_start(api, "noops")
        first, second = await column(conn, FINISHED)
        following.append(second - first)
    return following


async def idle(processes: dict[str, int], seconds: float) -> Figures:
    before = {name: cpu.spent(pid) for name, pid in processes.items()}
    await asyncio.sleep(seconds)
    return {
        f"{name}_idle_percent": round(100 * (cpu.spent(pid) - before[name]) / seconds, 2)
        for name, pid in processes.items()
    }


def milliseconds(name: str, values: Sequence[float]) -> Figures:
    hundredths = statistics.quantiles(values, n=100, method="inclusive")
    return {
        f"{name}_ms_p50": round(1e3 * hundredths[49], 2),
        f"{name}_ms_p99": round(1e3 * hundredths[98], 2),
    }


async def measure(conn: Conn, ours: System, options: Any) -> Figures:
    await publish(ours.api, chain("stamps", 2, STAMP))
    await publish(ours.api, chain("noops", 2))
    await commands(conn, ours.api, 3)  # warms up
    running, following, done = await commands(conn, ours.api, options.samples)
    noop = await noops(conn, ours.api, options.samples)
    processes = {"server": ours.server, "worker": ours.worker, "runner": ours.runner}
    return {
        **milliseconds("start_to_running", running),
        **milliseconds("command_to_next", following),
        **milliseconds("noop_to_next", noop),
        **milliseconds("start_to_done", done),
        **await idle(processes, options.idle),
    }


async def main(options: Any) -> Figures:
    async with (
        postgres(options.database_url) as server,
        database(server) as url,
        await open_connection(url) as conn,
        system(url) as ours,
    ):
        return await measure(conn, ours, options)
