"""Starting, starting again, and what becomes of what gave up."""

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest

from scheduler.domain.errors import Conflict, Invalid, NotFound
from scheduler.services import dead_letters, records, runs
from scheduler.services.catalog import Catalog
from scheduler.services.records import Draft
from scheduler.services.runs import Order
from scheduler.store import attempts, health, history
from scheduler.store import dead_letters as letters
from scheduler.store.dead_letters import Filter
from tests.support.builders import (
    FAILURE,
    Conn,
    a_holder,
    carry_out,
    chain,
    engine,
    one,
    publish,
    start,
    start_many,
    state_of,
    states_of,
    tasks_of,
)
from tests.support.interleaving import until_it_waits

pytestmark = pytest.mark.anyio

TWO = chain("two", "", "")
INPUT = """
name: with-input
input: {type: object, required: [n], properties: {n: {type: integer}}}
tasks: [{name: t0, noop: true}]
"""


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        await publish(conn, TWO, INPUT)
        yield conn


async def a_failed_run(conn: Conn) -> UUID:
    run, holder = await start(conn, "two"), await a_holder(conn)
    await carry_out(conn, holder)
    await carry_out(conn, holder, FAILURE)
    assert await state_of(conn, run) == "FAILED"
    return run


async def open_letter(conn: Conn) -> int:
    (row,) = await letters.page(conn, Filter(state="OPEN"), limit=10)
    return int(row["id"])


# Rounds


async def test_a_round_keeps_what_the_rounds_before_it_left(conn: Conn) -> None:
    run, holder = await a_failed_run(conn), await a_holder(conn)
    await runs.retry(conn, Catalog(), run, by="ann")
    assert await states_of(conn, run) == {"t0": "COMPLETED", "t1": "READY"}
    await carry_out(conn, holder)

    assert await state_of(conn, run) == "COMPLETED"
    tried = await attempts.of_task(conn, (await tasks_of(conn, run))["t1"]["id"])
    assert [(a["number"], a["round"], a["state"]) for a in tried] == [
        (1, 1, "FAILED"),
        (2, 2, "SUCCEEDED"),
    ]
    told = await history.of_run(conn, run)
    assert [event["seq"] for event in told] == [*range(1, len(told) + 1)]
    assert [event["kind"] for event in told if event["kind"].startswith("run.")] == [
        "run.started",
        "run.stopping",
        "run.failed",
        "run.retried",
        "run.completed",
    ]


async def test_of_two_who_retry_one_wins(dsn: str, conn: Conn) -> None:
    run = await a_failed_run(conn)

    async def retry() -> str:
        async with await engine(dsn) as mine:
            return str((await runs.retry(mine, Catalog(), run, by="ann"))["state"])

    won = await asyncio.gather(*(retry() for _ in range(4)), return_exceptions=True)
    assert [each for each in won if isinstance(each, str)] == ["IN_PROGRESS"]
    assert [type(each) for each in won].count(Conflict) == 3


async def test_a_retry_with_another_input_is_seen_by_what_runs_again(conn: Conn) -> None:
    run, holder = await start(conn, "with-input", input={"n": 1}), await a_holder(conn)
    await carry_out(conn, holder, FAILURE)
    with pytest.raises(Invalid):
        await runs.retry(conn, Catalog(), run, by="ann", input={"n": "two"})
    assert await state_of(conn, run) == "FAILED"
    found = await runs.retry(conn, Catalog(), run, by="ann", input={"n": 2})
    assert (found["input"], found["state"]) == ({"n": 2}, "IN_PROGRESS")


async def test_a_command_on_a_run_that_does_not_exist_is_told_so(conn: Conn) -> None:
    for command in (runs.hold, runs.resume, runs.stop, runs.retry):
        with pytest.raises(NotFound):
            await command(conn, Catalog(), UUID(int=1), by="ann")


async def test_a_finished_run_is_held_and_stopped_by_nobody(conn: Conn) -> None:
    run = await a_failed_run(conn)
    for command in (runs.hold, runs.resume, runs.stop):
        with pytest.raises(Conflict, match="FAILED"):
            await command(conn, Catalog(), run, by="ann")
    assert await health.miscounted(conn, 1) == []


# Dead letters


async def test_a_task_that_gave_up_leaves_a_letter_with_what_it_had_and_said(conn: Conn) -> None:
    run = await a_failed_run(conn)
    letter = await dead_letters.get(conn, await open_letter(conn))
    assert (letter["run_id"], letter["task"], letter["round"]) == (run, "t1", 1)
    assert (letter["error"], letter["input"], letter["state"]) == ("exit code 1", {}, "OPEN")


async def test_a_letter_is_taken_up_once_however_many_ask(dsn: str, conn: Conn) -> None:
    run = await a_failed_run(conn)
    letter = await open_letter(conn)

    async def redrive() -> str:
        async with await engine(dsn) as mine:
            row = await dead_letters.redrive(mine, Catalog(), letter, by="ann")
            return str(row["state"])

    won = await asyncio.gather(*(redrive() for _ in range(4)), return_exceptions=True)
    assert [each for each in won if isinstance(each, str)] == ["IN_PROGRESS"]
    assert [type(each) for each in won].count(Conflict) == 3
    closed = await dead_letters.get(conn, letter)
    assert (closed["state"], closed["closed_by"]) == ("REDRIVEN", "ann")
    assert (await runs.get(conn, run))["state"] == "IN_PROGRESS"


async def test_a_letter_is_discarded_with_a_reason_and_then_no_more_taken_up(conn: Conn) -> None:
    await a_failed_run(conn)
    letter = await open_letter(conn)
    with pytest.raises(Invalid):
        await dead_letters.discard(conn, letter, by="ann", note="  ")
    row = await dead_letters.discard(conn, letter, by="ann", note="done by hand")
    assert (row["state"], row["note"]) == ("DISCARDED", "done by hand")
    for again in (
        dead_letters.discard(conn, letter, by="bob", note="too"),
        dead_letters.redrive(conn, Catalog(), letter, by="bob"),
    ):
        with pytest.raises(Conflict, match="discarded by ann"):
            await again


async def test_a_letter_that_is_discarded_while_it_is_taken_up_stays_discarded_or_goes(
    dsn: str, conn: Conn
) -> None:
    """Never both: the run goes on exactly if the letter says so."""
    run = await a_failed_run(conn)
    letter = await open_letter(conn)
    async with await engine(dsn) as redriving:
        async with conn.transaction():
            await conn.execute("select from runs where id = %s for no key update", [run])
            waiting = asyncio.create_task(
                dead_letters.redrive(redriving, Catalog(), letter, by="bob")
            )
            await until_it_waits(dsn, redriving)
            await dead_letters.discard(conn, letter, by="ann", note="by hand")
        with pytest.raises(Conflict, match="discarded by ann"):
            await waiting
    assert await state_of(conn, run) == "FAILED"


async def test_a_second_failure_of_the_same_task_leaves_a_letter_of_its_own(conn: Conn) -> None:
    run, holder = await a_failed_run(conn), await a_holder(conn)
    await runs.retry(conn, Catalog(), run, by="ann")
    await carry_out(conn, holder, FAILURE)
    states = [row["state"] for row in await letters.page(conn, Filter(state="REDRIVEN"), limit=9)]
    states += [row["state"] for row in await letters.page(conn, Filter(state="OPEN"), limit=9)]
    assert states == ["REDRIVEN", "OPEN"]


async def test_letters_of_the_same_failure_are_one_group(conn: Conn) -> None:
    for _ in range(3):
        await a_failed_run(conn)
    (group,) = await letters.groups(conn, 10)
    assert (group["letters"], group["type"], group["task"]) == (3, "two", "t1")


# Starting


async def test_fifty_twins_with_one_key_are_one_run(dsn: str, conn: Conn) -> None:
    order = Order(type="two", input={}, by="test", key="monday")

    async def ask() -> set[tuple[UUID, bool]]:
        async with await engine(dsn) as mine:
            begun = [await runs.start(mine, Catalog(), order) for _ in range(5)]
            return {(each.id, each.replayed) for each in begun}

    answers = set().union(*await asyncio.gather(*(ask() for _ in range(10))))
    assert len({run for run, _ in answers}) == 1
    assert {replayed for _, replayed in answers} == {True, False}
    assert await one(conn, "select count(*) from runs") == 1


async def test_a_key_that_was_used_for_another_request_is_refused(conn: Conn) -> None:
    await start(conn, "two", key="monday")
    with pytest.raises(Conflict, match="used for another request"):
        await start(conn, "two", key="monday", priority=9)


async def test_a_start_that_is_refused_leaves_its_key_free(conn: Conn) -> None:
    with pytest.raises(Invalid):
        await start(conn, "with-input", key="monday")
    await start(conn, "with-input", key="monday", input={"n": 1})


async def test_many_are_started_or_none(conn: Conn) -> None:
    ids = await start_many(conn, "two", 300)
    assert len(set(ids)) == 300
    assert await one(conn, "select count(*) from tasks where state = 'READY'") == 300

    order = Order(type="with-input", input={}, by="test")
    with pytest.raises(Invalid):
        await runs.start_many(conn, Catalog(), order, [{"n": 1}, {"n": "two"}])
    assert await one(conn, "select count(*) from runs") == 300


# Records


async def a_record(conn: Conn) -> None:
    await records.create(conn, Catalog(), "nightly", Draft(type="two", input={}), by="ann")


async def test_each_start_of_a_record_is_a_run_of_its_own(conn: Conn) -> None:
    await a_record(conn)
    holder = await a_holder(conn)
    first = (await records.start(conn, Catalog(), "nightly", by="ann")).id
    for _ in range(2):
        await carry_out(conn, holder)
    second = (await records.start(conn, Catalog(), "nightly", by="bob")).id

    assert first != second
    found = await records.get(conn, "nightly")
    assert (found["current_run"], found["current_status"]) == (second, "IN_PROGRESS")
    assert (found["current_task_index"], found["total_tasks"]) == (0, 2)
    assert await state_of(conn, first) == "COMPLETED"


async def test_a_record_has_one_living_run_however_many_start_it(dsn: str, conn: Conn) -> None:
    await a_record(conn)

    async def begin() -> UUID:
        async with await engine(dsn) as mine:
            return (await records.start(mine, Catalog(), "nightly", by="ann")).id

    begun = await asyncio.gather(*(begin() for _ in range(6)), return_exceptions=True)
    assert [type(each) for each in begun].count(Conflict) == 5
    assert await one(conn, "select count(*) from runs") == 1


async def test_a_record_that_runs_cannot_be_deleted_and_its_runs_outlive_it(conn: Conn) -> None:
    await a_record(conn)
    run = (await records.start(conn, Catalog(), "nightly", by="ann")).id
    with pytest.raises(Conflict, match="stop it first"):
        await records.delete(conn, "nightly")
    stopped = await records.stop(conn, Catalog(), "nightly", by="ann")
    assert stopped["current_status"] == "STOPPED"
    await records.delete(conn, "nightly")
    assert (await runs.get(conn, run))["record_id"] == "nightly"
    with pytest.raises(NotFound):
        await records.get(conn, "nightly")
