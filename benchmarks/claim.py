"""What a claim of fifty costs among a million finished, a million future and 100,000 ready tasks.

The statement, connection options and floors are a worker's. The layout says how the rows lie: in
order of `arrival` (finished ones first, ready ones last, as in life), or `scattered`, each kind
among the others, which shows the price of the heap where nothing lies together.
"""

import statistics
import time
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, LiteralString

from psycopg import AsyncConnection

from benchmarks import cpu
from benchmarks.support import database, postgres, settle
from benchmarks.system import Conn, chain, open_connection, publish
from scheduler.domain.floors import Floors
from scheduler.store import connections, holders, tasks
from scheduler.store.holders import Identity

FINISHED, FUTURE, READY = 1_000_000, 1_000_000, 100_000
BEFORE_SNAPSHOT = 60_000
PER_RUN = 10
LIMIT = 50
WARM, ROUNDS, CLAIMS = 5, 5, 20
NEEDED = LIMIT * (WARM + ROUNDS * CLAIMS)  # ready tasks for one measurement
QUEUE, TYPE = "default", "many"

Figures = dict[str, float]

DRAW: LiteralString = """
create temp table drawn as
select lpad(to_hex(number), 32, '0')::uuid as run,
       case when number <= %(finished)s then 'COMPLETED'
            when number <= %(finished)s + %(future)s then 'WAITING'
            else 'READY'
       end::task_state as state
  from generate_series(1, %(finished)s + %(future)s + %(ready)s) as number
"""
RUNS: LiteralString = """
insert into runs (id, type, type_version, state, priority, input, total, open, triggered_by,
                  started_at, finished_at)
select run, %(type)s, 1, (case when final then 'COMPLETED' else 'IN_PROGRESS' end)::run_state,
       5, '{}', %(per_run)s, case when final then 0 else %(per_run)s end, 'benchmark',
       now(), case when final then now() end
  from drawn, lateral (select state = 'COMPLETED' as final) as f
 order by run
"""
TASKS: LiteralString = """
insert into tasks (run_id, position, name, kind, state, reason, due_at, queue, rank, ready_seq,
                   required, needed, open, passed, successors, settles, judged, on_lost,
                   attempt, counted, exit_code, started_at, finished_at)
select run, place, 't' || place, 'noop', state,
       (case when state = 'WAITING' then 'timer' end)::wait_reason,
       case when state = 'WAITING' then now() + interval '1 day' end,
       %(queue)s, 8, case when state = 'READY' then nextval('ready_seq') end,
       0, 0, 0, case when final then true end, '{}', false, false, 'retry',
       final::integer, final::integer, case when final then 0 end,
       case when final then now() end, case when final then now() end
  from drawn, generate_series(0, %(per_run)s - 1) as place,
       lateral (select state = 'COMPLETED' as final) as f
 order by case when %(scattered)s then hashtextextended(run::text, place) end, run, place
"""


@dataclass(frozen=True, slots=True)
class Rows:
    finished: int
    future: int
    ready: int
    layout: str


@dataclass(slots=True)
class Claimer:
    """A worker as far as claiming goes."""

    conn: Conn
    holder: int
    floors: Floors = field(default_factory=lambda: Floors(time.monotonic()))

    async def claim(self, limit: int) -> float:
        """Seconds that it took to claim so many."""
        began = time.perf_counter()
        floors = self.floors.at(time.monotonic())
        got = await tasks.claim(self.conn, QUEUE, holder=self.holder, floors=floors, limit=limit)
        took = time.perf_counter() - began
        self.floors.took(got)
        if len(got) != limit:
            raise RuntimeError(f"{len(got)} tasks were claimed instead of {limit}")
        return took

    async def many(self, count: int) -> "Cost":
        spent = cpu.spent(self.conn.info.backend_pid)
        took = [await self.claim(LIMIT) for _ in range(count)]
        return Cost(took, cpu.spent(self.conn.info.backend_pid) - spent)


@dataclass(frozen=True, slots=True)
class Cost:
    """Of some claims: what each took, and what all of them cost the server in CPU."""

    took: list[float]
    cpu: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.took + other.took, self.cpu + other.cpu)

    def figures(self, name: str) -> Figures:
        return {
            f"claim_ms_{name}": round(1e3 * statistics.median(self.took), 2),
            f"claim_cpu_ms_{name}": round(1e3 * self.cpu / len(self.took), 2),
        }


async def fill(url: str, rows: Rows) -> None:
    values = {
        "finished": rows.finished // PER_RUN,
        "future": rows.future // PER_RUN,
        "ready": rows.ready // PER_RUN,
        "per_run": PER_RUN,
        "queue": QUEUE,
        "type": TYPE,
        "scattered": rows.layout == "scattered",
    }
    async with await open_connection(url) as conn:
        await publish(conn, chain(TYPE, PER_RUN))
    async with await AsyncConnection.connect(url) as owner:
        for statement in (DRAW, RUNS, TASKS):
            await owner.execute(statement, values)
    await settle(url)


async def claimer(conn: Conn) -> Claimer:
    identity = Identity(
        name="bench",
        kind="worker",
        incarnation="bench",
        host="bench",
        pid=0,
        version="0",
        queues=[QUEUE],
        slots=LIMIT,
    )
    return Claimer(conn, await holders.register(conn, identity, timedelta(hours=1)))


async def side_by_side(one: Claimer, other: Claimer) -> tuple[Cost, Cost]:
    """The claims of each, made in turns, so that both meet the same moments of the machine."""
    for each in (one, other):
        await each.many(WARM)
    ours, theirs = await one.many(CLAIMS), await other.many(CLAIMS)
    for _ in range(ROUNDS - 1):
        ours += await one.many(CLAIMS)
        theirs += await other.many(CLAIMS)
    return ours, theirs


async def behind_a_snapshot(url: str, ours: Claimer, churned: int) -> Cost:
    """Claims after so many others, while somebody's snapshot keeps what they left behind."""
    async with await AsyncConnection.connect(url) as old:
        await old.execute("set transaction isolation level repeatable read")
        await old.execute("select count(*) from holders")
        await ours.many(churned // LIMIT)
        return await ours.many(ROUNDS * CLAIMS)


async def main(options: Any) -> dict[str, float | str]:
    scale, churned = options.scale, int(BEFORE_SNAPSHOT * options.scale)
    ready = max(int(READY * scale), churned + 2 * NEEDED)
    full = Rows(int(FINISHED * scale), int(FUTURE * scale), ready, options.layout)
    async with (
        postgres(options.database_url) as server,
        database(server) as empty_url,
        database(server) as full_url,
    ):
        await fill(empty_url, Rows(0, 0, NEEDED, "arrival"))
        await fill(full_url, full)
        async with (
            await connections.connect(empty_url, name="bench", engine=True) as empty_conn,
            await connections.connect(full_url, name="bench", engine=True) as full_conn,
        ):
            ours = await claimer(full_conn)
            on_empty, on_full = await side_by_side(await claimer(empty_conn), ours)
            after = await behind_a_snapshot(full_url, ours, churned)
    costs = {
        **on_empty.figures("empty"),
        **on_full.figures("full"),
        **after.figures(f"snapshot_after_{churned}"),
    }
    return {
        **costs,
        "ratio": round(costs["claim_ms_full"] / costs["claim_ms_empty"], 2),
        "claimed_at_once": LIMIT,
        "layout": options.layout,
    }
