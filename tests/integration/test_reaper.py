import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from scheduler.domain.board import MOST_LOSSES
from scheduler.services import runs
from scheduler.services.catalog import Catalog
from scheduler.store import attempts, holders, tasks
from tests.support.builders import (
    LEASE,
    STOPPED,
    SUCCESS,
    Conn,
    a_holder,
    a_reaper,
    carry_out,
    chain,
    claimed,
    declare_gone,
    engine,
    one,
    publish,
    record,
    start,
    start_many,
    state_of,
    states_of,
    tasks_of,
)

pytestmark = pytest.mark.anyio

ONE = chain("one", "")
FATAL = chain("fatal", ", on_lost: fail")
WAITS = chain("waits", ", on_lost: wait")
SHORT = timedelta(microseconds=1)  # a lease that is over as soon as it is given


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        await publish(conn, ONE, FATAL, WAITS)
        yield conn


async def lose(conn: Conn, type: str) -> tuple[int, dict[str, str]]:
    """A run whose task was in the hands of a holder that is gone."""
    run, holder = await start(conn, type), await a_holder(conn)
    await claimed(conn, holder)
    await declare_gone(conn, holder)
    await a_reaper().tick(conn)
    return holder, await states_of(conn, run)


async def test_three_reapers_at_once_take_a_task_back_once(dsn: str, conn: Conn) -> None:
    await start_many(conn, "one", 20)
    holder = await a_holder(conn)
    await claimed(conn, holder, 20)
    await declare_gone(conn, holder)

    async def reap() -> None:
        async with await engine(dsn) as mine:
            await a_reaper().tick(mine)

    await asyncio.gather(*(reap() for _ in range(3)))

    lost = "select count(*) from attempts where state = 'LOST'"
    assert await one(conn, lost) == 20
    assert await one(conn, "select count(*) from tasks where state = 'READY' and lost = 1") == 20
    again = await a_holder(conn, "another")
    assert {task.attempt for task in await claimed(conn, again, 20)} == {2}


async def test_a_holder_that_renews_is_left_alone_and_one_that_does_not_is_gone(
    conn: Conn,
) -> None:
    await conn.execute("select pg_sleep(0.01)")
    alive, late = await a_holder(conn, "alive"), await a_holder(conn, "late", SHORT)
    gone = [row["id"] for row in await holders.expire(conn, SHORT)]
    assert gone == [late]
    assert await holders.renew(conn, alive, LEASE) == "ACTIVE"
    assert await holders.renew(conn, late, LEASE) is None


async def test_nobody_is_judged_before_the_database_has_been_up_for_a_lease(conn: Conn) -> None:
    """While it was down nobody could renew."""
    await a_holder(conn, "late", SHORT)
    assert await holders.expire(conn, timedelta(days=365)) == []


async def test_a_lost_task_is_tried_again_by_default(conn: Conn) -> None:
    assert (await lose(conn, "one"))[1] == {"t0": "READY"}


async def test_a_task_that_must_not_run_twice_fails_when_its_holder_is_gone(conn: Conn) -> None:
    assert (await lose(conn, "fatal"))[1] == {"t0": "FAILED"}
    assert await one(conn, "select count(*) from dead_letters") == 1


async def test_a_task_that_waits_for_its_holder_is_recorded_when_that_comes_back(
    conn: Conn,
) -> None:
    holder, states = await lose(conn, "waits")
    assert states == {"t0": "IN_PROGRESS"}
    (mine,) = await tasks.in_hand(conn, holder)
    await record(conn, holder, [mine])
    assert await one(conn, "select count(*) from runs where state = 'COMPLETED'") == 1


async def test_a_task_that_waited_is_adopted_by_the_same_runner_under_a_new_holder(
    conn: Conn,
) -> None:
    old, _ = await lose(conn, "waits")
    new = await a_holder(conn)
    assert new != old
    assert await tasks.adopt(conn, new, "incarnation of somebody else") == []
    (task,) = await tasks.adopt(conn, new, "incarnation of holder")
    mine = await tasks.in_hand(conn, new)
    assert [(each.id, each.attempt) for each in mine] == [(task, 1)]
    await record(conn, old, mine, STOPPED)
    await record(conn, new, mine, SUCCESS)
    (attempt,) = await attempts.of_task(conn, task)
    assert (attempt["state"], attempt["holder"]) == ("SUCCEEDED", new)


async def test_a_task_that_costs_every_holder_its_life_ends(conn: Conn) -> None:
    run = await start(conn, "one")
    for number in range(MOST_LOSSES + 1):
        assert await states_of(conn, run) == {"t0": "READY"}
        holder = await a_holder(conn, f"victim {number}")
        await claimed(conn, holder)
        await declare_gone(conn, holder)
        await a_reaper().tick(conn)
    assert await state_of(conn, run) == "FAILED"
    assert "lost 4 times" in (await runs.get(conn, run))["error"]


async def test_a_reaper_leaves_to_others_what_they_are_changing(dsn: str, conn: Conn) -> None:
    run, holder = await start(conn, "one"), await a_holder(conn)
    await claimed(conn, holder)
    await declare_gone(conn, holder)
    async with await engine(dsn) as busy, busy.transaction():
        await busy.execute("select from runs where id = %s for no key update", [run])
        assert await a_reaper().tick(conn) == 0
    assert await a_reaper().tick(conn) == 1
    assert await states_of(conn, run) == {"t0": "READY"}


async def test_what_was_lost_in_a_run_that_is_being_stopped_stays_stopped(conn: Conn) -> None:
    run, holder = await start(conn, "one"), await a_holder(conn)
    await claimed(conn, holder)
    await runs.stop(conn, Catalog(), run, by="ann")
    await declare_gone(conn, holder)
    await a_reaper().tick(conn)
    assert await state_of(conn, run) == "STOPPED"


async def test_a_new_incarnation_retires_the_old_one_whatever_its_lease_says(conn: Conn) -> None:
    run, old = await start(conn, "one"), await a_holder(conn)
    (mine,) = await claimed(conn, old)
    assert await holders.retire_others(conn, "holder", "incarnation of holder") == []
    assert await holders.retire_others(conn, "holder", "another incarnation") == [old]
    await a_reaper().tick(conn)
    assert await states_of(conn, run) == {"t0": "READY"}
    assert (await tasks_of(conn, run))["t0"]["lost"] == 1
    await record(conn, old, [mine])
    assert await states_of(conn, run) == {"t0": "READY"}


async def test_the_same_incarnation_keeps_its_place_and_what_it_has_in_hand(conn: Conn) -> None:
    await start(conn, "one")
    first = await a_holder(conn)
    (mine,) = await claimed(conn, first)
    again = await a_holder(conn)
    assert again == first
    assert await tasks.in_hand(conn, again) == [mine]


async def test_a_draining_holder_finishes_and_is_not_reaped(conn: Conn) -> None:
    run, holder = await start(conn, "one"), await a_holder(conn)
    mine = await claimed(conn, holder)
    assert await holders.drain(conn, "holder", "DRAINING")
    assert await carry_out(conn, holder) == []
    assert await holders.renew(conn, holder, LEASE) == "DRAINING"
    assert await a_reaper().tick(conn) == 0
    await record(conn, holder, mine)
    assert await state_of(conn, run) == "COMPLETED"


async def test_old_holders_are_forgotten_once_no_task_names_them(conn: Conn) -> None:
    holder = (await lose(conn, "waits"))[0]
    await conn.execute("update holders set renewed_at = renewed_at - interval '31 days'")
    assert await holders.forget(conn) == 0
    await record(conn, holder, await tasks.in_hand(conn, holder))
    assert await holders.forget(conn) == 1
