"""Groups of runs, windows of time, and shares of a limit."""

from collections.abc import AsyncIterator
from datetime import timedelta
from uuid import UUID

import pytest

from scheduler.services import queues, runs
from scheduler.services.catalog import Catalog
from tests.support.builders import (
    FAILURE,
    Conn,
    a_holder,
    a_promoter,
    carry_out,
    claimed,
    engine,
    one,
    publish,
    record,
    start,
    state_of,
    tasks_of,
)

pytestmark = pytest.mark.anyio


def grouped(name: str, on_conflict: str, key: str = "${{ input.customer }}") -> str:
    return f"""
name: {name}
input: {{type: object}}
concurrency: {{key: "{key}", on_conflict: {on_conflict}}}
tasks: [{{name: a, noop: true, needs: []}}, {{name: b, noop: true, needs: []}}]
"""


RATED = """
name: rated
tasks: [{name: call, noop: true, rate: {key: api, max: 2, per: 1h}}]
"""
SHARED = """
name: shared
input: {type: object}
tasks: [{name: t, noop: true, share: "${{ input.customer }}"}]
"""
FREE = "select count(*) from limit_slots where run_id is not null"


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        each = [grouped(kind, kind) for kind in ("wait", "skip", "replace")]
        await publish(conn, *each, RATED, SHARED)
        yield conn


async def settle_down(conn: Conn) -> None:
    while await a_promoter().tick(conn):
        pass


async def begin(conn: Conn, type: str, customer: object = "acme") -> UUID:
    return await start(conn, type, input={"customer": customer})


async def finish(conn: Conn, holder: int) -> None:
    """Carry out what is READY, to the last; what that makes room for is READY then."""
    await settle_down(conn)
    while await carry_out(conn, holder):
        pass
    await settle_down(conn)


async def test_a_run_waits_until_the_one_before_it_in_its_group_has_ended(conn: Conn) -> None:
    first, second, other = (
        await begin(conn, "wait"),
        await begin(conn, "wait"),
        await begin(conn, "wait", "emca"),
    )
    assert [await state_of(conn, run) for run in (first, second, other)] == [
        "IN_PROGRESS",
        "PENDING",
        "IN_PROGRESS",
    ]
    assert (await tasks_of(conn, second))["a"]["blocked_on"] == "group:wait:acme"

    await finish(conn, await a_holder(conn))

    assert await state_of(conn, first) == "COMPLETED"
    assert await state_of(conn, second) == "IN_PROGRESS"
    assert {row["state"] for row in (await tasks_of(conn, second)).values()} == {"READY"}


async def test_places_are_given_back_however_a_run_ends(conn: Conn) -> None:
    holder = await a_holder(conn)
    failed, stopped = await begin(conn, "wait"), await begin(conn, "wait")
    await record(conn, holder, await claimed(conn, holder, 2), FAILURE)
    await settle_down(conn)
    assert await state_of(conn, failed) == "FAILED"
    await runs.stop(conn, Catalog(), stopped, by="ann")
    last = await begin(conn, "wait")
    await finish(conn, holder)
    assert await state_of(conn, last) == "COMPLETED"
    assert await one(conn, FREE) == 0


async def test_a_run_that_waits_for_its_group_can_be_stopped(conn: Conn) -> None:
    await begin(conn, "wait")
    second, third = await begin(conn, "wait"), await begin(conn, "wait")
    await runs.stop(conn, Catalog(), second, by="ann")
    await finish(conn, await a_holder(conn))
    assert await state_of(conn, second) == "STOPPED"
    assert await state_of(conn, third) == "IN_PROGRESS"


async def test_a_held_run_of_a_group_keeps_its_place(conn: Conn) -> None:
    first, second = await begin(conn, "wait"), await begin(conn, "wait")
    await runs.hold(conn, Catalog(), first, by="ann")
    await runs.hold(conn, Catalog(), second, by="ann")
    await settle_down(conn)
    await runs.resume(conn, Catalog(), second, by="ann")
    await settle_down(conn)
    assert await state_of(conn, first) == "HELD"
    assert (await tasks_of(conn, second))["a"]["blocked_on"] == "group:wait:acme"


async def test_one_run_more_is_skipped_and_says_why(conn: Conn) -> None:
    first, second = await begin(conn, "skip"), await begin(conn, "skip")
    assert await state_of(conn, first) == "IN_PROGRESS"
    assert await state_of(conn, second) == "STOPPED"
    assert "group:skip:acme is taken" in (await runs.get(conn, second))["error"]


async def test_a_new_run_takes_the_place_of_the_one_before(conn: Conn) -> None:
    first, second = await begin(conn, "replace"), await begin(conn, "replace")
    await settle_down(conn)
    assert await state_of(conn, first) == "STOPPED"
    assert f"replaced by run {second}" in (await runs.get(conn, first))["error"]
    assert await state_of(conn, second) == "IN_PROGRESS"


async def test_a_new_round_waits_for_its_turn(conn: Conn) -> None:
    holder = await a_holder(conn)
    first = await begin(conn, "skip")
    await record(conn, holder, await claimed(conn, holder, 2), FAILURE)
    second = await begin(conn, "skip")
    await runs.retry(conn, Catalog(), first, by="ann")
    assert (await tasks_of(conn, first))["a"]["blocked_on"] == "group:skip:acme"
    await finish(conn, holder)
    await finish(conn, holder)
    assert await state_of(conn, second) == "COMPLETED"
    assert await state_of(conn, first) == "COMPLETED"


async def test_a_run_without_a_key_fails_and_says_so(conn: Conn) -> None:
    run = await begin(conn, "wait", None)
    assert await state_of(conn, run) == "FAILED"
    assert "concurrency.key" in (await runs.get(conn, run))["error"]


async def test_no_more_than_so_many_begin_within_a_window(conn: Conn) -> None:
    started = [await start(conn, "rated") for _ in range(4)]
    holder = await a_holder(conn)
    await finish(conn, holder)
    assert [await state_of(conn, run) for run in started] == ["COMPLETED"] * 2 + ["PENDING"] * 2

    await conn.execute("update limit_slots set free_at = clock_timestamp()")
    await finish(conn, holder)
    assert await state_of(conn, started[3]) == "COMPLETED"


async def test_a_window_wakes_the_promoter_when_it_is_over(conn: Conn) -> None:
    for _ in range(3):
        await start(conn, "rated")
    left = await a_promoter()._next(conn)
    assert left is not None
    assert 3500 < left <= timedelta(hours=1).total_seconds()


async def test_places_go_round_between_the_shares(conn: Conn) -> None:
    """A customer with a hundred tasks does not keep another with one waiting for long."""
    await queues.resize(conn, "default", 2, by="ann")
    many = [await begin(conn, "shared", "many") for _ in range(20)]
    few = await begin(conn, "shared", "few")
    holder = await a_holder(conn)
    await finish_one(conn, holder)
    await finish_one(conn, holder)
    assert await state_of(conn, few) in ("IN_PROGRESS", "COMPLETED")
    assert await one(conn, "select count(*) from runs where state = 'COMPLETED'") == 2
    while await carry_out(conn, holder):
        await settle_down(conn)
    assert await state_of(conn, many[-1]) == "COMPLETED"


async def finish_one(conn: Conn, holder: int) -> None:
    await carry_out(conn, holder)
    await settle_down(conn)
