from collections.abc import AsyncIterator

import pytest

from scheduler.services import queues, runs
from scheduler.services.catalog import Catalog
from scheduler.services.why import why
from tests.support.builders import (
    FAILURE,
    Conn,
    a_holder,
    carry_out,
    chain,
    claimed,
    declare_gone,
    engine,
    publish,
    start,
    start_many,
)

pytestmark = pytest.mark.anyio

ONE = chain("one", "")
RETRIED = chain("retried", ", retries: {max: 3, delay: 1h}")
WAITS = chain("waits", ", on_lost: wait")


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        await publish(conn, ONE, RETRIED, WAITS)
        yield conn


async def test_a_queue_that_nobody_serves(conn: Conn) -> None:
    run = await start(conn, "one")
    assert await why(conn, run) == ["t0 is READY: no worker serves queue default."]


async def test_a_queue_whose_workers_are_busy(conn: Conn) -> None:
    await a_holder(conn)
    run = (await start_many(conn, "one", 3))[0]
    assert await why(conn, run) == [
        "t0 is READY: queue default has 2 other ready tasks; workers are busy."
    ]


async def test_a_queue_that_is_paused_says_the_note(conn: Conn) -> None:
    run = await start(conn, "one")
    await queues.pause(conn, "default", note="moving", by="ann")
    assert await why(conn, run) == ["t0 is READY: queue default is paused (moving)."]


async def test_a_limit_that_is_full(conn: Conn) -> None:
    await queues.resize(conn, "default", 1, by="ann")
    await start(conn, "one")
    run = await start(conn, "one")
    assert await why(conn, run) == ["t0 is WAITING: the limit queue:default is full (1 of 1)."]


async def test_a_task_that_failed_and_is_tried_again(conn: Conn) -> None:
    run, holder = await start(conn, "retried"), await a_holder(conn)
    await carry_out(conn, holder, FAILURE)
    (line,) = await why(conn, run)
    assert line.startswith("t0 is WAITING: it failed 1 time (exit code 1) and is tried again at ")


async def test_a_held_run_says_how_it_goes_on(conn: Conn) -> None:
    run = await start(conn, "one")
    await runs.hold(conn, Catalog(), run, by="ann")
    assert await why(conn, run) == [
        "The run is held: `procession resume` lets it go on.",
        "t0 is WAITING: the run is held.",
    ]


async def test_a_task_in_hand_says_whose(conn: Conn) -> None:
    run, holder = await start(conn, "waits"), await a_holder(conn, "w1")
    await claimed(conn, holder)
    (line,) = await why(conn, run)
    assert line.startswith("t0 is IN_PROGRESS: w1 on here has it since ")
    await declare_gone(conn, holder)
    (line,) = await why(conn, run)
    assert line.startswith("t0 is IN_PROGRESS: its holder w1 is unreachable since ")


async def test_a_run_that_has_ended_says_how(conn: Conn) -> None:
    run, holder = await start(conn, "one"), await a_holder(conn)
    await carry_out(conn, holder, FAILURE)
    assert await why(conn, run) == ["The run is FAILED: task t0 failed: exit code 1"]
