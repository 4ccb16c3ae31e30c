"""Actions that do nothing, by one program in each language, through a server of its own process.

All runs are there before the program is. Measured is from the beginning of the first attempt to the
end of the last one, by the database's clock.
"""

import os
import tempfile
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks import cpu
from benchmarks.processes import a_program, serving
from benchmarks.support import database, one, patiently, postgres, settle
from benchmarks.system import Conn, all_final, chain, open_connection, publish, start
from tests.support import languages
from tests.support.languages import Language

TASKS = 10  # of each run, one after another
PATIENCE = 300.0
OF_TYPE = "from attempts a join runs r on r.id = a.run_id where r.type = %s"
TOOK = f"select extract(epoch from max(a.finished_at) - min(a.started_at)) {OF_TYPE}"
DONE = f"select count(*) {OF_TYPE} and a.state = 'SUCCEEDED'"
NOOPS = Path(__file__).parent / "noops"
PROGRAMS = {
    "python": NOOPS / "worker.py",
    "node": NOOPS / "worker.mjs",
    "java": languages.JAVA / "examples" / "Noop.java",
}

Figures = dict[str, Any]


@dataclass(frozen=True, slots=True)
class System:
    conn: Conn
    database: str
    url: str
    server: int
    postmaster: int
    token: str
    admin: str

    def spent(self) -> tuple[float, float]:
        return cpu.spent(self.server), cpu.spent_by_postgres(self.postmaster)


async def main(options: Any) -> Figures:
    figures: Figures = {"actions": options.actions, "slots": options.worker_slots}
    async with a_system(options.database_url) as system:
        for each in languages.languages():
            if each.missing:
                figures[f"{each.name}_skipped"] = each.missing
            else:
                figures |= await rate(system, each, options.actions, options.worker_slots)
    return figures


@asynccontextmanager
async def a_system(given: str | None) -> AsyncIterator[System]:
    async with (
        postgres(given) as found,
        database(found) as url,
        serving(url) as (port, server, admin),
        await open_connection(url) as conn,
    ):
        address = f"http://127.0.0.1:{port}"
        token = await a_token(address, admin)
        yield System(conn, url, address, server, await cpu.postmaster(conn), token, admin)


async def rate(system: System, language: Language, actions: int, slots: int) -> Figures:
    """The type and the action are called like the language."""
    name = language.name
    await publish(system.conn, chain(name, TASKS, f"action: {name}"))
    await start(system.conn, name, actions // TASKS)
    await settle(system.database)
    server, postmaster = system.spent()
    async with working(language, system, slots) as process:
        await patiently(lambda: all_final(system.conn), PATIENCE)
        costs = {"worker": cpu.spent(process.pid)}
    costs["server"], costs["postgres"] = (
        after - before for after, before in zip(system.spent(), (server, postmaster), strict=True)
    )
    done, took = await one(system.conn, DONE, name), await one(system.conn, TOOK, name)
    if done != actions:
        raise RuntimeError(f"{name}: {done} actions were done instead of {actions}")
    return {
        f"{name}_actions_per_s": round(done / float(took)),
        **{f"{name}_{who}_us_per_action": round(cost * 1e6 / done) for who, cost in costs.items()},
    }


@asynccontextmanager
async def working(language: Language, system: System, slots: int) -> AsyncIterator[Process]:
    """The token goes by the environment, where nobody else sees it."""
    with tempfile.TemporaryDirectory(prefix="procession-bench-") as folder:
        program = PROGRAMS[language.name]
        if language.name == "node":
            program = languages.beside_node_packages(program, Path(folder))
        told = {"PROCESSION_URL": system.url, "PROCESSION_TOKEN": system.token}
        command = language.command(program, language.name, str(slots))
        async with a_program({**os.environ, **told}, *command) as process:
            yield process


async def a_token(url: str, admin: str) -> str:
    async with httpx.AsyncClient(base_url=url, trust_env=False) as api:
        answer = await api.post(
            "/api/v1/tokens",
            json={"name": "noops", "role": "worker"},
            headers={"Authorization": f"Bearer {admin}"},
        )
        answer.raise_for_status()
        return str(answer.json()["token"])
