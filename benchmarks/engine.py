"""Runs of no-op tasks, everything recorded, against two queues' no-op jobs in the same run.

A task here is more than a job there: states of run and task, an attempt, history, counters and
successors are written for each. Both contenders find their work already queued.
"""

import time
from typing import Any

from benchmarks import peers
from benchmarks.support import database, one, postgres, settle, until
from benchmarks.system import all_final, chain, open_connection, publish, start, working


async def engine_rate(server: str, runs: int, tasks: int) -> float:
    async with database(server) as url, await open_connection(url) as conn:
        await publish(conn, chain("noops", tasks))
        await start(conn, "noops", runs)
        await settle(url)
        began = time.perf_counter()
        async with working(url):
            await until(conn, all_final)
            took = time.perf_counter() - began
        await check(conn, runs, tasks)
    return runs * tasks / took


async def check(conn: Any, runs: int, tasks: int) -> None:
    """Everything was done once, and said so everywhere."""
    expected = {
        "select count(*) from runs where state = 'COMPLETED'": runs,
        "select count(*) from tasks where state = 'COMPLETED'": runs * tasks,
        "select count(*) from attempts where state = 'SUCCEEDED'": runs * tasks,
        "select count(*) from history": runs * (tasks + 2),
    }
    for statement, count in expected.items():
        if (found := await one(conn, statement)) != count:
            raise RuntimeError(f"{statement}: {found} instead of {count}")


async def main(options: Any) -> dict[str, float]:
    jobs = options.runs * options.tasks
    async with postgres(options.database_url) as server:
        await engine_rate(server, 200, options.tasks)  # warms the server up
        rates = {
            "engine_tasks_per_s": await engine_rate(server, options.runs, options.tasks),
            "pgqueuer_jobs_per_s": await peers.pgqueuer_rate(server, jobs),
            "pgqueuer_batch_250_jobs_per_s": await peers.pgqueuer_rate(server, jobs, batch=250),
            "procrastinate_jobs_per_s": await peers.procrastinate_rate(server, min(jobs, 2000)),
        }
    engine = rates["engine_tasks_per_s"]
    return {
        **{name: round(rate) for name, rate in rates.items()},
        "engine_to_pgqueuer": round(engine / rates["pgqueuer_jobs_per_s"], 2),
        "engine_to_pgqueuer_batch_250": round(engine / rates["pgqueuer_batch_250_jobs_per_s"], 2),
        "engine_to_procrastinate": round(engine / rates["procrastinate_jobs_per_s"], 2),
    }
