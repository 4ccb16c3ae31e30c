"""The engine by itself: runs of no-op tasks, all of them there before anybody works."""

import time
from typing import Any

from benchmarks.support import database, one, settle, until
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
