"""What the API carries: starts per second over connections that stay open, beside an enqueue in
DBOS through FastAPI, and lists of runs over a million of them.

One server as a process of its own, no worker: the starts alone. The clients are a process of
their own too, and what they cost is told, because they have the same two cores.
"""

import asyncio
import os
import statistics
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import quote

import httpx
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict

from benchmarks import cpu, dbos_peer, load, seeds
from benchmarks.load import NUMBER, Load
from benchmarks.processes import free_port, serving, spawned
from benchmarks.support import database, one, patiently, postgres, settle
from benchmarks.system import Conn, chain, open_connection, publish

CONNECTIONS = (1, 8, 32, 64)
ROUNDS = 2
WARM = 1.0
PATIENCE = 30.0
TYPE = "started"

Figures = dict[str, float]


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, and whose CPU they cost."""

    port: int
    server: int
    postmaster: int
    token: str | None = None

    async def under(self, requests: Sequence[str], connections: int, seconds: float) -> Figures:
        """Rate, latency and costs of requests that all have to succeed."""
        asked = Load(
            host="127.0.0.1",
            port=self.port,
            requests=requests,
            connections=connections,
            seconds=seconds,
        )
        before = self.spent()
        told = await load.apply(asked)
        after, count = self.spent(), len(told["took"])
        if failed := {status: n for status, n in told["statuses"].items() if status[0] != "2"}:
            raise RuntimeError(f"answers that are not successes: {failed}")
        costs = {f"{who}_cpu_us": 1e6 * (after[who] - before[who]) / count for who in after}
        return {
            "count": count,
            "per_s": count / told["seconds"],
            **percentiles(told["took"]),
            **costs,
            "client_cpu_us": 1e6 * told["cpu"] / count,
        }

    def spent(self) -> Figures:
        return {
            "server": cpu.spent(self.server),
            "postgres": cpu.spent_by_postgres(self.postmaster),
        }


def percentiles(took: Sequence[float]) -> Figures:
    enough = took if len(took) > 1 else [*took, *took]
    hundredths = statistics.quantiles(enough, n=100, method="inclusive")
    return {f"ms_p{part}": 1e3 * hundredths[part - 1] for part in (50, 95, 99)}


@asynccontextmanager
async def ours(url: str, conn: Conn) -> AsyncIterator[Target]:
    async with serving(url) as (port, pid, token):
        yield Target(port, pid, await cpu.postmaster(conn), token)


@asynccontextmanager
async def dbos(url: str, conn: Conn) -> AsyncIterator[Target]:
    """The peer's tables made by its own program, and its server: uvicorn, one process."""
    address = url_of(url)
    await run(Path(sys.executable).with_name("dbos"), "migrate", "--sys-db-url", address)
    port = free_port()
    arguments = ["uvicorn", "benchmarks.dbos_peer:create_app", "--factory"]
    more = ["--port", str(port), "--no-access-log", "--log-level", "warning"]
    env = {**os.environ, dbos_peer.DATABASE: address}
    async with spawned(env, "-m", *arguments, *more) as server:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            await patiently(lambda: answers(client), PATIENCE)
        yield Target(port, server.pid, await cpu.postmaster(conn))


async def answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/openapi.json")).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


async def run(*command: str | Path) -> None:
    """A program to its end; what it has to say is shown if it fails."""
    process = await asyncio.create_subprocess_exec(
        *command,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(said.decode())


def url_of(conninfo: str) -> str:
    """The same place as a URL. It names the file of the password, and no password."""
    given = conninfo_to_dict(conninfo)
    user, name = given.pop("user"), given.pop("dbname")
    return f"postgresql://{user}@/{name}?" + "&".join(
        f"{key}={quote(str(value), safe='')}" for key, value in given.items()
    )


async def starts(server: str, options: Any) -> Figures:
    """Starts with each number of connections, plain and with keys; the median of the rounds."""
    async with database(server) as url, await open_connection(url) as conn:
        await publish(conn, chain(TYPE, 2))
        async with ours(url, conn) as target:
            wish = {"type": TYPE, "input": {}}
            plain = load.request("POST", "/api/v1/runs", token=target.token, body=wish)
            keyed = load.request(
                "POST",
                "/api/v1/runs",
                token=target.token,
                body=wish,
                **{"Idempotency-Key": f"key-{NUMBER}"},
            )
            await target.under([plain], 8, WARM)
            found = await rounds(target, plain, CONNECTIONS, options.seconds, "start")
            found |= await rounds(target, keyed, (32,), options.seconds, "keyed_start")
            await check(conn, "select count(*) from runs", answered=found.pop("answered"))
    return found


async def enqueues(server: str, options: Any) -> Figures:
    async with (
        database(server, migrated=False) as url,
        await AsyncConnection.connect(url, autocommit=True) as conn,
        dbos(url, conn) as target,
    ):
        wish = load.request("POST", "/runs", body={"type": TYPE, "input": {}})
        await target.under([wish], 8, WARM)
        found = await rounds(target, wish, CONNECTIONS, options.seconds, "dbos")
        count = "select count(*) from dbos.workflow_status"
        await check(conn, count, answered=found.pop("answered"))
    return found


async def rounds(
    target: Target, request: str, numbers: Sequence[int], seconds: float, name: str
) -> Figures:
    seen: dict[int, list[Figures]] = {number: [] for number in numbers}
    for _ in range(ROUNDS):
        for number in numbers:
            seen[number].append(await target.under([request], number, seconds))
    told: Figures = {"answered": sum(each["count"] for all in seen.values() for each in all)}
    for number, figures in seen.items():
        told |= told_of(f"{name}_{number}", figures)
    return told


def told_of(name: str, seen: Sequence[Figures]) -> Figures:
    """The median of the rounds, and the rate of each."""
    middle = {key: statistics.median(each[key] for each in seen) for key in seen[0]}
    rates = {f"{name}_per_s_round_{n}": round(each["per_s"]) for n, each in enumerate(seen, 1)}
    return {
        f"{name}_per_s": round(middle["per_s"]),
        **rates,
        **{f"{name}_{key}": round(middle[key], 2) for key in ("ms_p50", "ms_p99")},
        **{f"{name}_{key}": round(middle[key]) for key in middle if key.endswith("_us")},
    }


async def check(conn: Conn, count: LiteralString, *, answered: float) -> None:
    """Whatever was acknowledged is there."""
    if (found := await one(conn, count)) < answered:
        raise RuntimeError(f"{found} are stored of {answered} that were acknowledged")


async def lists(server: str, options: Any) -> Figures:
    count = int(seeds.RUNS * options.scale)
    async with database(server) as url, await open_connection(url) as conn:
        await seeds.fill(url, conn, count)
        await settle(url)
        async with ours(url, conn) as target:
            return {"list_runs": count, **await pages(target, seeds.pages(count), options)}


async def pages(target: Target, paths: Mapping[str, str], options: Any) -> Figures:
    """Each page asked for over one connection, one at a time."""
    told: Figures = {}
    for name, path in paths.items():
        asked = load.request("GET", f"/api/v1{path}", token=target.token)
        await target.under([asked], 1, options.seconds / 10)
        seen = await target.under([asked], 1, options.seconds / 2)
        told |= {f"list_{name}_{key}": round(seen[key], 2) for key in ("ms_p50", "ms_p95")}
    worst = max(value for name, value in told.items() if name.endswith("p95"))
    return {**told, "list_worst_ms_p95": worst}


async def main(options: Any) -> Figures:
    async with postgres(options.database_url) as server:
        figures = {**await starts(server, options), **await enqueues(server, options)}
        figures |= await lists(server, options)
    return {**figures, **ratios(figures)}


def ratios(figures: Figures) -> Figures:
    """With each number of connections, and the best of ours to the best of theirs."""
    names = [f"{number}_per_s" for number in CONNECTIONS]
    ours, theirs = ([figures[f"{who}_{name}"] for name in names] for who in ("start", "dbos"))
    each = {
        f"start_to_dbos_{number}": round(one / other, 2)
        for number, one, other in zip(CONNECTIONS, ours, theirs, strict=True)
    }
    return {**each, "start_to_dbos": round(max(ours) / max(theirs), 2)}
