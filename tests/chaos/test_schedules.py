"""Servers are killed and paused, PostgreSQL crashes, and each tick has one run or a reason.

`PROCESSION_LONG=1` asks for 200 schedules over five minutes.
"""

import asyncio
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from scheduler.services import ticking
from scheduler.store import schedules as stored
from tests.chaos.test_kills import Part, Site, keep_commits
from tests.support.builders import chain, engine, publish
from tests.support.postgres import Cluster
from tests.support.system import free_port
from tests.support.timetables import a_schedule
from tests.support.waiting import patience

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

LONG = os.environ.get("PROCESSION_LONG") == "1"
SCHEDULES = 200 if LONG else 60
LASTING = 300.0 if LONG else 6.0  # seconds of trouble
QUIET = 20.0 if LONG else 6.0  # seconds after it, in which ticks are in time again
PATIENCE = 240.0  # for a machine with much else to do, which takes long to start servers
MOST_LATE = 5.0  # from when all servers are back on
AHEAD = 600
COMPILER = shutil.which("cc")
APART = (0, AHEAD) if LONG and COMPILER else (AHEAD if COMPILER else 0,)
OVERLAPS = ("allow", "skip", "queue_one")

ONE = chain("one", "")
ROWS = """
select t.schedule_id, t.tick, t.until, t.state::text, t.reason, t.run_id, r.id,
       extract(epoch from t.decided_at - t.due_at)::float8
  from ticks t
  left join runs r on r.id = t.run_id
 order by t.schedule_id, t.tick
"""


@pytest.fixture
async def site(cluster: Cluster, tmp_path: Path) -> Site:
    await keep_commits(cluster.dsn)
    async with await engine(cluster.dsn) as conn:
        await publish(conn, ONE)
        for number in range(SCHEDULES):
            await a_schedule(
                conn,
                type="one",
                name=f"s{number}",
                every=f"{1 + number % 5}s",
                overlap=OVERLAPS[number % 3],
                catch_up="all" if number % 2 else "last",
            )
    return Site(cluster.dsn, tmp_path)


def another_server(site: Site, name: str) -> Part:
    """One whose data folder is its own."""
    part = site.part(name, ["serve", "--port", str(free_port())])
    folder = {"PROCESSION_DATA_DIR": str(site.folder / name)}
    return replace(part, environment={**part.environment, **folder})


def in_the_future(part: Part) -> Part:
    """The same with a clock that is ten minutes ahead: a preloaded library says so."""
    library = shifted_clock(part.log.parent)
    return replace(part, environment={**part.environment, "LD_PRELOAD": str(library)})


SHIFT = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <sys/time.h>
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int done = real(id, at);
    if (id == CLOCK_REALTIME) at->tv_sec += %d;
    return done;
}
int gettimeofday(struct timeval *at, void *zone) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *at) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (at) *at = now.tv_sec;
    return now.tv_sec;
}
"""


def shifted_clock(folder: Path) -> Path:
    source, library = folder / "shift.c", folder / "shift.so"
    source.write_text(SHIFT % AHEAD)
    argv = [COMPILER or "", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl"]
    subprocess.run(argv, check=True, capture_output=True)
    return library


async def trouble(site: Site, cluster: Cluster, servers: Sequence[Part]) -> Counter[str]:
    """What falls on them, at random moments, for as long as it lasts."""
    chance, told = random.Random(SCHEDULES), Counter[str]()
    loop = asyncio.get_running_loop()
    end = loop.time() + LASTING
    while loop.time() < end:
        kind = chance.choice(("kill", "kill", "pause", "crash"))
        told[kind] += 1
        server = chance.choice(servers)
        if kind == "kill":
            server.signal(signal.SIGKILL)
        elif kind == "pause":
            server.signal(signal.SIGSTOP)
            await ticks_pass(site, chance.uniform(1, 3))
            server.signal(signal.SIGCONT)
        else:
            await cluster.restart(immediate=True)
        await ticks_pass(site, chance.uniform(1, 3))
    return told


async def ticks_pass(site: Site, seconds: float) -> None:
    """The database's own time, whoever is away meanwhile."""
    [(start,)] = await site.ask("select clock_timestamp()")
    over = f"select clock_timestamp() > '{start + timedelta(seconds=seconds)}'"
    await site.until(over, lambda rows: bool(rows[0][0]))


async def check(site: Site, back: datetime) -> Counter[str]:
    """Each tick of each schedule once, with its run or its reason; in time once all are back."""
    rows = await site.ask(ROWS)
    counts: Counter[str] = Counter()
    covered: dict[int, list[datetime]] = {}
    async with await engine(site.dsn) as conn:
        found = await stored.page(conn, limit=1000)
    plans = {
        row["id"]: (ticking.plan_of(row), row["created_at"], row["next_tick"]) for row in found
    }
    for id, tick, until, state, reason, run, exists, late in rows:
        counts[state] += 1
        assert (run is not None) == (state == "STARTED"), (id, tick)
        assert run == exists, "a tick names a run that there is not"
        assert reason or state in ("STARTED", "QUEUED"), (id, tick)
        plan, _, _ = plans[id]
        ticks = [tick, *(plan.upcoming(tick, until) if until else ())]
        covered.setdefault(id, []).extend(ticks)
        if tick >= back:
            assert late <= patience(MOST_LATE), (id, tick, late)
    for id, (plan, made, next_tick) in plans.items():
        assert covered[id] == list(plan.upcoming(made, next_tick)), id
        counts["ticks"] += len(covered[id])
    [(runs, distinct)] = await site.ask(
        "select (select count(*) from runs), (select count(distinct run_id) from ticks)"
    )
    assert runs == distinct == counts["STARTED"]
    return counts


LATE = """
select s.name, s.spec, s.next_at, s.queued, s.living, clock_timestamp(),
       (select array_agg(application_name || ': ' || state || ' ' || left(query, 60))
          from pg_stat_activity
         where application_name like '%clock%')
  from schedules s
 where s.next_at < clock_timestamp() - interval '2 s'
 order by s.next_at
 limit 3
"""


CLOCKS = """
select count(*) from pg_stat_activity where application_name = 'procession server clock'
"""


async def healed(site: Site, servers: int) -> None:
    """All are there again, however long a machine with much to do takes to start them; and nothing
    is due that nobody looked at, but for what has just come."""
    try:
        async with asyncio.timeout(PATIENCE):
            await site.until(CLOCKS, lambda rows: rows[0][0] >= servers)
            await site.until(LATE, lambda rows: not rows)
    except TimeoutError:
        logs = [log.read_text()[-1500:] for log in sorted(site.folder.glob("*.log"))]
        pytest.fail(f"nobody looks at {await site.ask(LATE)}\n" + "\n\n".join(logs))


async def live_through(site: Site, cluster: Cluster, servers: Sequence[Part]) -> Counter[str]:
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(LASTING + QUIET + PATIENCE + 60))
        await stack.enter_async_context(site.running(*servers, site.worker("w1")))
        await site.until("select count(*) from ticks", lambda rows: rows[0][0] > 0)
        told = await trouble(site, cluster, servers)
        [(over,)] = await site.ask("select clock_timestamp()")
        await healed(site, len(servers))
        [(back,)] = await site.ask("select clock_timestamp()")
        await ticks_pass(site, QUIET)
    counts = await check(site, back)
    print(dict(told), dict(counts), f"back after {(back - over).total_seconds():.1f} s")
    return counts


@pytest.mark.parametrize("ahead", APART)
async def test_each_tick_has_one_run_or_a_reason_whatever_falls_on_servers_and_database(
    site: Site, cluster: Cluster, ahead: int
) -> None:
    """Of two servers, the second lives `ahead` seconds in the future."""
    one, two = another_server(site, "one"), another_server(site, "two")
    servers = [one, in_the_future(two) if ahead else two]
    assert seconds_ahead(servers[1]) == pytest.approx(ahead, abs=5)
    counts = await live_through(site, cluster, servers)
    assert counts["STARTED"] > SCHEDULES


def seconds_ahead(part: Part) -> float:
    argv = [sys.executable, "-c", "import time; print(time.time())"]
    done = subprocess.run(argv, env=part.environment, check=True, capture_output=True)
    return float(done.stdout) - time.time()
