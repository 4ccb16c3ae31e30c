"""Workflows of ten steps that do nothing, against DBOS: steps a second, their cost, and how soon
one is over.

All runs are there before the program is. Measured is from the beginning of the first to the end of
the last one, by the database. Ours go over HTTP to a server of its own process; the peer's program
has the database to itself.
"""

import json
import os
import statistics
import sys
import time
from asyncio.subprocess import PIPE, Process, create_subprocess_exec
from pathlib import Path
from typing import Any

from dbos import DBOSClient, EnqueueOptions
from psycopg import AsyncConnection

from benchmarks import cpu
from benchmarks.api import run, url_of
from benchmarks.processes import spawned
from benchmarks.support import database, one, patiently, postgres, settle
from benchmarks.system import all_final, publish, start
from benchmarks.workers import System, a_system
from procession import AsyncClient

STEPS = 10
NOOPS = Path(__file__).parent / "noops"
PATIENCE = 300.0
TYPE = "name: ten\ntasks: [{name: ten, workflow: ten}]\n"
TOOK = "select extract(epoch from max(finished_at) - min(started_at)) from runs where type = 'ten'"
KEPT = "select count(*) from tasks where kind = 'step' and state = 'COMPLETED'"
PEER_TOOK = "select (max(updated_at) - min(started_at_epoch_ms)) / 1e3 from dbos.workflow_status"
PEER_LEFT = "select count(*) from dbos.workflow_status where status <> 'SUCCESS'"
PEER_KEPT = "select count(*) from dbos.operation_outputs"

Figures = dict[str, Any]


async def main(options: Any) -> Figures:
    figures: Figures = {"workflows": options.workflows, "steps": STEPS}
    async with postgres(options.database_url) as server:
        async with a_system(server) as system:
            ours = await rate(system, options.workflows, options.worker_slots)
            ours |= await latency(system, options.samples)
        peers = await peer_rate(server, options.workflows)
        peers |= await peer_latency(server, options.samples)
    times = round(ours["steps_per_s"] / peers["steps_per_s"], 1)
    return figures | named("procession", ours) | named("dbos", peers) | {"times": times}


def named(name: str, figures: Figures) -> Figures:
    return {f"{name}_{key}": value for key, value in figures.items()}


def program(system: System, slots: int) -> Any:
    env = {**os.environ, "PROCESSION_URL": system.url, "PROCESSION_TOKEN": system.token}
    return spawned(env, str(NOOPS / "workflows.py"), str(slots))


async def rate(system: System, workflows: int, slots: int) -> Figures:
    await publish(system.conn, TYPE)
    await start(system.conn, "ten", workflows)
    await settle(system.database)
    before = system.spent()
    async with program(system, slots) as process:
        await patiently(lambda: all_final(system.conn), PATIENCE)
        costs = {"program": cpu.spent(process.pid)}
    server, postmaster = (a - b for a, b in zip(system.spent(), before, strict=True))
    costs |= {"server": server, "postgres": postmaster}
    took, kept = await one(system.conn, TOOK), await one(system.conn, KEPT)
    return rated(kept, workflows, float(took), costs)


def rated(kept: int, workflows: int, took: float, costs: dict[str, float]) -> Figures:
    if kept != workflows * STEPS:
        raise RuntimeError(f"{kept} steps were kept instead of {workflows * STEPS}")
    figures: Figures = {"steps_per_s": round(kept / took)}
    figures |= {f"{who}_us_per_step": round(cost * 1e6 / kept) for who, cost in costs.items()}
    return figures | {"us_per_step": round(sum(costs.values()) * 1e6 / kept)}


async def latency(system: System, samples: int) -> Figures:
    """From the request to the answer that the run is over; the second half counts."""
    found = []
    async with program(system, 16), AsyncClient(system.url, system.admin) as client:
        for _ in range(2 * samples):
            began = time.perf_counter()
            await client.output(await client.start("ten"))
            found.append((time.perf_counter() - began) * 1e3)
    return spread(found)


def spread(found: list[float]) -> Figures:
    warm = found[len(found) // 2 :]
    return {
        "latency_p50_ms": round(statistics.median(warm), 1),
        "latency_max_ms": round(max(warm), 1),
    }


async def peer_rate(server: str, workflows: int) -> Figures:
    async with (
        database(server, migrated=False) as url,
        await AsyncConnection.connect(url, autocommit=True) as conn,
    ):
        await migrate_peer(url)
        client = DBOSClient(system_database_url=url_of(url))
        wish: EnqueueOptions = {"queue_name": "bench", "workflow_name": "ten"}
        for _ in range(workflows):
            await client.enqueue_async(wish)
        client.destroy()
        await settle(url)
        postmaster = await cpu.postmaster(conn)
        before = cpu.spent_by_postgres(postmaster)
        async with spawned(peer_environment(url), str(NOOPS / "dbos_workflows.py")) as process:
            await patiently(lambda: peer_is_done(conn, process), PATIENCE)
            costs = {"program": cpu.spent(process.pid)}
        costs["postgres"] = cpu.spent_by_postgres(postmaster) - before
        took, kept = await one(conn, PEER_TOOK), await one(conn, PEER_KEPT)
        return rated(kept, workflows, float(took), costs)


async def peer_is_done(conn: Any, process: Process) -> bool:
    if process.returncode is not None:
        raise RuntimeError("the peer's program ended before its workflows did")
    return not await one(conn, PEER_LEFT)


async def peer_latency(server: str, samples: int) -> Figures:
    async with database(server, migrated=False) as url:
        await migrate_peer(url)
        argv = [sys.executable, str(NOOPS / "dbos_workflows.py"), "latency", str(2 * samples)]
        process = await create_subprocess_exec(*argv, env=peer_environment(url), stdout=PIPE)
        told, _ = await process.communicate()
    return spread(json.loads(told))


def peer_environment(url: str) -> dict[str, str]:
    return {**os.environ, "BENCH_DATABASE_URL": url_of(url)}


async def migrate_peer(url: str) -> None:
    await run(Path(sys.executable).with_name("dbos"), "migrate", "--sys-db-url", url_of(url))
