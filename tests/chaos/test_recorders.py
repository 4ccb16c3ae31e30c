"""Recorders, promoters, a reaper and people, all at the same runs at once.

`PROCESSION_LONG=1` asks for 10,000 tasks instead of 1,500.
"""

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, suppress
from random import Random
from typing import Any
from uuid import UUID

import pytest
from psycopg import errors

from scheduler.domain.errors import Conflict
from scheduler.domain.tasks import Claimed
from scheduler.loops.promoter import Promoter
from scheduler.loops.pulse import Pulse
from scheduler.loops.reaper import Reaper
from scheduler.recorder import Result
from scheduler.services import queues, run_changes, runs
from scheduler.services.catalog import Catalog
from scheduler.services.run_changes import Change
from scheduler.store import health
from tests.support.builders import (
    FAILURE,
    LEASE,
    STOPPED,
    SUCCESS,
    TIMED_OUT,
    Conn,
    Told,
    a_holder,
    a_recorder,
    claimed,
    declare_gone,
    engine,
    one,
    publish,
    start_many,
)

pytestmark = pytest.mark.anyio

LONG = os.environ.get("PROCESSION_LONG") == "1"
TASKS = 10_000 if LONG else 1_500
RECORDERS = 4
MOST_COMMANDS = TASKS // 5

DIAMOND = """
name: diamond
tasks:
  - {name: top, noop: true, needs: [], retries: {max: 2, delay: 5ms}}
  - {name: a, noop: true, needs: [top]}
  - {name: b, noop: true, needs: [top], on_failure: continue}
  - {name: c, noop: true, needs: [top], retries: {max: 1, delay: 5ms}}
  - {name: d, noop: true, needs: [top]}
  - {name: bottom, noop: true, needs: [a, b, c, d]}
"""
MENDED = """
name: mended
tasks:
  - {name: risky, noop: true, needs: [], on_failure: {handler: mend}}
  - {name: plain, noop: true, needs: []}
  - {name: both, noop: true, needs: [risky, plain]}
  - {name: mend, noop: true}
"""
FEW = """
name: few
max_parallel: 20
tasks:
  - {name: a, noop: true, needs: []}
  - {name: b, noop: true, needs: [], on_failure: stop_now}
  - {name: c, noop: true, needs: [a, b], retries: {max: 1, delay: 5ms}}
"""
SIZES = {"diamond": 6, "mended": 4, "few": 3}

OUTCOMES = [SUCCESS] * 16 + [FAILURE, FAILURE, TIMED_OUT, STOPPED]

READY_WHERE_NONE_MAY_BE = """
select count(*)
  from tasks t
  join runs r on r.id = t.run_id
 where t.state = 'READY' and r.state not in ('PENDING', 'IN_PROGRESS')
"""
TWICE = "select count(*) - count(distinct (task_id, number)) from attempts"
WITHOUT_ATTEMPT = """
select count(*)
  from tasks t
 where t.state = 'COMPLETED' and 1 <> (
    select count(*)
      from attempts a
     where a.task_id = t.id and a.number = t.attempt and a.state = 'SUCCEEDED'
 )
"""
UNTOLD = """
select count(*)
  from runs r
 where r.events is distinct from (select max(seq) from history h where h.run_id = r.id)
    or r.events <> (select count(distinct seq) from history h where h.run_id = r.id)
"""
LEAKED = """
select count(*)
  from limit_slots s
  left join tasks t on t.id = s.task_id
 where s.task_id is not null and (t.state in ('READY', 'IN_PROGRESS')) is not true
"""


class Turmoil:
    """Everybody at once, each on a connection of their own, until every run has ended."""

    def __init__(self, dsn: str, ids: list[UUID], seed: int) -> None:
        self.dsn = dsn
        self.ids = ids
        self.chance = Random(seed)
        self.counts: Counter[str] = Counter()
        self.holders: list[int] = []
        self.deadlocks: list[str] = []  # that reached a caller
        self.commands = 0
        self.over = asyncio.Event()

    async def run(self) -> None:
        recorders = [self.records(place) for place in range(RECORDERS)]
        others = [self.promotes, self.reaps, self.commands_runs, self.commands_runs, self.resizes]
        works: list[Callable[[Conn], Awaitable[None]]] = [*recorders, *others, self.looks]
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            conns = [await stack.enter_async_context(await engine(self.dsn)) for _ in works]
            self.holders = [await a_holder(conns[0], f"h{n}") for n in range(RECORDERS)]
            for work, conn in zip(works, conns, strict=True):
                group.create_task(self.until_over(work, conn))

    async def until_over(self, work: Callable[[Conn], Awaitable[None]], conn: Conn) -> None:
        while not self.over.is_set():
            try:
                await work(conn)
            except Conflict:
                self.counts["refused"] += 1
            except (errors.DeadlockDetected, errors.SerializationFailure) as error:
                self.deadlocks.append(f"{work.__qualname__}: {error} {error.diag.context}")

    def records(self, place: int) -> Callable[[Conn], Awaitable[None]]:
        """Claims for holders that are shared, and records for any of them, the gone included."""
        told = Told(most=3)
        in_hand: list[tuple[int, Claimed]] = []

        async def work(conn: Conn) -> None:
            await self.claims(
                conn, in_hand, self.holders[(place + self.chance.randrange(2)) % RECORDERS]
            )
            holder = self.chance.choice([owner for owner, _ in in_hand] or self.holders)
            batch = self.some_of(in_hand, holder)
            told.taken.clear()
            results = [Result(task, self.chance.choice(OUTCOMES)) for task in batch]
            await a_recorder(holder, told)._record(conn, results)
            self.counts["results"] += len(batch)
            self.forget(in_hand, batch)
            in_hand.extend((holder, task) for task in told.taken)

        return work

    async def claims(self, conn: Conn, in_hand: list[tuple[int, Claimed]], holder: int) -> None:
        mine = await claimed(conn, holder, self.chance.randint(1, 12))
        in_hand.extend((holder, task) for task in mine)
        if not in_hand:
            await asyncio.sleep(0.002)

    def some_of(self, in_hand: list[tuple[int, Claimed]], holder: int) -> list[Claimed]:
        mine = [task for owner, task in in_hand if owner == holder]
        self.chance.shuffle(mine)
        return mine[: self.chance.randint(1, 30)]

    def forget(self, in_hand: list[tuple[int, Claimed]], batch: list[Claimed]) -> None:
        """Now and then a result is sent a second time: its answer might have been lost."""
        done = {task.key for task in batch if self.chance.random() > 0.05}
        in_hand[:] = [(owner, task) for owner, task in in_hand if task.key not in done]

    async def promotes(self, conn: Conn) -> None:
        if not await Promoter(self.catalog, Pulse(), lambda _: None).tick(conn):
            await asyncio.sleep(0.002)

    async def reaps(self, conn: Conn) -> None:
        """Now and then a holder is gone, and another of its name comes."""
        await asyncio.sleep(0.15)
        place = self.chance.randrange(RECORDERS)
        gone = self.holders[place]
        await declare_gone(conn, gone)
        self.holders[place] = await a_holder(conn, f"h{place}")
        while taken := await Reaper(self.catalog, LEASE, Pulse(), lambda _: None).tick(conn):
            self.counts["taken back"] += taken

    async def commands_runs(self, conn: Conn) -> None:
        if self.commands >= MOST_COMMANDS:
            await self.lets_all_go_on(conn)
            return
        self.commands += 1
        run = self.chance.choice(self.ids)
        match self.chance.choice(["hold", "hold", "resume", "resume", "stop", "retry", "priority"]):
            case "priority":
                wish = Change(priority=self.chance.randrange(10))
                await run_changes.change(conn, run, wish, by="ann")
            case "retry":
                await runs.retry(
                    conn, self.catalog, run, by="ann", whole=self.chance.random() < 0.3
                )
            case "stop":
                await runs.stop(conn, self.catalog, run, by="ann", kill=self.chance.random() < 0.3)
            case command:
                await getattr(runs, command)(conn, self.catalog, run, by="ann")
        self.counts["commands"] += 1

    async def lets_all_go_on(self, conn: Conn) -> None:
        held = "select array_agg(id) from runs where state in ('HOLDING', 'HELD')"
        for run in await one(conn, held) or []:
            with suppress(Conflict):
                await runs.resume(conn, self.catalog, run, by="ann")
        await asyncio.sleep(0.02)

    async def resizes(self, conn: Conn) -> None:
        await asyncio.sleep(0.1)
        size = self.chance.choice([None, 5, 30, 100])
        await queues.resize(conn, "default", size, by="ann")

    async def looks(self, conn: Conn) -> None:
        """What must hold at every moment; each look is one snapshot."""
        assert await one(conn, READY_WHERE_NONE_MAY_BE) == 0
        assert await health.miscounted(conn, 5) == []
        assert await one(conn, LEAKED) == 0
        self.counts["looks"] += 1
        living = await one(conn, "select count(*) from runs where open > 0")
        if not living and self.commands >= MOST_COMMANDS:
            self.over.set()
        await asyncio.sleep(0.05)

    catalog = Catalog()


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        await publish(conn, DIAMOND, MENDED, FEW)
        yield conn


async def test_however_recorders_people_and_reapers_meet_no_rule_is_broken(
    dsn: str, conn: Conn, record_property: Callable[[str, Any], None]
) -> None:
    count = TASKS // sum(SIZES.values()) + 1
    ids = [run for name in SIZES for run in await start_many(conn, name, count)]
    turmoil = Turmoil(dsn, ids, seed=TASKS)

    async with asyncio.timeout(600 if LONG else 120):
        await turmoil.run()

    for name, value in turmoil.counts.items():
        record_property(name, value)
        print(name, value)
    assert turmoil.deadlocks == []
    assert turmoil.counts["taken back"] > 0
    assert await one(conn, "select count(*) from history where kind = 'task.late_result'") > 0
    assert await one(conn, TWICE) == 0
    assert await one(conn, WITHOUT_ATTEMPT) == 0
    assert await one(conn, UNTOLD) == 0
    assert await one(conn, LEAKED) == 0
    assert await one(conn, "select count(*) from tasks where holder is not null") == 0
