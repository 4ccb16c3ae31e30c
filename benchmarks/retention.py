"""What claims cost while retention removes a million finished runs, beside what they cost before.

The same claimer, at the same pace, for as long as retention removes, which it does as its chore
does: in small transactions with pauses. `--scale` says how much of the million.
"""

import asyncio
import statistics
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from benchmarks.claim import PER_RUN, Claimer, Rows, claimer, fill
from benchmarks.support import database, postgres
from scheduler.services import retention
from scheduler.services.retention import Rule
from scheduler.store import connections

RUNS = 1_000_000
FEWEST = 1000
LIMIT = 10  # tasks of a claim
PACE = 0.05  # seconds between claims
BEFORE = 300  # claims
MOST = 12_000


async def claims(ours: Claimer, until: asyncio.Task[int] | None, most: int) -> list[float]:
    took: list[float] = []
    while len(took) < most and (until is None or not until.done()):
        took.append(await ours.claim(LIMIT))
        await asyncio.sleep(PACE)
    return took


def p99(took: Sequence[float]) -> float:
    return sorted(took)[max(0, int(len(took) * 0.99) - 1)]


async def removal(url: str) -> int:
    rule = Rule(state="COMPLETED", keep_for=timedelta(0))
    async with await connections.connect(url, name="bench retention") as conn:
        return await retention.prune(conn, rule, asyncio.sleep)


async def main(options: Any) -> dict[str, float]:
    runs = max(FEWEST, int(RUNS * options.scale))
    most = max(BEFORE, int(MOST * options.scale))
    ready = LIMIT * (BEFORE + most + 10)
    async with postgres(options.database_url) as server, database(server) as url:
        await fill(url, Rows(runs * PER_RUN, 0, ready, "arrival"))
        async with await connections.connect(url, name="bench", engine=True) as conn:
            ours = await claimer(conn)
            await claims(ours, None, 10)
            before = await claims(ours, None, BEFORE)
            began = time.perf_counter()
            removing = asyncio.create_task(removal(url))
            during = await claims(ours, removing, most)
            removed = await removing
            seconds = time.perf_counter() - began
    return {
        "retention_runs_removed": removed,
        "retention_runs_per_s": round(removed / seconds, 1),
        "claim_p99_ms_before": round(1e3 * p99(before), 2),
        "claim_p99_ms_during": round(1e3 * p99(during), 2),
        "claim_ms_before": round(1e3 * statistics.median(before), 2),
        "claim_ms_during": round(1e3 * statistics.median(during), 2),
        "claims_before": len(before),
        "claims_during": len(during),
        "seconds": round(seconds, 1),
        "ratio": round(p99(during) / p99(before), 2),
    }
