"""What became of attempts, written once, whoever asks how often and whatever is lost on the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from psycopg import AsyncConnection, OperationalError

from executor.base import Outcome
from scheduler.recorder import Recorder, Result
from scheduler.services import runs as run_service
from scheduler.services.catalog import Catalog
from scheduler.store import attempts, health, history, output
from scheduler.store.output import Chunk
from tests.support.builders import (
    FAILURE,
    LOST,
    STOPPED,
    SUCCESS,
    Conn,
    Told,
    a_holder,
    a_promoter,
    a_reaper,
    a_recorder,
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
from tests.support.interleaving import until_it_waits
from tests.support.waiting import patience

pytestmark = pytest.mark.anyio

ONE = chain("one", "")
TWO = chain("two", "", "")
RETRIED = chain("retried", ", retries: {max: 1, delay: 1s}")
DIAMOND = """
name: diamond
tasks:
  - {name: left, noop: true, needs: []}
  - {name: right, noop: true, needs: []}
  - {name: bottom, noop: true, needs: [left, right]}
"""
MENDED = """
name: mended
tasks:
  - {name: risky, noop: true, needs: [], on_failure: {handler: mend}}
  - {name: plain, noop: true, needs: []}
  - {name: both, noop: true, needs: [risky, plain]}
  - {name: last, noop: true, needs: [both]}
  - {name: mend, noop: true}
"""
RENDERED = """
name: rendered
input: {type: object}
tasks:
  - {name: first, noop: true}
  - {name: second, run: "echo ${{ input.word }} ${{ tasks.first.output.n }}"}
"""


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        await publish(conn, ONE, TWO, RETRIED, DIAMOND, MENDED, RENDERED)
        yield conn


async def written(conn: Conn) -> tuple[int, int]:
    """How many attempts there are, and how many of them of one task and number."""
    twice = "select count(*) - count(distinct (task_id, number)) from attempts"
    return await one(conn, "select count(*) from attempts"), await one(conn, twice)


async def kinds(conn: Conn, run: Any) -> list[str]:
    rows = await history.of_run(conn, run)
    assert [row["seq"] for row in rows] == [*range(1, len(rows) + 1)]
    return [row["kind"] for row in rows]


async def test_a_success_is_written_with_all_that_follows_from_it(conn: Conn) -> None:
    run, holder = await start(conn, "two"), await a_holder(conn)
    (mine,) = await claimed(conn, holder)
    outcome = replace(SUCCESS, output='{"n": 3}', detail={"cpu": 1})
    told = await record(conn, holder, [mine], outcome)

    first, second = (await tasks_of(conn, run)).values()
    assert (first["state"], first["output"], first["holder"]) == ("COMPLETED", {"n": 3}, None)
    assert (second["state"], second["needed"], second["open"]) == ("READY", 0, 0)
    (attempt,) = await attempts.of_task(conn, mine.id)
    assert (attempt["state"], attempt["number"], attempt["holder"]) == ("SUCCEEDED", 1, holder)
    assert (attempt["exit_code"], attempt["detail"]) == (0, {"cpu": 1})
    assert told.wake.concerns(run)
    assert told.wake.queues == {"default"}

    await carry_out(conn, holder)
    assert await state_of(conn, run) == "COMPLETED"
    assert await kinds(conn, run) == [
        "run.started",
        "task.completed",
        "task.completed",
        "run.completed",
    ]


@pytest.mark.parametrize("outcome", [SUCCESS, FAILURE], ids=["success", "failure"])
async def test_a_wrong_attempt_and_a_wrong_holder_write_nothing(
    conn: Conn, outcome: Outcome
) -> None:
    run, holder = await start(conn, "one"), await a_holder(conn)
    other = await a_holder(conn, "other")
    (mine,) = await claimed(conn, holder)

    await record(conn, holder, [replace(mine, attempt=2)], outcome)
    await record(conn, other, [mine], outcome)

    assert await states_of(conn, run) == {"t0": "IN_PROGRESS"}
    assert await written(conn) == (0, 0)
    assert (await kinds(conn, run)).count("task.late_result") == 2


@pytest.mark.parametrize("outcome", [SUCCESS, FAILURE, LOST], ids=["success", "failure", "lost"])
async def test_the_same_outcome_a_second_time_is_the_first_ones_echo(
    conn: Conn, outcome: Outcome
) -> None:
    run, holder = await start(conn, "retried"), await a_holder(conn)
    mine = await claimed(conn, holder)
    await record(conn, holder, mine, outcome)
    before = await tasks_of(conn, run), await kinds(conn, run)
    await record(conn, holder, mine, outcome)

    assert await written(conn) == (1, 0)
    assert (await tasks_of(conn, run), await kinds(conn, run)) == before


async def test_another_outcome_for_an_attempt_that_is_over_is_kept_as_late(conn: Conn) -> None:
    run, holder = await start(conn, "one"), await a_holder(conn)
    mine = await claimed(conn, holder)
    await record(conn, holder, mine)
    await record(conn, holder, mine, FAILURE)
    assert await state_of(conn, run) == "COMPLETED"
    assert (await kinds(conn, run))[-1] == "task.late_result"


async def test_one_task_twice_in_a_batch_counts_once(conn: Conn) -> None:
    run, holder = await start(conn, "two"), await a_holder(conn)
    (mine,) = await claimed(conn, holder)
    await record(conn, holder, [mine, mine])
    assert await written(conn) == (1, 0)
    assert await states_of(conn, run) == {"t0": "COMPLETED", "t1": "READY"}
    assert await health.miscounted(conn, 1) == []


async def test_a_reaped_holder_that_comes_back_writes_nothing(conn: Conn) -> None:
    run, holder = await start(conn, "one"), await a_holder(conn)
    mine = await claimed(conn, holder)
    await declare_gone(conn, holder)
    await a_reaper().tick(conn)
    await record(conn, holder, mine)

    assert await states_of(conn, run) == {"t0": "READY"}
    (attempt,) = await attempts.of_task(conn, mine[0].id)
    assert attempt["state"] == "LOST"
    assert (await kinds(conn, run))[-1] == "task.late_result"


async def test_two_parents_in_one_batch_lower_their_child_by_two(conn: Conn) -> None:
    run, holder = await start(conn, "diamond"), await a_holder(conn)
    await record(conn, holder, await claimed(conn, holder, 2))
    bottom = (await tasks_of(conn, run))["bottom"]
    assert (bottom["state"], bottom["needed"], bottom["open"]) == ("READY", 0, 0)


async def test_two_parents_by_two_recorders_at_once_lower_their_child_by_two(
    dsn: str, conn: Conn
) -> None:
    run, holder = await start(conn, "diamond"), await a_holder(conn)
    left, right = await claimed(conn, holder, 2)
    async with await engine(dsn) as second:
        async with conn.transaction():
            await conn.execute("select from runs where id = %s for no key update", [run])
            waiting = asyncio.create_task(record(second, holder, [right]))
            await until_it_waits(dsn, second)
        await record(conn, holder, [left])
        await waiting
    bottom = (await tasks_of(conn, run))["bottom"]
    assert (bottom["state"], bottom["needed"], bottom["open"]) == ("READY", 0, 0)


@pytest.mark.parametrize("last", ["risky", "plain"])
async def test_what_can_no_longer_run_is_skipped_whoever_of_its_needs_ends_last(
    conn: Conn, last: str
) -> None:
    """A plain success must not leave it PENDING for ever."""
    run, holder = await start(conn, "mended"), await a_holder(conn)
    mine = {task.name: task for task in await claimed(conn, holder, 2)}
    outcomes = {"risky": FAILURE, "plain": SUCCESS}
    for name in sorted(mine, key=lambda name: name == last):
        await record(conn, holder, [mine[name]], outcomes[name])
    await carry_out(conn, holder)

    assert await states_of(conn, run) == {
        "risky": "FAILED",
        "plain": "COMPLETED",
        "both": "SKIPPED",
        "last": "SKIPPED",
        "mend": "COMPLETED",
    }
    assert await state_of(conn, run) == "COMPLETED"


async def test_successors_stay_in_hand_up_to_what_was_promised(conn: Conn) -> None:
    await start_many(conn, "two", 4)
    holder = await a_holder(conn)
    told = Told(most=3)
    batch = [Result(task, SUCCESS) for task in await claimed(conn, holder, 4)]
    await a_recorder(holder, told)._record(conn, batch)

    assert [(task.name, task.attempt) for task in told.taken] == [("t1", 1)] * 3
    assert await one(conn, "select count(*) from tasks where state = 'READY'") == 1
    await record(conn, holder, told.taken)
    assert await one(conn, "select count(*) from runs where state = 'COMPLETED'") == 3


async def test_nothing_less_urgent_than_what_others_wait_for_stays_in_hand(conn: Conn) -> None:
    await start(conn, "two", priority=2)
    holder = await a_holder(conn)
    told = Told(most=3, best=0)
    batch = [Result(task, SUCCESS) for task in await claimed(conn, holder)]
    await a_recorder(holder, told)._record(conn, batch)
    assert told.taken == []


async def test_a_holder_that_is_gone_or_draining_keeps_no_successor(conn: Conn) -> None:
    await start(conn, "two")
    holder = await a_holder(conn)
    told = Told(most=3)
    batch = [Result(task, SUCCESS) for task in await claimed(conn, holder)]
    await conn.execute("update holders set state = 'DRAINING'")
    await a_recorder(holder, told)._record(conn, batch)
    assert told.taken == []
    assert await one(conn, "select count(*) from tasks where state = 'READY'") == 1


async def test_a_successor_with_expressions_is_filled_in_from_what_came_before(conn: Conn) -> None:
    run = await start(conn, "rendered", input={"word": "a b"})
    holder = await a_holder(conn)
    await carry_out(conn, holder, replace(SUCCESS, output='{"n": 3}'))
    second = (await tasks_of(conn, run))["second"]
    assert (second["state"], second["reason"]) == ("WAITING", "settle")

    await a_promoter().tick(conn)
    second = (await tasks_of(conn, run))["second"]
    assert second["state"] == "READY"
    assert second["invocation"]["argv"] == ["echo", "a b", "3"]


async def test_a_successor_that_cannot_be_filled_in_fails_its_run(conn: Conn) -> None:
    run, holder = await start(conn, "rendered"), await a_holder(conn)
    await carry_out(conn, holder)
    await a_promoter().tick(conn)
    assert await state_of(conn, run) == "FAILED"
    assert await one(conn, "select count(*) from dead_letters where state = 'OPEN'") == 1


async def test_a_result_that_cannot_be_stored_fails_its_own_task_alone(conn: Conn) -> None:
    await start_many(conn, "one", 8)
    holder = await a_holder(conn)
    mine = await claimed(conn, holder, 8)
    batch = [Result(task, SUCCESS) for task in mine]
    batch[3] = Result(mine[3], replace(SUCCESS, output='"\\u0000"'))
    await a_recorder(holder)._record(conn, batch)

    states = "select count(*) from tasks where state = %s"
    assert await one(conn, states, "COMPLETED") == 7
    assert await one(conn, states, "FAILED") == 1
    error = await one(conn, "select error from tasks where state = 'FAILED'")
    assert error.startswith("the task ended, but its result cannot be stored")


# A stop, a hold and a record, one while the other is under way


@pytest.mark.parametrize("outcome", [SUCCESS, FAILURE, STOPPED], ids=["success", "failed", "ended"])
@pytest.mark.parametrize("command", ["hold", "stop"])
async def test_a_result_that_waited_for_a_command_sees_what_it_decided(
    dsn: str, conn: Conn, command: str, outcome: Outcome
) -> None:
    run, holder = await start(conn, "two"), await a_holder(conn)
    mine = await claimed(conn, holder)
    async with await engine(dsn) as recording:
        async with conn.transaction():
            await getattr(run_service, command)(conn, Catalog(), run, by="ann")
            waiting = asyncio.create_task(record(recording, holder, mine, outcome))
            await until_it_waits(dsn, recording)
        await waiting
    assert await one(conn, "select count(*) from tasks where state = 'READY'") == 0
    ends = {"hold": {SUCCESS: "HELD", FAILURE: "FAILED", STOPPED: "HELD"}[outcome]}
    assert await state_of(conn, run) == ends.get(command, "STOPPED")
    assert await health.miscounted(conn, 1) == []


@pytest.mark.parametrize("command", ["hold", "stop"])
async def test_a_command_that_waited_for_a_claim_sees_the_task_in_hand(
    dsn: str, conn: Conn, command: str
) -> None:
    run, holder = await start(conn, "two"), await a_holder(conn)
    async with await engine(dsn) as commanding:
        async with conn.transaction():
            mine = await claimed(conn, holder)
            asked = getattr(run_service, command)(commanding, Catalog(), run, by="ann")
            waiting = asyncio.create_task(asked)
            await until_it_waits(dsn, commanding)
        await waiting
    assert await state_of(conn, run) == {"hold": "HOLDING", "stop": "STOPPING"}[command]
    assert (await tasks_of(conn, run))["t0"]["wanted"] == {"stop": "stop"}.get(command)
    await record(conn, holder, mine, STOPPED)
    assert await state_of(conn, run) == {"hold": "HELD", "stop": "STOPPED"}[command]


@pytest.mark.parametrize("command", ["hold", "stop"])
async def test_a_claim_passes_over_what_a_command_is_taking_away(
    dsn: str, conn: Conn, command: str
) -> None:
    run, holder = await start(conn, "two"), await a_holder(conn)
    async with await engine(dsn) as claiming, conn.transaction():
        await getattr(run_service, command)(conn, Catalog(), run, by="ann")
        assert await claimed(claiming, holder) == []
    assert await claimed(conn, holder) == []


# A lost answer


class LosesAnswers:
    """A connection over which a transaction is sent, and carried out, and never answered."""

    def __init__(self, conn: Conn) -> None:
        self.conn = conn

    def __getattr__(self, name: str) -> Any:
        return getattr(self.conn, name)

    @asynccontextmanager
    async def pipeline(self) -> AsyncIterator[Any]:
        async with self.conn.pipeline() as pipeline:
            yield pipeline
        raise OperationalError("the answer to the commit was lost")


async def test_a_lost_answer_to_a_commit_loses_nothing_and_writes_nothing_twice(
    dsn: str, conn: Conn
) -> None:
    run, holder = await start(conn, "two"), await a_holder(conn)
    mine = await claimed(conn, holder)
    told = Told()
    recorder = a_recorder(holder, told)
    chunk = Chunk(task_id=mine[0].id, attempt=1, start=0, stream=1, data=b"hello")
    recorder.submit([Result(mine[0], SUCCESS, (chunk,))])

    async with await engine(dsn) as first:
        losing: Any = LosesAnswers(first)
        with pytest.raises(OperationalError, match="lost"):
            await asyncio.wait_for(recorder.work(losing), 20)
    assert told.recorded == []
    assert await states_of(conn, run) == {"t0": "COMPLETED", "t1": "READY"}

    await until_drained(dsn, recorder)
    assert [each.task.id for each in told.recorded] == [mine[0].id]
    assert await written(conn) == (1, 0)
    assert await states_of(conn, run) == {"t0": "COMPLETED", "t1": "READY"}
    assert [c.data for c in await output.read(conn, mine[0].id, 1)] == [b"hello"]


async def test_a_server_that_ends_a_connection_while_it_records_gets_the_result_again(
    dsn: str, conn: Conn
) -> None:
    run, holder = await start(conn, "two"), await a_holder(conn)
    mine = await claimed(conn, holder)
    recorder = a_recorder(holder)
    recorder.submit([Result(mine[0], SUCCESS)])
    async with await engine(dsn) as first, conn.transaction():
        await conn.execute("select from runs where id = %s for no key update", [run])
        working = asyncio.create_task(recorder.work(first))
        await until_it_waits(dsn, first)
        async with await AsyncConnection.connect(dsn, autocommit=True) as owner:
            await owner.execute("select pg_terminate_backend(%s)", [first.info.backend_pid])
        with pytest.raises(OperationalError):
            await asyncio.wait_for(working, 20)
    assert await states_of(conn, run) == {"t0": "IN_PROGRESS", "t1": "PENDING"}
    await until_drained(dsn, recorder)
    assert await states_of(conn, run) == {"t0": "COMPLETED", "t1": "READY"}


async def until_drained(dsn: str, recorder: Recorder) -> None:
    async with await engine(dsn) as conn:
        working = asyncio.create_task(recorder.work(conn))
        async with asyncio.timeout(patience(20)):
            await recorder.drained()
        working.cancel()
        await asyncio.wait([working])


async def test_a_deadlock_with_somebody_who_breaks_the_order_is_tried_again(
    dsn: str, conn: Conn
) -> None:
    run, holder = await start(conn, "one"), await a_holder(conn)
    mine = await claimed(conn, holder)
    owner = await AsyncConnection.connect(dsn, autocommit=True)
    async with await engine(dsn) as recording, owner as rude:
        # It is the recorder that looks for deadlocks, and is hit.
        await rude.execute("set deadlock_timeout = '1min'")
        async with rude.transaction():
            await rude.execute("select from tasks where run_id = %s for no key update", [run])
            waiting = asyncio.create_task(record(recording, holder, mine))
            await until_it_waits(dsn, recording)
            await rude.execute("select from runs where id = %s for no key update", [run])
        await waiting
    assert await state_of(conn, run) == "COMPLETED"
    assert await written(conn) == (1, 0)


async def test_a_full_batch_is_announced_in_few_words(dsn: str, conn: Conn) -> None:
    """A payload beyond 8,000 bytes would fail the transaction that sends it."""
    await start_many(conn, "one", 200)
    holder = await a_holder(conn)
    told = await record(conn, holder, await claimed(conn, holder, 200))
    payload = told.wake.encode()
    assert len(payload.encode()) < 8000
    await conn.execute("select pg_notify('procession', %s)", [payload])
