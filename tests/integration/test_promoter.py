import asyncio
from collections.abc import AsyncIterator

import pytest

from scheduler.domain.wakes import Wake
from scheduler.loops.promoter import Promoter
from scheduler.loops.pulse import Pulse
from scheduler.services import runs
from scheduler.services.catalog import Catalog
from scheduler.store import tasks
from tests.support.builders import (
    FAILURE,
    Conn,
    a_holder,
    a_promoter,
    carry_out,
    chain,
    claimed,
    engine,
    one,
    publish,
    start,
    start_many,
    state_of,
    states_of,
    tasks_of,
)
from tests.support.waiting import patience

pytestmark = pytest.mark.anyio

ONE = chain("one", "")
RETRIED = chain("retried", ", retries: {max: 3, delay: 1s}")
PATIENT = chain("patient", ", retries: {max: 3, delay: 1h}")
SLOW = "name: slow\ntimeout: 1h\ntasks: [{name: t0, noop: true}, {name: t1, noop: true}]\n"
RENDERED = """
name: rendered
input: {type: object}
tasks: [{name: t0, run: "echo ${{ input.word }}"}]
"""

WAITED = """
select extract(epoch from t.started_at - a.finished_at)::float8
  from tasks t join attempts a on a.task_id = t.id and a.number = 1
"""


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        await publish(conn, ONE, RETRIED, PATIENT, SLOW, RENDERED)
        yield conn


async def test_a_retry_delay_of_one_second_takes_one_second_and_not_a_poll(
    dsn: str, conn: Conn
) -> None:
    """Begun again by a promoter that sleeps until it is due, by the database's own times."""
    await start(conn, "retried")
    holder = await a_holder(conn)
    await carry_out(conn, holder, FAILURE)
    woken = asyncio.Event()

    def say(wake: Wake) -> None:
        if wake.queues:
            woken.set()

    async with await engine(dsn) as mine:
        promoting = asyncio.create_task(Promoter(Catalog(), Pulse(), say).work(mine))
        async with asyncio.timeout(patience(20)):
            await woken.wait()
        assert await carry_out(conn, holder) == ["t0"]
        promoting.cancel()
        await asyncio.wait([promoting])
    waited = await one(conn, WAITED)
    assert (
        0.95 <= waited < patience(3.0)
    )  # the delay begins with the decision, which is written after that


async def test_nothing_goes_on_before_its_time(conn: Conn) -> None:
    run, holder = await start(conn, "patient"), await a_holder(conn)
    await carry_out(conn, holder, FAILURE)
    assert await a_promoter().tick(conn) == 0
    assert await states_of(conn, run) == {"t0": "WAITING"}
    seconds = await tasks.next_due(conn)
    assert seconds is not None
    assert 3500 < seconds <= 3600


async def test_nothing_is_due_when_nothing_waits(conn: Conn) -> None:
    await start(conn, "one")
    assert await tasks.next_due(conn) is None


async def test_what_is_due_goes_on_once_however_many_promoters_look(dsn: str, conn: Conn) -> None:
    await start_many(conn, "patient", 30)
    holder = await a_holder(conn)
    for _ in range(30):
        await carry_out(conn, holder, FAILURE)
    await conn.execute("update tasks set due_at = clock_timestamp()")

    async def promote() -> int:
        async with await engine(dsn) as mine:
            return await a_promoter().tick(mine)

    moved = await asyncio.gather(*(promote() for _ in range(4)))
    assert sum(moved) >= 30
    assert await one(conn, "select count(distinct ready_seq) from tasks") == 30
    assert len(await claimed(conn, holder, 99)) == 30


async def test_a_promoter_leaves_alone_what_others_are_changing(dsn: str, conn: Conn) -> None:
    run, holder = await start(conn, "patient"), await a_holder(conn)
    await carry_out(conn, holder, FAILURE)
    await conn.execute("update tasks set due_at = clock_timestamp()")
    async with await engine(dsn) as busy, busy.transaction():
        await busy.execute("select from runs where id = %s for no key update", [run])
        assert await a_promoter().tick(conn) == 0
    assert await a_promoter().tick(conn) == 1
    assert await states_of(conn, run) == {"t0": "READY"}


async def test_what_is_due_in_a_held_run_waits_for_the_resume(conn: Conn) -> None:
    run, holder = await start(conn, "patient"), await a_holder(conn)
    await carry_out(conn, holder, FAILURE)
    await runs.hold(conn, Catalog(), run, by="ann")
    await conn.execute("update tasks set due_at = clock_timestamp()")
    await a_promoter().tick(conn)
    assert (await tasks_of(conn, run))["t0"]["reason"] == "hold"
    assert await a_promoter().tick(conn) == 0
    await runs.resume(conn, Catalog(), run, by="ann")
    assert await states_of(conn, run) == {"t0": "READY"}


async def test_a_run_that_outlives_its_timeout_fails_and_says_after_how_long(conn: Conn) -> None:
    run, holder = await start(conn, "slow"), await a_holder(conn)
    await claimed(conn, holder)
    assert await a_promoter().tick(conn) == 0
    await conn.execute("update runs set due_at = clock_timestamp()")
    await a_promoter().tick(conn)

    assert await state_of(conn, run) == "STOPPING"
    assert (await tasks_of(conn, run))["t0"]["wanted"] == "stop"
    assert (await runs.get(conn, run))["error"] == "the run did not end within 3600 s"
    assert await a_promoter().tick(conn) == 0


async def test_a_completed_run_has_no_timeout_any_more(conn: Conn) -> None:
    run, holder = await start(conn, "slow"), await a_holder(conn)
    for _ in range(2):
        await carry_out(conn, holder)
    found = await runs.get(conn, run)
    assert (found["state"], found["due_at"]) == ("COMPLETED", None)


async def test_a_run_with_expressions_begins_when_they_are_filled_in(conn: Conn) -> None:
    run = await start(conn, "rendered", input={"word": "x"})
    await a_promoter().tick(conn)
    assert await state_of(conn, run) == "IN_PROGRESS"
    assert (await tasks_of(conn, run))["t0"]["invocation"]["argv"] == ["echo", "x"]
