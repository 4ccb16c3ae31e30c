"""Fanning out, repeating, undoing and hooks, as the database carries them out."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from executor.base import Outcome
from scheduler.domain.definitions import ProcessType
from scheduler.domain.errors import Invalid
from scheduler.services import definitions, queues, runs
from scheduler.services.catalog import Catalog
from scheduler.services.runs import Order
from scheduler.store import health, tasks
from tests.support.builders import (
    FAILURE,
    SUCCESS,
    Conn,
    a_holder,
    a_promoter,
    claimed,
    engine,
    one,
    record,
    state_of,
    states_of,
    tasks_of,
)
from tests.support.flows import a_type_of, each, noop, repeated, undoing

pytestmark = pytest.mark.anyio

DONE = "${{ output.done }}"


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        yield conn


async def begin(conn: Conn, definition: ProcessType, **input: Any) -> UUID:
    await definitions.publish(conn, [definition], by="test")
    order = Order(type=definition.name, input=input, by="test")
    return (await runs.start(conn, Catalog(), order)).id


async def go_on(conn: Conn) -> None:
    while await a_promoter().tick(conn):
        pass


def answer(value: Any) -> Outcome:
    return replace(SUCCESS, output=json.dumps(value))


async def carry_out(conn: Conn, holder: int, **outcomes: Outcome) -> list[str]:
    """Everything that can be done, in turns; what was done, in its order."""
    done = []
    await go_on(conn)
    while batch := await claimed(conn, holder, 100):
        for task in batch:
            await record(conn, holder, [task], outcomes.get(task.name, answer(task.name)))
            done.append(task.name)
        await go_on(conn)
        assert await health.miscounted(conn, 1) == []
    return done


async def test_items_are_carried_out_and_what_they_came_to_is_gathered(conn: Conn) -> None:
    run = await begin(conn, a_type_of(each("a"), noop("b", "a")), items=["x", "y", "z"])
    done = await carry_out(conn, await a_holder(conn))
    assert done == ["a[0]", "a[1]", "a[2]", "b"]
    assert await state_of(conn, run) == "COMPLETED"
    assert (await tasks_of(conn, run))["a"]["output"] == ["a[0]", "a[1]", "a[2]"]
    assert await one(conn, "select total from runs") == 5


async def test_many_items_end_in_few_statements_and_nobody_looks_at_each(conn: Conn) -> None:
    run = await begin(conn, a_type_of(each("a"), noop("b", "a")), items=[*range(1000)])
    holder = await a_holder(conn)
    mine = await claimed(conn, holder, 1000)
    assert len(mine) == 1000
    await record(conn, holder, mine[:999])
    found = (await tasks_of(conn, run))["a"]
    assert (found["state"], found["reason"], found["needed"], found["open"]) == (
        "WAITING",
        "items",
        1,
        1,
    )
    assert found["due_at"] is None
    told = await record(conn, holder, mine[999:])
    assert told.wake.due
    assert (await tasks_of(conn, run))["a"]["due_at"] is not None
    await go_on(conn)
    assert (await states_of(conn, run))["b"] == "READY"
    assert len((await tasks_of(conn, run))["a"]["output"]) == 1000


async def test_items_of_a_map_are_gathered_by_key_with_null_for_what_failed(conn: Conn) -> None:
    flow = a_type_of(each("a", min_success=1))
    run = await begin(conn, flow, items={"one": 1, "two": 2})
    await carry_out(conn, await a_holder(conn), **{"a[two]": FAILURE})
    assert (await tasks_of(conn, run))["a"]["output"] == {"one": "a[one]", "two": None}


async def test_no_more_items_are_under_way_than_may_be_and_their_limit_goes_with_them(
    conn: Conn,
) -> None:
    await begin(conn, a_type_of(each("a", max_parallel=2)), items=[*range(5)])
    holder = await a_holder(conn)
    sizes = []
    await go_on(conn)
    while mine := await claimed(conn, holder, 10):
        sizes.append(len(mine))
        await record(conn, holder, mine)
        await go_on(conn)
    assert sizes == [2, 2, 1]
    assert await one(conn, "select count(*) from limit_slots") == 0


async def test_an_output_that_is_too_long_together_is_missed_by_who_asks_for_it(
    conn: Conn,
) -> None:
    after = noop("b", "a", when="${{ tasks.a.status == 'COMPLETED' }}")
    asks = noop("c", "b", when="${{ tasks.a.output.size() > 0 }}")
    run = await begin(conn, a_type_of(each("a"), after, asks), items=[*range(5)])
    long = answer("x" * 250_000)
    holder = await a_holder(conn)
    await carry_out(conn, holder, **{f"a[{number}]": long for number in range(5)})
    assert (await states_of(conn, run))["b"] == "COMPLETED"
    error = (await tasks_of(conn, run))["c"]["error"]
    assert "its items have 1250020 bytes of output together: 1048576 are kept" in error


async def test_a_new_round_does_the_items_that_failed_and_gathers_all(conn: Conn) -> None:
    run = await begin(conn, a_type_of(each("a")), items=[1, 2, 3])
    holder = await a_holder(conn)
    await carry_out(conn, holder, **{"a[1]": FAILURE})
    assert await state_of(conn, run) == "FAILED"
    await runs.retry(conn, Catalog(), run, by="ann")
    assert await carry_out(conn, holder) == ["a[1]"]
    assert (await tasks_of(conn, run))["a"]["output"] == ["a[0]", "a[1]", "a[2]"]


async def test_a_task_is_repeated_until_its_output_says_so(conn: Conn) -> None:
    run = await begin(conn, a_type_of(repeated("a", DONE)))
    holder = await a_holder(conn)
    assert await carry_out(conn, holder, a=answer({"done": False})) == ["a"]
    found = (await tasks_of(conn, run))["a"]
    assert (found["state"], found["reason"]) == ("WAITING", "timer")
    await conn.execute("update tasks set due_at = clock_timestamp()")
    assert await carry_out(conn, holder, a=answer({"done": True})) == ["a"]
    assert await state_of(conn, run) == "COMPLETED"
    assert (await tasks_of(conn, run))["a"]["output"] == {"done": True}


async def test_what_was_done_is_undone_with_the_output_that_it_had(conn: Conn) -> None:
    undo = noop("a", when=None, share="${{ output }}")
    flow = a_type_of(noop("a", undo=undo), undoing("b", "a"), noop("c", "b"))
    run = await begin(conn, flow)
    done = await carry_out(conn, await a_holder(conn), c=FAILURE)
    assert done == ["a", "b", "c", "undo:b", "undo:a"]
    assert await state_of(conn, run) == "FAILED"
    assert await one(conn, "select compensated from runs") == "yes"
    assert await one(conn, "select of from tasks where name = 'undo:b'") == 1


async def test_undos_and_hooks_wait_for_places_like_all_tasks(conn: Conn) -> None:
    hooks = {"failure": noop("failure", queue="narrow")}
    flow = a_type_of(noop("a", undo=noop("a", queue="narrow")), noop("b", "a"), hooks=hooks)
    await queues.resize(conn, "narrow", 1, by="ann")
    run, holder = await begin(conn, flow), await a_holder(conn)
    await conn.execute(
        "insert into limit_slots (key, slot, task_id) values ('queue:narrow', 1, 0) "
        "on conflict (key, slot) do update set task_id = 0"
    )
    await carry_out(conn, holder, b=FAILURE)
    assert await state_of(conn, run) == "COMPENSATING"
    await conn.execute("update limit_slots set task_id = null")
    await go_on(conn)
    await record(conn, holder, await claimed(conn, holder, queue="narrow"))
    await go_on(conn)
    assert await state_of(conn, run) == "COMPENSATING"
    (hook,) = await claimed(conn, holder, queue="narrow")
    await record(conn, holder, [hook])
    assert (hook.name, await state_of(conn, run)) == ("hook:failure", "FAILED")


async def test_hooks_are_called_and_a_result_is_kept_before_a_run_is_completed(
    conn: Conn,
) -> None:
    names = ("start", "success", "exit")
    flow = a_type_of(
        noop("a"),
        hooks={name: noop(name) for name in names},
        result={"a": "${{ tasks.a.output }}"},
    )
    run = await begin(conn, flow)
    done = await carry_out(conn, await a_holder(conn))
    assert done == ["hook:start", "a", "hook:success", "hook:exit"]
    found = await runs.get(conn, run)
    assert (found["state"], found["output"]) == ("COMPLETED", {"a": "a"})


async def test_a_task_that_is_marked_as_done_gives_its_output_to_the_next(conn: Conn) -> None:
    flow = a_type_of(noop("a"), noop("b", "a", when="${{ tasks.a.output.n == 1 }}"))
    run = await begin(conn, flow)
    await runs.mark_task_done(conn, Catalog(), run, "a", {"n": 1}, by="ann", why="by hand")
    assert await carry_out(conn, await a_holder(conn)) == ["b"]
    assert await state_of(conn, run) == "COMPLETED"
    with pytest.raises(Invalid, match="more than 262144 bytes"):
        await runs.mark_task_done(conn, Catalog(), run, "a", "x" * (1 << 19), by="ann", why="")


async def test_a_run_is_undone_when_somebody_asks_for_it_after_its_end(conn: Conn) -> None:
    run, holder = await begin(conn, a_type_of(undoing("a"), noop("b", "a"))), await a_holder(conn)
    await record(conn, holder, await claimed(conn, holder))
    await runs.stop(conn, Catalog(), run, by="ann")
    found = await runs.undo(conn, Catalog(), run, by="ann")
    assert found["state"] == "COMPENSATING"
    assert await carry_out(conn, holder) == ["undo:a"]
    assert await state_of(conn, run) == "STOPPED"


async def test_what_is_decided_is_seen_by_what_is_settled_in_the_same_transaction(
    conn: Conn,
) -> None:
    """The output of a task whose success is judged must not be missed by the one that reads it."""
    judged = repeated("a", "${{ true }}")
    flow = a_type_of(judged, noop("b", "a", when="${{ tasks.a.output.n == 7 }}"))
    run, holder = await begin(conn, flow), await a_holder(conn)
    await go_on(conn)
    await record(conn, holder, await claimed(conn, holder), answer({"n": 7}))
    assert await states_of(conn, run) == {"a": "COMPLETED", "b": "READY"}


async def test_a_fault_beside_a_fan_out_leaves_its_items_countable(conn: Conn) -> None:
    flow = a_type_of(each("a"), noop("b"), noop("clean", "a", "b", after="always"))
    run, holder = await begin(conn, flow, items=[1, 2, 3]), await a_holder(conn)
    mine = {task.name: task for task in await claimed(conn, holder, 10)}
    await record(conn, holder, [mine["a[0]"]])
    await record(conn, holder, [mine["b"]], FAILURE)
    assert await health.miscounted(conn, 1) == []
    await record(conn, holder, [mine["a[1]"]])
    await record(conn, holder, [mine["a[2]"]], FAILURE)
    assert await carry_out(conn, holder) == ["clean"]
    found = await states_of(conn, run)
    assert (found["a"], found["a[1]"], await state_of(conn, run)) == (
        "STOPPED",
        "COMPLETED",
        "FAILED",
    )
    assert len(await tasks.of_run(conn, run)) == 6
