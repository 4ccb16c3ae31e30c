import asyncio
from collections.abc import AsyncIterator

import pytest

from executor.base import Outcome
from scheduler.services import queues, runs
from scheduler.services.catalog import Catalog
from scheduler.store import limits
from tests.support.builders import (
    FAILURE,
    STOPPED,
    Conn,
    a_holder,
    a_promoter,
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
    tasks_of,
)
from tests.support.interleaving import until_it_waits

pytestmark = pytest.mark.anyio

ONE = chain("one", "")
TWO = chain("two", "", "")
RETRIED = chain("retried", ", retries: {max: 3, delay: 1s}")
FEW = "name: few\nmax_parallel: 2\ntasks: [{name: a, noop: true}, {name: b, noop: true}]\n"
KEYED = """
name: keyed
input: {type: object}
tasks:
  - {name: t, noop: true, limit: {key: "${{ input.machine }}", max: 1}}
"""

IN_FLIGHT = "select count(*) from tasks where state in ('READY', 'IN_PROGRESS')"
TAKEN = "select count(*) from limit_slots where task_id is not null"
LEAKED = (
    "select count(*) from limit_slots s left join tasks t on t.id = s.task_id "
    "where s.task_id is not null and (t.state in ('READY', 'IN_PROGRESS')) is not true"
)


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        await publish(conn, ONE, TWO, RETRIED, FEW, KEYED)
        yield conn


async def places(conn: Conn) -> tuple[int, int]:
    """In flight, and places taken; none of them by what is not in flight."""
    assert await one(conn, LEAKED) == 0
    return await one(conn, IN_FLIGHT), await one(conn, TAKEN)


async def settle_down(conn: Conn) -> None:
    while await a_promoter().tick(conn):
        pass


async def test_no_more_than_its_size_of_a_queue_is_in_flight(conn: Conn) -> None:
    await queues.resize(conn, "default", 3, by="ann")
    await start_many(conn, "two", 10)
    holder = await a_holder(conn)
    assert await places(conn) == (3, 3)
    for _ in range(20):
        await carry_out(conn, holder)
        assert (await places(conn))[0] <= 3
        await settle_down(conn)
    assert await places(conn) == (0, 0)
    assert await one(conn, "select count(*) from runs where state = 'COMPLETED'") == 10


async def test_no_more_than_its_size_is_in_flight_however_many_admit_at_once(
    dsn: str, conn: Conn
) -> None:
    await queues.resize(conn, "default", 5, by="ann")
    holder = await a_holder(conn)
    seen: list[int] = []

    async def admit(number: int) -> None:
        async with await engine(dsn) as mine:
            for round in range(6):
                if number % 2:
                    await start_many(mine, "two", 3)
                await a_promoter().tick(mine)
                await record(mine, holder, await claimed(mine, holder, 1 + round % 3))
                seen.append(await one(mine, IN_FLIGHT))

    await asyncio.gather(*(admit(number) for number in range(4)))
    assert max(seen) <= 5
    while await one(conn, "select count(*) from runs where open > 0"):
        await settle_down(conn)
        await record(conn, holder, await claimed(conn, holder, 9))
    assert await places(conn) == (0, 0)


@pytest.mark.parametrize("outcome", [FAILURE, STOPPED], ids=["failed", "given back"])
async def test_a_task_that_is_tried_again_finds_the_place_that_it_gave_up(
    conn: Conn, outcome: Outcome
) -> None:
    await queues.resize(conn, "default", 1, by="ann")
    run = await start(conn, "retried")
    holder = await a_holder(conn)
    await carry_out(conn, holder, outcome)
    await conn.execute("update tasks set due_at = clock_timestamp() where due_at is not null")
    await settle_down(conn)

    assert await places(conn) == (1, 1)
    assert await carry_out(conn, holder) == ["t0"]
    assert await state_of(conn, run) == "COMPLETED"
    assert await places(conn) == (0, 0)


async def test_a_task_that_was_never_claimed_gives_up_its_place_when_its_run_is_stopped(
    conn: Conn,
) -> None:
    await queues.resize(conn, "default", 1, by="ann")
    first, second = await start(conn, "one"), await start(conn, "one")
    assert (await tasks_of(conn, second))["t0"]["blocked_on"] == "queue:default"

    await runs.stop(conn, Catalog(), first, by="ann")
    await settle_down(conn)

    assert await places(conn) == (1, 1)
    assert (await tasks_of(conn, second))["t0"]["state"] == "READY"


async def test_a_held_run_lends_its_place_to_another(conn: Conn) -> None:
    await queues.resize(conn, "default", 1, by="ann")
    first, second = await start(conn, "one"), await start(conn, "one")
    await runs.hold(conn, Catalog(), first, by="ann")
    await settle_down(conn)
    assert (await tasks_of(conn, second))["t0"]["state"] == "READY"

    await runs.resume(conn, Catalog(), first, by="ann")
    await settle_down(conn)
    assert (await tasks_of(conn, first))["t0"]["reason"] == "limit"
    assert await places(conn) == (1, 1)


async def test_a_lost_task_gives_up_its_place(conn: Conn) -> None:
    await queues.resize(conn, "default", 1, by="ann")
    await start_many(conn, "one", 2)
    holder = await a_holder(conn)
    await claimed(conn, holder)
    await declare_gone(conn, holder)
    await a_reaper().tick(conn)
    await settle_down(conn)
    assert await places(conn) == (1, 1)


async def test_a_limit_that_grows_lets_more_in_and_one_that_is_lifted_lets_all(
    conn: Conn,
) -> None:
    await queues.resize(conn, "default", 1, by="ann")
    await start_many(conn, "one", 6)
    await queues.resize(conn, "default", 3, by="ann")
    await settle_down(conn)
    assert await places(conn) == (3, 3)

    await queues.resize(conn, "default", None, by="ann")
    await settle_down(conn)
    assert (await places(conn))[0] == 6


async def test_a_limit_that_shrinks_while_its_places_are_taken_holds_as_they_are_left(
    conn: Conn,
) -> None:
    await queues.resize(conn, "default", 4, by="ann")
    await start_many(conn, "one", 12)
    await queues.resize(conn, "default", 2, by="ann")
    holder = await a_holder(conn)
    for left in (3, 2, 2, 2):
        await carry_out(conn, holder)
        await settle_down(conn)
        assert (await places(conn))[0] == left


async def test_a_limit_that_is_lifted_and_set_again_counts_what_begins_from_then_on(
    conn: Conn,
) -> None:
    holder = await a_holder(conn)
    await queues.resize(conn, "default", 2, by="ann")
    await start_many(conn, "one", 4)
    await queues.resize(conn, "default", None, by="ann")
    await settle_down(conn)
    await record(conn, holder, await claimed(conn, holder, 9))
    await queues.resize(conn, "default", 1, by="ann")
    await start_many(conn, "one", 3)
    assert await places(conn) == (1, 1)


async def test_no_more_of_a_type_is_in_flight_than_it_says(conn: Conn) -> None:
    await start_many(conn, "few", 5)
    holder = await a_holder(conn)
    assert await places(conn) == (2, 2)
    for _ in range(10):
        await carry_out(conn, holder)
        await settle_down(conn)
        assert (await places(conn))[0] <= 2
    assert await one(conn, "select count(*) from runs where state = 'COMPLETED'") == 5


async def test_a_key_keeps_apart_only_those_that_share_it(conn: Conn) -> None:
    for machine in ("press", "press", "saw"):
        await start(conn, "keyed", input={"machine": machine})
    assert await places(conn) == (2, 2)
    rows = await limits.usage(conn)
    assert [(row["key"], row["size"], row["taken"]) for row in rows] == [
        ("key:press", 1, 1),
        ("key:saw", 1, 1),
    ]


async def test_a_task_under_two_limits_takes_a_place_under_both_or_none(conn: Conn) -> None:
    await queues.resize(conn, "default", 2, by="ann")
    for machine in ("press", "press", "saw", "drill"):
        await start(conn, "keyed", input={"machine": machine})
    assert await places(conn) == (2, 4)
    holder = await a_holder(conn)
    for _ in range(4):
        await carry_out(conn, holder)
        await settle_down(conn)
    assert await places(conn) == (0, 0)
    assert await one(conn, "select count(*) from runs where state = 'COMPLETED'") == 4


async def test_a_place_is_not_given_to_a_task_that_no_longer_wants_one(conn: Conn) -> None:
    """The promoter chose it before it had the run's lock, and meanwhile the run was stopped."""
    await queues.resize(conn, "default", 2, by="ann")
    run = await start(conn, "one")
    task = (await tasks_of(conn, run))["t0"]["id"]
    assert await places(conn) == (1, 1)
    await limits.take(conn, task, ["queue:default"])
    assert await places(conn) == (1, 1)
    await runs.stop(conn, Catalog(), run, by="ann")
    await limits.take(conn, task, ["queue:default"])
    assert await places(conn) == (0, 0)


async def test_a_success_frees_its_place_in_its_own_transaction(conn: Conn) -> None:
    await queues.resize(conn, "default", 1, by="ann")
    await start(conn, "one")
    holder = await a_holder(conn)
    told = await record(conn, holder, await claimed(conn, holder))
    assert told.wake.due
    assert await one(conn, TAKEN) == 0


async def test_lifting_a_limit_waits_its_turn_behind_the_locks_of_tasks(
    dsn: str, conn: Conn
) -> None:
    """It takes tasks in the order of their ids, as everybody does: no deadlock."""
    await queues.resize(conn, "default", 1, by="ann")
    await start_many(conn, "one", 6)
    blocked = "from tasks where blocked_on is not null"
    first = await one(conn, f"select min(id) {blocked}")
    async with await engine(dsn) as lifting:
        async with conn.transaction():
            await conn.execute("select from tasks where id = %s for no key update", [first])
            lifted = asyncio.create_task(queues.resize(lifting, "default", None, by="ann"))
            await until_it_waits(dsn, lifting)
            await conn.execute(f"select {blocked} order by id for no key update")
        await lifted
        await settle_down(conn)
    assert (await places(conn))[0] == 6


async def test_two_recorders_of_one_limited_task_release_once(dsn: str, conn: Conn) -> None:
    await queues.resize(conn, "default", 1, by="ann")
    await start_many(conn, "one", 2)
    holder = await a_holder(conn)
    mine = await claimed(conn, holder)
    async with await engine(dsn) as other:
        await asyncio.gather(record(conn, holder, mine), record(other, holder, mine))
    await settle_down(conn)
    assert await places(conn) == (1, 1)
    assert await one(conn, "select count(*) from attempts") == 1


async def test_what_waits_says_for_which_place(conn: Conn) -> None:
    await start_many(conn, "few", 3)
    blocked = "select blocked_on from tasks where state = 'WAITING' and reason = 'limit'"
    assert await one(conn, blocked) == "type:few"
