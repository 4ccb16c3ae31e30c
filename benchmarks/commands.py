"""Commands through the whole system, beside the same program under `xargs -P2`.

Runs of one `true` each wait in a paused queue; the clock runs from the moment it is resumed until
every run is COMPLETED: spawned by the runner, output captured, exit code and history committed.
"""

import asyncio
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from benchmarks import cpu
from benchmarks.support import database, one, patiently, postgres, settle, until
from benchmarks.system import Conn, all_final, open_connection, publish, start, working
from executor.link import ensure_runner
from scheduler.hands import RunnerHands
from scheduler.services import queues

PROGRAM = "/bin/true"
DEFINITION = f"name: command\ntasks:\n  - name: only\n    run: [{PROGRAM}]\n"
ROUNDS = 3
PATIENCE = 30.0

Figures = dict[str, float]


async def xargs_rate(count: int) -> float:
    """Commands per second of two of them at a time, with nothing recorded."""
    began = time.perf_counter()
    shell = await asyncio.create_subprocess_shell(f"seq {count} | xargs -P2 -n1 {PROGRAM}")
    if await shell.wait():
        raise RuntimeError(f"xargs ended with {shell.returncode}")
    return count / (time.perf_counter() - began)


@asynccontextmanager
async def hands(slots: int) -> AsyncIterator[RunnerHands]:
    """A runner that is up before the worker is, and gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="procession-spool-") as folder:
        await ensure_runner(Path(folder), slots=slots, idle_exit=1.0)
        ours = RunnerHands(Path(folder), slots=slots)
        yield ours
        await ours.close()


async def system_rate(server: str, count: int, slots: int) -> Figures:
    async with (
        database(server) as url,
        await open_connection(url) as conn,
        hands(slots) as ours,
    ):
        await publish(conn, DEFINITION)
        await queues.pause(conn, "default", note=None, by="benchmark")
        await start(conn, "command", count)
        await settle(url)
        async with working(url, ours, slots=slots):
            await patiently(lambda: is_open(ours), PATIENCE)
            figures = await measure(conn, ours, count)
        await check(conn, count)
    return figures


async def measure(conn: Conn, ours: RunnerHands, count: int) -> Figures:
    runner, postmaster = ours.link.hello.pid, await cpu.postmaster(conn)

    def spent() -> Figures:
        return {
            "runner": cpu.spent(runner),
            "commands": cpu.spent_by_dead_children(runner),
            "worker": time.process_time(),
            "postgres": cpu.spent_by_postgres(postmaster),
        }

    before, began = spent(), time.perf_counter()
    await queues.resume(conn, "default", by="benchmark")
    await until(conn, all_final)
    took, after = time.perf_counter() - began, spent()
    costs = {f"{who}_cpu_us": 1e6 * (after[who] - before[who]) / count for who in after}
    return {"commands_per_s": count / took, **costs}


async def is_open(ours: RunnerHands) -> bool:
    """Whether worker and runner have met."""
    try:
        return ours.link.hello.pid > 0
    except RuntimeError:
        return False


async def check(conn: Conn, count: int) -> None:
    done = "select count(*) from attempts where state = 'SUCCEEDED' and exit_code = 0"
    if (found := await one(conn, done)) != count:
        raise RuntimeError(f"{found} commands were recorded instead of {count}")


async def main(options: Any) -> Figures:
    rounds: list[Figures] = []
    async with postgres(options.database_url) as server:
        await system_rate(server, min(options.count, 300), options.slots)  # warms the server up
        for _ in range(ROUNDS):
            before = await xargs_rate(options.count)
            ours = await system_rate(server, options.count, options.slots)
            ours["xargs_per_s"] = (before + await xargs_rate(options.count)) / 2
            ours["ratio"] = ours["commands_per_s"] / ours["xargs_per_s"]
            rounds.append(ours)
    return summary(rounds)


def summary(rounds: list[Figures]) -> Figures:
    """The median of the rounds, and how far the ratio strayed."""
    middle = {name: statistics.median(each[name] for each in rounds) for name in rounds[0]}
    ratios = [each["ratio"] for each in rounds]
    rounded = {name: round(value) for name, value in middle.items() if name != "ratio"}
    return {
        **rounded,
        "ratio": round(middle["ratio"], 2),
        "ratio_lowest": round(min(ratios), 2),
        "ratio_highest": round(max(ratios), 2),
    }
