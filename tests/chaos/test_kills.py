"""Workers and servers are killed and stopped, PostgreSQL crashes, and nothing is lost or doubled.

`PROCESSION_LONG=1` asks for 300 runs with twenty kills of each, and for ten crashes.
"""

import asyncio
import contextlib
import os
import random
import secrets
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from psycopg import AsyncConnection, OperationalError
from psycopg.sql import SQL, Identifier

from tests.support.builders import engine, publish, start
from tests.support.postgres import Cluster
from tests.support.system import PROCESSION, ROOT, arguments_of, free_port, ledger_of, pids
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

LONG = os.environ.get("PROCESSION_LONG") == "1"
RUNS = 300 if LONG else 40
KILLS = 20 if LONG else 2  # of the worker, and as many of the server
CRASHES = 10 if LONG else 2
PATIENCE = 600 if LONG else 160  # on a machine with much else to do
LEASE = {"PROCESSION_LEASE__LENGTH": "4s", "PROCESSION_LEASE__RENEW_EVERY": "0.5s"}

# Each command notes in the ledger that it was there; the note is on the disk before it goes on.
NOTING = """
name: noting
tasks:
  - name: first
    shell: &note |
      echo "$PROCESSION_RUN $PROCESSION_TASK" | dd of="$LEDGER" oflag=append conv=notrunc,fsync
      sleep 0.05
    env: {LEDGER: "%s"}
  - {name: between, noop: true}
  - name: second
    shell: *note
    env: {LEDGER: "%s"}
"""
TASKS = 3

WAITING = """
name: waiting
tasks:
  - name: first
    shell: |
      echo began >> "$LEDGER"
      until [ -e "$LEDGER.go" ]; do sleep 0.05; done
    env: {LEDGER: "%s"}
"""


@dataclass
class Part:
    """A process of ours that is started again whenever it ends."""

    name: str
    argv: Sequence[str]
    environment: Mapping[str, str]
    log: Path
    stays: bool = True
    starts: int = 0
    process: asyncio.subprocess.Process | None = None

    async def keep(self) -> None:
        while self.stays:
            with self.log.open("a") as log:
                self.process = await asyncio.create_subprocess_exec(
                    *PROCESSION, *self.argv, env=self.environment, stdout=log, stderr=log
                )
            self.starts += 1
            await self.process.wait()

    def signal(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError):
            if self.process:
                self.process.send_signal(number)

    def times_ready(self) -> int:
        return self.log.read_text().count("worker ready") if self.log.exists() else 0


@dataclass
class Site:
    """A server and workers on one database, and somebody who starts runs."""

    dsn: str
    folder: Path
    port: int = field(default_factory=free_port)
    token: str = field(default_factory=lambda: f"pn_admin_{secrets.token_urlsafe(32)}")
    started: list[UUID] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        plain = {name: value for name, value in os.environ.items() if "PROCESSION" not in name}
        return (
            plain
            | LEASE
            | {
                "PROCESSION_DATABASE_URL": self.dsn,
                "PROCESSION_DATA_DIR": str(self.folder / "data"),
                "PROCESSION_ADMIN_TOKEN": self.token,
                "PYTHONPATH": str(ROOT),
            }
        )

    @property
    def ledger(self) -> Path:
        return self.folder / "ledger"

    def server(self) -> Part:
        return self.part("server", ["serve", "--port", str(self.port)])

    def worker(self, name: str) -> Part:
        return self.part(name, ["worker", "--name", name])

    def part(self, name: str, argv: Sequence[str]) -> Part:
        return Part(name, argv, self.environment, self.folder / f"{name}.log")

    @asynccontextmanager
    async def running(self, *parts: Part) -> AsyncIterator[None]:
        keeping = [asyncio.create_task(part.keep()) for part in parts]
        try:
            yield
        finally:
            for part in parts:
                part.stays = False
                part.signal(signal.SIGCONT)
                part.signal(signal.SIGKILL)
            await asyncio.gather(*keeping)
            self.end_runners()

    def end_runners(self) -> None:
        spools = str(self.folder / "data" / "runners")
        for pid in pids():
            if any(each.startswith(spools) for each in arguments_of(pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    async def starts(self, count: int) -> None:
        """Each start is asked for until it is acknowledged, always with the same key."""
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"http://127.0.0.1:{self.port}/api/v1"
        async with httpx.AsyncClient(base_url=url, headers=headers, trust_env=False) as http:
            for number in range(count):
                self.started.append(await self.acknowledged(http, f"run-{number}"))

    async def acknowledged(self, http: httpx.AsyncClient, key: str) -> UUID:
        while True:
            with contextlib.suppress(httpx.HTTPError):
                answer = await http.post(
                    "/runs", json={"type": "noting"}, headers={"Idempotency-Key": key}
                )
                if answer.is_success:
                    return UUID(answer.json()["id"])
                assert answer.status_code == 503, answer.text
            await asyncio.sleep(0.05)

    async def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """What the database says, as soon as it says something."""
        while True:
            with contextlib.suppress(OperationalError):
                async with await AsyncConnection.connect(self.dsn, autocommit=True) as conn:
                    return await (await conn.execute(statement.encode())).fetchall()
            await asyncio.sleep(0.05)

    async def until_done(self, tasks: int) -> None:
        done = "select count(*) from tasks where state = 'COMPLETED'"
        await self.until(done, lambda rows: rows[0][0] >= tasks)

    async def until(self, statement: str, fits: Callable[[list[tuple[Any, ...]]], bool]) -> None:
        while True:
            if fits(await self.ask(statement)):
                return
            await asyncio.sleep(0.02)


@pytest.fixture
async def site(dsn: str, tmp_path: Path) -> Site:
    return await a_site(dsn, tmp_path)


async def a_site(dsn: str, folder: Path) -> Site:
    site = Site(dsn, folder)
    async with await engine(dsn) as conn:
        await publish(conn, NOTING % (site.ledger, site.ledger), WAITING % site.ledger)
    return site


ATTEMPTS = """
select t.run_id, t.name, count(*), count(*) filter (where a.state = 'SUCCEEDED'),
       count(distinct a.number)
  from tasks t
  join attempts a on a.task_id = t.id
 group by t.run_id, t.name
"""


async def check(site: Site) -> Counter[str]:
    """All that was acknowledged is there and done, and each success is written once."""
    states = dict(await site.ask("select id, state::text from runs"))
    assert states == dict.fromkeys(site.started, "COMPLETED")
    effects = Counter((run, task) for run, task in ledger_of(site.ledger))
    counts: Counter[str] = Counter()
    attempts = await site.ask(ATTEMPTS)
    assert len(attempts) == len(site.started) * TASKS
    for run, task, tried, succeeded, numbers in attempts:
        assert (succeeded, numbers) == (1, tried), (run, task)
        if task != "between":
            assert 1 <= effects[str(run), task] <= tried, (run, task)
        counts["attempts"] += tried
        counts["repeated"] += tried - 1
    counts["effects"] = sum(effects.values())
    return counts


def moments(count: int, chance: random.Random) -> list[int]:
    """Random moments of the work, told by how many tasks are done."""
    return sorted(chance.sample(range(1, RUNS * TASKS - TASKS), count))


async def test_a_worker_and_a_server_killed_at_random_moments_lose_and_double_nothing(
    site: Site,
) -> None:
    server, worker, other = site.server(), site.worker("w1"), site.worker("w2")
    chance = random.Random(RUNS)
    victims = [server, worker] * KILLS
    chance.shuffle(victims)
    async with (
        asyncio.timeout(PATIENCE),
        site.running(server, worker, other),
        asyncio.TaskGroup() as group,
    ):
        starting = group.create_task(site.starts(RUNS))
        for victim, moment in zip(victims, moments(2 * KILLS, chance), strict=True):
            await site.until_done(moment)
            victim.signal(signal.SIGKILL)
        await starting
        await site.until_done(RUNS * TASKS)
    print(dict(await check(site)), server.starts, worker.starts)


async def test_a_database_that_crashes_under_load_is_waited_for_and_everything_goes_on(
    cluster: Cluster, tmp_path: Path
) -> None:
    await keep_commits(cluster.dsn)
    site = await a_site(cluster.dsn, tmp_path)
    server, worker = site.server(), site.worker("w1")
    async with (
        asyncio.timeout(PATIENCE),
        site.running(server, worker),
        asyncio.TaskGroup() as group,
    ):
        starting = group.create_task(site.starts(RUNS))
        for moment in moments(CRASHES, random.Random(RUNS)):
            await site.until_done(moment)
            await cluster.restart(immediate=True)
        await starting
        await site.until_done(RUNS * TASKS)
        assert (server.starts, worker.starts) == (1, 1)
    print(dict(await check(site)))


async def keep_commits(dsn: str) -> None:
    """The tests' servers answer before a commit is written; this one must not."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as owner:
        name = Identifier(owner.info.dbname)
        await owner.execute(SQL("alter database {} set synchronous_commit = on").format(name))


EVERYTHING = {
    "runs": "select * from runs order by id",
    "tasks": "select * from tasks order by id",
    "attempts": "select * from attempts order by task_id, number",
    "history": "select * from history where kind <> 'task.late_result' order by run_id, seq",
    "output": "select * from output_chunks order by task_id, attempt, start",
}


async def test_a_worker_that_was_stopped_beyond_its_lease_writes_nothing_when_it_goes_on(
    site: Site,
) -> None:
    stopped, other = site.worker("w1"), site.worker("w2")
    in_hand = "select attempt from tasks where state = 'IN_PROGRESS'"
    async with asyncio.timeout(60), site.running(stopped):
        await until(lambda: stopped.times_ready() or None)
        await start_waiting(site)
        await until(lambda: ledger_of(site.ledger) or None)
        stopped.signal(signal.SIGSTOP)
        async with site.running(other):
            await site.until(in_hand, lambda rows: rows == [(2,)])
            (site.folder / "ledger.go").touch()
            await site.until_done(1)
            before = {name: await site.ask(every) for name, every in EVERYTHING.items()}
            stopped.signal(signal.SIGCONT)
            await until(lambda: stopped.times_ready() > 1 or None)
        after = {name: await site.ask(every) for name, every in EVERYTHING.items()}
    assert after == before
    ends = "select number, state::text from attempts order by number"
    assert await site.ask(ends) == [(1, "LOST"), (2, "SUCCEEDED")]


async def start_waiting(site: Site) -> None:
    async with await engine(site.dsn) as conn:
        await start(conn, "waiting")
