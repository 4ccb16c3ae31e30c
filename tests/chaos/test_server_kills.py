"""The server is killed at random moments under programs in the midst of workflows; so are programs,
while nobody answers.

`PROCESSION_LONG=1` asks for 100 kills of the server, with kills of its database between them;
`PROCESSION_SEED` says what is killed when.
"""

import asyncio
import os
import random
import secrets
import signal
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest

from procession import Client
from scheduler.store.migrations import migrate
from tests.support.builders import engine, start_many
from tests.support.flow_programs import (
    Effect,
    Programs,
    by_run,
    check_step,
    reached,
)
from tests.support.postgres import (
    Cluster,
    Databases,
    binaries_of,
    chosen_version,
    folder_of_server,
    running,
)
from tests.support.runners import LONG
from tests.support.servers import Server

SEED = int(os.environ.get("PROCESSION_SEED", "0")) or random.randrange(10**6)
TOLD = f"seed {SEED}"
KILLS, PROGRAMS = (100, 3) if LONG else (2, 2)
BATCH = 10 if LONG else 6  # workflows for each kill
CRASH_EVERY = 5  # kills of the server, after which its database is killed
DEADLY = 0.3 if LONG else 1.0  # how many of the times that a server is away end a program as well
STEPS = 9  # of a workflow with its child
TRIES = 1_000  # of a step that writes to the database

PROGRAM = f"""
import asyncio, contextlib, os, random as chance, time
from psycopg import AsyncConnection
from procession import Worker, windows
from procession.workflows import (
    child, random, recv, send, sleep, step, task, this_run, uuid4, workflow, write
)

windows.LONGEST = 1.0  # seconds: the next kill waits for them

@contextlib.asynccontextmanager
async def connect():
    async with await AsyncConnection.connect(os.environ["BOOKS_URL"]) as connection:
        yield connection

@step
async def link(number: int, given: str) -> str:
    result = note(number, given)
    await asyncio.sleep(chance.uniform(0, 0.1))  # done, and nobody knows
    return result

@step
def thread(number: int, given: str) -> str:
    result = note(number, given)
    time.sleep(chance.uniform(0, 0.1))
    return result

@step(transaction=connect, retries={TRIES}, delay=0.05, longest=0.5)
async def booked(connection: AsyncConnection, number: int, given: str) -> str:
    result = note(number, given)
    await connection.execute("insert into books values (%s, %s)", [given, result])
    await asyncio.sleep(chance.uniform(0, 0.05))
    return result

@workflow
async def leaf(given: str, parent: str) -> str:
    word = await link(10, given)
    await send(parent, "word", word)
    return await link(11, word)

@workflow
async def journey() -> list[str]:
    first = await link(0, f"~{{uuid4().hex}}")
    ends = []
    async def ended(step):
        ends.append(await step)
    await asyncio.gather(
        *(ended(each) for each in (link(1, first), thread(2, first), link(3, first))),
        sleep(random() / 5),
    )
    book = await booked(4, "+".join(ends))
    grown, word = await asyncio.gather(
        child(leaf, {{"given": book, "parent": this_run()}}), recv("word")
    )
    await write("words", word)
    await sleep(1)  # it is put away for that
    press = await task({{"action": {{"name": "press", "payload": word}}}})
    return [first, *ends, book, word, grown, press, await link(5, f"{{grown}}+{{press}}")]

carrier = "poll" if name.endswith("-2") else "auto"
worker = Worker(name=name, slots=8, carrier=carrier).serve(journey, leaf)

@worker.action("press")
async def press(payload, context):
    result = noted(context.run, "press", context.key, context.attempt, payload)
    await asyncio.sleep(chance.uniform(0, 0.1))
    return result

worker.start()
"""
LEASE = {
    "PROCESSION_LEASE__LENGTH": "6",
    "PROCESSION_LEASE__RENEW_EVERY": "1",
    # Some programs are back in time when the server was away, and some are not.
    "PROCESSION_SERVER__REMOTE__BEAT": "0.5",
    "PROCESSION_SERVER__REMOTE__LEASE": "5",
    "PROCESSION_SERVER__REMOTE__POLL": "0.2",
}

KEPT = """
select output #>> '{}' from tasks
 where role = 'call' and jsonb_typeof(output) = 'string' and output #>> '{}' = any(%s)
"""
OPEN = "select count(*) from runs where finished_at is null"
RUNS = """
select r.id::text, r.type, r.state::text, r.input, w.output, w.error, w.attempt, w.lost,
       (select count(*) from attempts a where a.task_id = w.id and a.state = 'SUCCEEDED')
  from runs r
  join tasks w on w.run_id = r.id and w.role = 'task'
"""
RECORDS = """
select t.run_id::text, t.kind, t.state::text, t.output,
       (select count(*) from attempts a where a.task_id = t.id and a.state = 'SUCCEEDED')
  from tasks t
 where t.role = 'call'
 order by t.run_id, t.position
"""
BOOKS = "select given, result from books"
WORDS = "select run_id::text, body #>> '{}' from mailbox where taken_by is not null"
UNREAD = "select count(*) from mailbox where taken_by is null"
STREAM = "select run_id::text, value #>> '{}' from run_tellings where kind = 'stream'"


class Run(NamedTuple):
    id: str
    type: str
    state: str
    input: Mapping[str, str]
    output: Any
    error: str | None
    attempts: int
    lost: int
    ends: int  # attempts that came to one


class Record(NamedTuple):
    run: str
    kind: str
    state: str
    output: Any
    ends: int


@dataclass
class Site:
    server: Server
    token: str
    cluster: Cluster | None  # one that may be killed
    kept: set[str] = field(default_factory=set)  # results that somebody saw in the database
    counts: Counter[str] = field(default_factory=Counter)

    def ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.server.dsn, autocommit=True) as conn:
            return conn.execute(statement.encode(), values).fetchall()

    def fits(self, statement: str, count: int) -> bool:
        with suppress(psycopg.OperationalError):
            return self.ask(statement) == [(count,)]
        return False

    def listens(self) -> bool:
        process = self.server.process
        assert process is not None
        assert process.poll() is None, f"{TOLD}: the server ended: serve.log says why"
        return self.server.listens()

    async def start(self, many: int) -> None:
        async with await engine(self.server.dsn) as conn:
            await start_many(conn, "journey", many)
        self.counts["journeys"] += many

    def unkept(self, effects: Sequence[Effect]) -> list[Effect]:
        """Those that depend on what nobody has kept. The effects are told before the database is
        asked: what a program knows then, it has been told of."""
        parts = {part for each in effects for part in parts_of(each)} - self.kept
        if parts:
            self.kept.update(row[0] for row in self.ask(KEPT, list(parts)))
        return [each for each in effects if not self.kept.issuperset(parts_of(each))]


def parts_of(effect: Effect) -> list[str]:
    return [part for part in effect.given.split("+") if not part.startswith("~")]


@pytest.fixture
def site(databases: Databases, tmp_path: Path) -> Iterator[Site]:
    token = f"pn_admin_{secrets.token_urlsafe(32)}"
    with a_database(databases) as (dsn, cluster):
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute("create table books (given text, result text)")
        server = Server(dsn, tmp_path, {**LEASE, "PROCESSION_ADMIN_TOKEN": token})
        try:
            server.start()
            yield Site(server, token, cluster)
        finally:
            server.kill()


@contextmanager
def a_database(databases: Databases) -> Iterator[tuple[str, Cluster | None]]:
    """For many kills one of its own, which has what it has committed when it was killed."""
    if not LONG:
        with databases.cloned() as dsn:
            yield dsn, None
        return
    with folder_of_server() as folder:
        own = Cluster(folder, binaries_of(chosen_version()), synchronous_commit="on")
        with running(own):
            asyncio.run(migrate(own.dsn))
            yield own.dsn, own


@contextmanager
def programs_of(site: Site, client: Client) -> Iterator[Programs]:
    made = client.call("POST", "/api/v1/tokens", {"name": "journeys", "role": "worker"})
    known = {
        "PROCESSION_URL": site.server.url,
        "PROCESSION_TOKEN": made["token"],
        "BOOKS_URL": site.server.dsn,
    }
    programs = Programs(site.server.folder, PROGRAM, PROGRAMS, {**os.environ, **known})
    try:
        reached(lambda: {"journey", "leaf"} <= {e["name"] for e in client.list_types()}, TOLD)
        yield programs
    finally:
        programs.end()


@pytest.mark.timeout(3_000 if LONG else 300)
def test_whatever_is_killed_a_workflow_goes_on_with_what_is_kept_and_nothing_else(
    site: Site,
) -> None:
    with Client(site.server.url, site.token) as client, programs_of(site, client) as programs:
        chance = random.Random(SEED)
        for number in range(1, KILLS + 1):
            at_work(site, programs, chance)
            server_killed(site, programs, chance)
            if site.cluster is not None and number % CRASH_EVERY == 0:
                at_work(site, programs, chance)
                database_killed(site, site.cluster, chance)
        reached(partial(site.fits, OPEN, 0), TOLD, within=600, every=0.2)
        programs.end()
        check(site, programs)


def at_work(site: Site, programs: Programs, chance: random.Random) -> None:
    """There is more to do than is waited for: whatever is killed now is in the midst of it."""
    asyncio.run(site.start(BATCH))
    done = steps_of(programs)
    left = STEPS * site.counts["journeys"] - done
    enough = done + chance.randint(1, left - BATCH * STEPS // 3)
    reached(lambda: steps_of(programs) >= enough, TOLD)
    time.sleep(chance.uniform(0, 0.1))  # anywhere between two effects


def steps_of(programs: Programs) -> int:
    """How many are done, each as often as it may be."""
    return len({(each.run, each.number) for each in programs.effects()})


def server_killed(site: Site, programs: Programs, chance: random.Random) -> None:
    """Whoever goes on while it is away, without what it has not kept, is seen doing so."""
    site.server.kill()
    site.counts["server kills"] += 1
    if chance.random() < DEADLY:
        programs.kill_one(chance)
        site.counts["program kills"] += 1
    site.server.begin()
    while not site.listens():
        unkept = site.unkept(programs.effects())
        assert not unkept, f"{TOLD}: {unkept[0]}: nobody has kept what it depends on"
        time.sleep(0.05)
    programs.fill_up()


def database_killed(site: Site, cluster: Cluster, chance: random.Random) -> None:
    """In good order, at once, or as the kernel does it."""
    how = chance.choice([signal.SIGINT, signal.SIGQUIT, signal.SIGKILL])
    asyncio.run(cluster.end(how))
    asyncio.run(cluster.start())
    site.counts["database kills"] += 1


def check(site: Site, programs: Programs) -> None:
    runs = [Run(*row) for row in site.ask(RUNS)]
    records = by_id([Record(*row) for row in site.ask(RECORDS)])
    told = counted(site, runs, records, programs.past)
    print(told)
    assert site.unkept(programs.past) == [], told
    journeys = [run for run in runs if run.type == "journey"]
    leaves = {run.input["parent"]: run for run in runs if run.type == "leaf"}
    assert len(journeys) == site.counts["journeys"], told
    assert len(runs) == len(journeys) + len(leaves), told
    done = by_run(programs.past)
    steps = {
        run.id: check_run(run, records[run.id], done[run.id], f"{told}: {run}") for run in runs
    }
    for run in journeys:
        check_journey(run, steps[run.id], steps[leaves[run.id].id], f"{told}: {run}")
    check_told(site, journeys, steps, told)


def by_id(records: Sequence[Record]) -> Mapping[str, list[Record]]:
    found: dict[str, list[Record]] = {}
    for each in records:
        found.setdefault(each.run, []).append(each)
    return found


def counted(
    site: Site,
    runs: Sequence[Run],
    records: Mapping[str, Sequence[Record]],
    effects: Sequence[Effect],
) -> str:
    kills = ", ".join(f"{many} {what}" for what, many in sorted(site.counts.items()))
    return (
        f"{TOLD}: {kills}, {len(runs)} workflows, {sum(map(len, records.values()))} records, "
        f"{len(effects)} effects, {sum(run.lost for run in runs)} attempts lost, "
        f"at most {max(run.attempts for run in runs)} of one run"
    )


Steps = Mapping[str, tuple[str, str]]  # by number: what was given, and the result
KINDS = {
    "journey": Counter(step=6, moment=1, write=1, sleep=2, process=1, recv=1, action=1),
    "leaf": Counter(step=2, send=1),
}


def check_run(run: Run, records: Sequence[Record], effects: Sequence[Effect], told: str) -> Steps:
    assert (run.state, run.ends) == ("COMPLETED", 1), told
    assert Counter(each.kind for each in records) == KINDS[run.type], told
    assert {each.state for each in records} == {"COMPLETED"}, told
    numbers = {each.result: each.number for each in effects}
    kept = [each.output for each in records if each.kind in ("step", "action")]
    assert [each.ends for each in records if each.kind == "action"] in ([], [1]), told
    assert {numbers[each] for each in kept} == set(numbers.values()), told
    steps: dict[str, tuple[str, str]] = {}
    for result in kept:
        number = numbers[result]
        done = [each for each in effects if each.number == number]
        assert number not in steps, told
        steps[number] = check_step(done, result, told, TRIES if number == "4" else 1), result
    return steps


def check_journey(run: Run, steps: Steps, leaf: Steps, told: str) -> None:
    """Each step had what those before it came to, in the order in which that was known."""
    first, *ends, book, word, grown, press, last = run.output
    assert steps["0"] == (steps["0"][0], first), told
    assert sorted(ends) == sorted(steps[number][1] for number in "123"), told
    assert {steps[number][0] for number in "123"} == {first}, told
    assert steps["4"] == ("+".join(ends), book), told
    assert leaf == {"10": (book, word), "11": (word, grown)}, told
    assert steps["press"] == (word, press), told
    assert steps["5"] == (f"{grown}+{press}", last), told


def check_told(site: Site, journeys: Sequence[Run], steps: Mapping[str, Steps], told: str) -> None:
    """What is in the transactions of records is there once."""
    words = sorted((run.id, run.output[5]) for run in journeys)
    assert sorted(site.ask(WORDS)) == words, told
    assert sorted(site.ask(STREAM)) == words, told
    assert site.ask(UNREAD) == [(0,)], told
    assert sorted(site.ask(BOOKS)) == sorted(steps[run.id]["4"] for run in journeys), told
