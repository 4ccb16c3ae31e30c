"""The same workflow for DBOS, taken from a queue, until the program is told to end.

With the arguments `latency N` it starts N of them itself, one after another, and prints how long
each took in milliseconds. Where the database is comes from the environment.
"""

import asyncio
import json
import os
import signal
import sys
import time

from dbos import DBOS, DBOSConfig

STEPS = 10
DATABASE = "BENCH_DATABASE_URL"


@DBOS.step()
async def add_one(number: int) -> int:
    return number + 1


@DBOS.workflow(name="ten")
async def ten() -> int:
    number = 0
    for _ in range(STEPS):
        number = await add_one(number)
    return number


async def latencies(samples: int) -> list[float]:
    found = []
    for _ in range(samples):
        began = time.perf_counter()
        handle = await DBOS.start_workflow_async(ten)
        await handle.get_result()
        found.append((time.perf_counter() - began) * 1e3)
    return found


async def main() -> None:
    config: DBOSConfig = {
        "name": "bench",
        "system_database_url": os.environ[DATABASE],
        "log_level": "ERROR",
    }
    DBOS(config=config)
    DBOS.launch()
    await DBOS.register_queue_async("bench")
    if sys.argv[1:2] == ["latency"]:
        print(json.dumps(await latencies(int(sys.argv[2]))), flush=True)
    else:
        over = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGINT, over.set)
        await over.wait()
    DBOS.destroy()


if __name__ == "__main__":
    asyncio.run(main())
