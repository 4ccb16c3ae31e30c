import asyncio
from collections.abc import AsyncIterator

import pytest
from psycopg import errors
from psycopg.sql import SQL

from scheduler.services import queues, run_changes
from scheduler.services.run_changes import Change
from scheduler.store import connections, holders, tasks
from scheduler.store.rows import execute
from tests.support.builders import (
    EVERYWHERE,
    Conn,
    a_holder,
    carry_out,
    chain,
    claimed,
    declare_gone,
    engine,
    publish,
    record,
    start,
    start_many,
)

pytestmark = pytest.mark.anyio

ONE = chain("one", "")
TWO = chain("two", "", "")


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        await publish(conn, ONE, TWO)
        yield conn


async def test_a_run_is_claimed_once_however_many_workers_ask(dsn: str, conn: Conn) -> None:
    await start_many(conn, "one", 200)
    names = [f"w{number}" for number in range(6)]

    async def ask(name: str) -> list[int]:
        async with await engine(dsn) as mine:
            holder, taken = await a_holder(mine, name), []
            while got := await claimed(mine, holder, 7):
                taken += [task.id for task in got]
            return taken

    taken = await asyncio.gather(*(ask(name) for name in names))
    everything = sorted(task for each in taken for task in each)
    assert len(everything) == 200
    assert everything == sorted(set(everything))


async def test_a_claim_takes_no_more_than_it_asked_for_over_all_priorities(conn: Conn) -> None:
    holder = await a_holder(conn)
    for priority in range(10):
        await start(conn, "one", priority=priority)
    assert len(await claimed(conn, holder, 3)) == 3


async def test_what_another_is_claiming_is_passed_over_without_waiting(
    dsn: str, conn: Conn
) -> None:
    await start_many(conn, "one", 2)
    holder = await a_holder(conn)
    async with await engine(dsn) as other, other.transaction():
        first = await claimed(other, holder)
        second = await claimed(conn, holder, 5)
    assert len(second) == 1
    assert first[0].id != second[0].id


async def test_a_claim_that_is_rolled_back_leaves_the_task_ready(dsn: str, conn: Conn) -> None:
    await start(conn, "one")
    holder = await a_holder(conn)
    async with await engine(dsn) as other, other.transaction(force_rollback=True):
        await claimed(other, holder)
    assert [task.attempt for task in await claimed(conn, holder)] == [1]


async def test_the_most_urgent_come_first_and_of_equals_the_oldest(conn: Conn) -> None:
    holder = await a_holder(conn)
    order = [(4, "calm"), (9, "urgent"), (4, "calm too"), (0, "idle"), (9, "urgent too")]
    names = {await start(conn, "one", priority=priority): name for priority, name in order}

    got = [names[(await claimed(conn, holder))[0].run_id] for _ in order]

    assert got == ["urgent", "urgent too", "calm", "calm too", "idle"]


async def test_runs_that_have_begun_go_on_before_new_ones_begin(conn: Conn) -> None:
    holder = await a_holder(conn)
    first = await start(conn, "two")
    await start_many(conn, "two", 3)
    await carry_out(conn, holder)

    (task,) = await claimed(conn, holder)
    assert (task.run_id, task.name) == (first, "t1")


async def test_a_new_run_of_a_higher_priority_comes_before_one_that_has_begun(conn: Conn) -> None:
    holder = await a_holder(conn)
    await start(conn, "two")
    await carry_out(conn, holder)
    urgent = await start(conn, "one", priority=9)

    assert [task.run_id for task in await claimed(conn, holder)] == [urgent]


async def test_a_run_that_is_made_more_urgent_overtakes_what_was_claimed_meanwhile(
    conn: Conn,
) -> None:
    """Its entry must not lie below the floor that the claims of that priority have left."""
    holder = await a_holder(conn)
    patient = await start(conn, "one", priority=0)
    await start_many(conn, "one", 3, priority=9)
    taken = await claimed(conn, holder, 3)
    floors = list(EVERYWHERE)
    floors[0] = floors[1] = max(task.ready_seq for task in taken)

    await run_changes.change(conn, patient, Change(priority=9), by="test")

    got = await tasks.claim(conn, "default", holder=holder, floors=floors, limit=9)
    assert [task.run_id for task in got] == [patient]


async def test_only_the_asked_queue_is_looked_at(conn: Conn) -> None:
    await publish(conn, chain("elsewhere", ", queue: other"))
    await start(conn, "elsewhere")
    holder = await a_holder(conn)
    assert await claimed(conn, holder) == []
    assert len(await claimed(conn, holder, queue="other")) == 1


async def test_a_paused_queue_gives_nothing_until_it_is_resumed(conn: Conn) -> None:
    holder = await a_holder(conn)
    await start_many(conn, "two", 2)
    first = await claimed(conn, holder)
    await queues.pause(conn, "default", note="moving", by="ann")

    told = await record(conn, holder, first)
    assert await claimed(conn, holder, 9) == []
    assert told.taken == []

    await queues.resume(conn, "default", by="ann")
    assert len(await claimed(conn, holder, 9)) == 2


async def test_a_holder_that_is_gone_or_draining_or_late_claims_nothing(conn: Conn) -> None:
    await start_many(conn, "one", 3)
    gone, late = await a_holder(conn, "gone"), await a_holder(conn, "late")
    draining = await a_holder(conn, "draining")
    await declare_gone(conn, gone)
    await holders.drain(conn, "draining", "DRAINING")
    await conn.execute(
        "update holders set lease_until = clock_timestamp() - interval '1 ms' where id = %s", [late]
    )
    for holder in (gone, late, draining, 4711):
        assert await claimed(conn, holder) == []

    await holders.drain(conn, "draining", "ACTIVE")
    assert len(await claimed(conn, draining)) == 1


async def test_an_entry_below_the_floor_is_not_looked_at(conn: Conn) -> None:
    """That is what floors are for; `Floors` sinks them so that nothing is missed for long."""
    await start(conn, "one")
    holder = await a_holder(conn)
    above = [10**9] * len(EVERYWHERE)
    assert await tasks.claim(conn, "default", holder=holder, floors=above, limit=1) == []
    assert len(await claimed(conn, holder)) == 1


async def test_a_connection_that_stops_within_a_transaction_does_not_keep_its_locks(
    dsn: str,
) -> None:
    async with await connections.connect(dsn, name="test", engine=True) as conn:
        cursor = await conn.execute("show idle_in_transaction_session_timeout")
        assert await cursor.fetchone() == ("10s",)


async def test_the_rows_refuse_what_must_never_be(conn: Conn) -> None:
    run = await start(conn, "one")
    for impossible in (
        "state = 'IN_PROGRESS'",
        "state = 'WAITING'",
        "state = 'COMPLETED'",
        "holder = 1",
        "reason = 'hold'",
        "needed = -1",
    ):
        with pytest.raises(errors.CheckViolation):
            await execute(
                conn,
                SQL(f"update tasks set {impossible} where run_id = %(run)s"),
                run=run,
            )
