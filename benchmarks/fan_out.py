"""A task with `for_each` over many no-ops, beside as many no-ops in chains, in the same run.

The clock of the fan-out runs from the request to start until the task after it is done; the
chains, carried out before and after it, are queued already. The resident memory is that of the
process which does all of it.
"""

import resource
import time
from pathlib import Path
from typing import Any

from benchmarks.plain import engine_rate
from benchmarks.support import database, one, postgres, settle, until
from benchmarks.system import all_final, open_connection, publish, working
from scheduler.services import runs
from scheduler.services.catalog import Catalog
from scheduler.services.runs import Order

FAN_OUT = """
name: fan-out
input: {type: object}
tasks:
  - name: each
    noop: true
    for_each: ${{ input.items }}
  - name: after
    noop: true
"""
ROUNDS = 3
MIB = 1 << 20


async def fan_out(url: str, items: int) -> tuple[list[float], list[float]]:
    """Items per second, and the resident memory after it, of each of some rounds."""
    rates, resident = [], []
    async with await open_connection(url) as conn, working(url):
        await publish(conn, FAN_OUT)
        order = Order(type="fan-out", input={"items": [*range(items)]}, by="benchmark")
        for number in range(ROUNDS):
            await settle(url)
            began = time.perf_counter()
            await runs.start(conn, Catalog(), order)
            await until(conn, all_final)
            rates.append(items / (time.perf_counter() - began))
            resident.append(resident_mib())
            await check(conn, items, number + 1)
    return rates, resident


async def check(conn: Any, items: int, rounds: int) -> None:
    """Every item was done once, and the next task had its turn."""
    expected = {
        "select count(*) from runs where state = 'COMPLETED'": rounds,
        "select count(*) from tasks where state = 'COMPLETED'": rounds * (items + 2),
        "select count(*) from attempts where state = 'SUCCEEDED'": rounds * (items + 1),
        "select min(jsonb_array_length(output)) from tasks where name = 'each'": items,
    }
    for statement, count in expected.items():
        if (found := await one(conn, statement)) != count:
            raise RuntimeError(f"{statement}: {found} instead of {count}")


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / MIB


async def main(options: Any) -> dict[str, float]:
    async with postgres(options.database_url) as server:
        await engine_rate(server, 200, 10)  # warms the server up
        plain = await engine_rate(server, max(1, options.items // 10), 10)
        async with database(server) as url:
            rates, resident = await fan_out(url, options.items)
        again = await engine_rate(server, max(1, options.items // 10), 10)
    typical, engine = sorted(rates)[len(rates) // 2], (plain + again) / 2
    return {
        "engine_tasks_per_s_before": round(plain),
        "engine_tasks_per_s_after": round(again),
        **{f"fan_out_items_per_s_{n}": round(rate) for n, rate in enumerate(rates, 1)},
        **{f"resident_mib_after_{n}": round(mib, 1) for n, mib in enumerate(resident, 1)},
        "ratio": round(typical / engine, 2),
    }
