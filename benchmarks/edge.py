"""Workstations: how soon an order runs there, and what many idle ones cost their server.

A server and one agent as processes of their own; the commands say themselves when they run. Then a
fleet of agents in this process, each with a connection of its own, that have nothing to do.
"""

import asyncio
import json
import os
import random
import sys
import tempfile
import time
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx

from benchmarks import cpu
from benchmarks.latency import ENDED, Figures, column, milliseconds
from benchmarks.processes import publish, serving, spawned, start
from benchmarks.support import database, patiently, postgres
from benchmarks.system import Conn, open_connection
from tests.support.edge_fleet import Fleet, a_fleet, join

NAME, WAIT, QUIET = "bench", 30, 0.1
PATIENCE = 300.0  # seconds until all are connected
DATE = """
name: stamp
tasks:
  - name: only
    run: [/bin/date, +%s%N]
    on: {workstation: bench}
"""
STAMP = """
select convert_from(string_agg(c.data, ''::bytea order by c.start), 'utf8')::bigint / 1e9
  from tasks t join output_chunks c on c.task_id = t.id
 where t.run_id = (select id from runs order by id desc limit 1)
having count(*) > 0
"""


class Agent:
    """A workstation's own program."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder, self.url = folder / "edge", url
        self.environment = {**os.environ, "PROCESSION_EDGE_HOME": str(self.folder)}
        self.ready = 0.0

    async def join(self, token: str) -> None:
        joining = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "scheduler", "edge", "join", self.url, "-"),
            *("--name", NAME, "--allow", "/bin/date"),
            env=self.environment,
            stdin=PIPE,
            stdout=PIPE,
        )
        await joining.communicate(token.encode())
        if joining.returncode:
            raise RuntimeError("the agent could not join")

    def carrier(self, name: str) -> None:
        file = self.folder / "config.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "carrier": name}))

    @asynccontextmanager
    async def running(self, api: httpx.AsyncClient) -> AsyncIterator[Process]:
        begin = time.monotonic()
        async with spawned(self.environment, "-m", "scheduler", "edge", "run") as process:
            await patiently(self.answers, PATIENCE)
            self.ready = time.monotonic() - begin
            await patiently(lambda: is_online(api), PATIENCE)
            yield process

    async def answers(self) -> bool:
        try:
            _, writer = await asyncio.open_unix_connection(self.folder / "control.sock")
        except OSError:
            return False
        writer.close()
        return True


async def is_online(api: httpx.AsyncClient) -> bool:
    answer = await api.get(f"/workstations/{NAME}")
    return bool(answer.raise_for_status().json()["seen"] == "ONLINE")


async def orders(conn: Conn, api: httpx.AsyncClient, count: int) -> tuple[list[float], list[float]]:
    running, done = [], []
    for _ in range(count):
        await asyncio.sleep(QUIET * random.uniform(1.0, 2.0))
        asked = time.time()
        if (state := await start(api, "stamp", wait=WAIT)) != "COMPLETED":
            raise RuntimeError(f"the run is {state} after {WAIT} s")
        began = await stamped(conn)
        (ended,) = await column(conn, ENDED)
        running.append(began - asked)
        done.append(ended - asked)
    return running, done


async def stamped(conn: Conn) -> float:
    """What it printed comes behind its result."""
    async with asyncio.timeout(WAIT):
        while not (found := await column(conn, STAMP)):  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(0.01)
    return found[0]


def resident(pid: int) -> float:
    """MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return round(int(status.split("VmRSS:")[1].split()[0]) / 1024, 1)


async def idle(name: str, pid: int, seconds: float) -> Figures:
    before, begin = cpu.spent(pid), time.monotonic()
    await asyncio.sleep(seconds)
    share = (cpu.spent(pid) - before) / (time.monotonic() - begin)
    return {f"{name}_idle_percent": round(100 * share, 2), f"{name}_resident_mib": resident(pid)}


async def one(conn: Conn, api: httpx.AsyncClient, agent: Agent, options: Any) -> Figures:
    await publish(api, DATE)
    async with agent.running(api) as process:
        await orders(conn, api, 3)  # warms up
        running, done = await orders(conn, api, options.samples)
        figures = {
            "ready_ms": round(1e3 * agent.ready, 1),
            **milliseconds("push_to_running", running),
            **milliseconds("push_to_done", done),
            **await idle("agent", process.pid, options.idle),
        }
    agent.carrier("poll")
    async with agent.running(api):
        running, _ = await orders(conn, api, max(2, options.samples // 10))
    return {**figures, **milliseconds("poll_to_running", running)}


async def many(url: str, token: str, server: int, folder: Path, options: Any) -> Figures:
    joined = await join(url, token, options.agents, folder)
    async with a_fleet(joined) as fleet:
        begin = time.monotonic()
        await patiently(lambda: all_there(fleet), PATIENCE)
        took = time.monotonic() - begin
        await asyncio.sleep(min(15.0, options.idle))  # what their coming has left behind is done
        figures = await idle("server_of_all", server, options.idle)
        return {
            "agents": len(fleet.agents),
            "agents_connected": fleet.connected(),
            "agents_connected_after_s": round(took, 1),
            **figures,
        }


async def all_there(fleet: Fleet) -> bool:
    return fleet.connected() == len(fleet.agents)


def headers(token: str) -> Mapping[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def main(options: Any) -> Figures:
    with tempfile.TemporaryDirectory(prefix="procession-bench-") as name:
        folder = Path(name)
        async with (
            postgres(options.database_url) as postgresql,
            database(postgresql) as dsn,
            await open_connection(dsn) as conn,
            serving(dsn) as (port, server, token),
        ):
            url = f"http://127.0.0.1:{port}"
            async with httpx.AsyncClient(
                base_url=f"{url}/api/v1", headers=headers(token), timeout=60
            ) as api:
                invited = (await api.post("/workstations", json={"name": NAME})).raise_for_status()
                agent = Agent(folder, url)
                await agent.join(invited.json()["token"])
                await asyncio.sleep(min(10.0, options.idle))
                alone = await idle("server_of_none", server, options.idle)
                figures = await one(conn, api, agent, options)
            return {**alone, **figures, **await many(url, token, server, folder, options)}
