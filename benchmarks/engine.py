"""Runs of no-op tasks, everything recorded, against two queues' no-op jobs in the same run.

A task here is more than a job there: states of run and task, an attempt, history, counters and
successors are written for each. Both contenders find their work already queued.
"""

from typing import Any

from benchmarks import peers
from benchmarks.plain import engine_rate
from benchmarks.support import postgres


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
