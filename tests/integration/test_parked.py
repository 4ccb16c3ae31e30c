"""Tasks that nobody claims: sleeps, events, approvals, children."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from scheduler.domain.errors import Conflict, Forbidden, Invalid
from scheduler.domain.events import NewEvent
from scheduler.services import approvals, events, runs
from scheduler.services.access import Caller, Role
from scheduler.services.approvals import Decision
from scheduler.services.catalog import Catalog
from tests.support.builders import (
    FAILURE,
    Conn,
    a_holder,
    a_promoter,
    carry_out,
    engine,
    one,
    publish,
    start,
    state_of,
    states_of,
    tasks_of,
)
from tests.support.interleaving import until_it_waits

pytestmark = pytest.mark.anyio

NAP = "name: nap\ntasks: [{name: nap, sleep: 1s}, {name: up, noop: true}]\n"
NO_NAP = "name: no-nap\ntasks: [{name: nap, sleep: '${{ 0 }}'}, {name: up, noop: true}]\n"
PAID = """
name: paid
input: {type: object}
tasks:
  - {name: paid, wait_for: {event: order.paid, key: "${{ input.order }}"}, timeout: 1h}
  - {name: ship, noop: true}
"""
MUCH = """
name: much
vars: {least: 9}
tasks:
  - {name: least, noop: true}
  - name: paid
    wait_for:
      event: order.paid
      when: ${{ event.data.amount > vars.least && tasks.least.status == 'COMPLETED' }}
"""
TWICE = """
name: twice
tasks:
  - {name: first, wait_for: tick}
  - {name: second, wait_for: tick}
"""
TELLS = "name: tells\ntasks: [{name: tell, emit: {event: order.paid, key: '7', data: {a: 1}}}]\n"
ASKS = """
name: asks
tasks:
  - name: ask
    timeout: 1h
    approval:
      message: Ship it?
      who: [anna, role:author]
      form: {type: object, properties: {boxes: {type: integer}}, required: [boxes]}
  - {name: ship, noop: true}
"""
CHILD = """
name: child
input: {type: object, properties: {n: {type: integer}}, required: [n]}
tasks: [{name: work, noop: true}]
"""
PARENT = """
name: parent
tasks:
  - {name: call, process: {type: child, input: {n: 3}}, retries: {max: 1, delay: 1h}}
  - {name: after, noop: true}
"""
LOOSE = "name: loose\ntasks: [{name: call, process: {type: child, input: {n: 3}, wait: false}}]\n"
WRONG = "name: wrong\ntasks: [{name: call, process: {type: child, input: {n: many}}}]\n"
ITSELF = "name: itself\ntasks: [{name: again, process: itself}]\n"
EDGES = [NAP, NO_NAP, PAID, MUCH, TWICE, TELLS, ASKS, CHILD, PARENT, LOOSE, WRONG, ITSELF]

ANNA = Caller(1, "anna", Role.OPERATOR)
OTTO = Caller(2, "otto", Role.OPERATOR)
AUTHOR = Caller(3, "arthur", Role.AUTHOR)


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        await publish(conn, *EDGES)
        yield conn


async def settle_down(conn: Conn) -> None:
    while await a_promoter().tick(conn):
        pass


async def come_due(conn: Conn) -> None:
    await conn.execute("update tasks set due_at = clock_timestamp() where due_at is not null")
    await settle_down(conn)


async def happen(conn: Conn, type: str, key: str = "", data: Any = None, id: str = "1") -> None:
    event = NewEvent(source="test", id=id, type=type, key=key, data=data)
    await events.receive(conn, [event], by="test")
    await settle_down(conn)


async def child_of(conn: Conn, run: UUID) -> UUID:
    found: UUID = await one(
        conn, "select id from runs where parent_run = %s order by created_at desc limit 1", run
    )
    return found


# Sleeps


async def test_a_sleep_ends_by_itself_and_what_needs_it_goes_on(conn: Conn) -> None:
    run, holder = await start(conn, "nap"), await a_holder(conn)
    assert (await tasks_of(conn, run))["nap"]["reason"] == "timer"
    assert await carry_out(conn, holder) == []

    await come_due(conn)

    assert await carry_out(conn, holder) == ["up"]
    assert await state_of(conn, run) == "COMPLETED"
    assert await one(conn, "select count(*) from attempts where state = 'SUCCEEDED'") == 2


async def test_a_sleep_of_no_length_is_over_at_once(conn: Conn) -> None:
    run = await start(conn, "no-nap")
    assert await states_of(conn, run) == {"nap": "COMPLETED", "up": "READY"}


async def test_a_sleep_that_ends_in_a_held_run_leaves_the_run_held(conn: Conn) -> None:
    run = await start(conn, "nap")
    await runs.hold(conn, Catalog(), run, by="ann")
    await come_due(conn)
    assert await state_of(conn, run) == "HELD"
    assert (await tasks_of(conn, run))["up"]["reason"] == "hold"


# Events


async def test_an_event_wakes_what_waits_for_it_by_type_and_key(conn: Conn) -> None:
    run = await start(conn, "paid", input={"order": "7"})
    await happen(conn, "order.paid", "8", id="of another")
    assert (await tasks_of(conn, run))["paid"]["reason"] == "signal"

    await happen(conn, "order.paid", "7", {"amount": 12})

    rows = await tasks_of(conn, run)
    assert rows["paid"]["state"] == "COMPLETED"
    assert rows["paid"]["output"]["data"] == {"amount": 12}
    assert rows["ship"]["state"] == "READY"


async def test_an_event_that_came_before_its_waiter_is_found(conn: Conn) -> None:
    run = await start(conn, "twice")
    await happen(conn, "tick", id="1")
    await happen(conn, "tick", id="2")
    assert await states_of(conn, run) == {"first": "COMPLETED", "second": "COMPLETED"}


async def test_an_event_of_before_the_run_is_not_for_it(conn: Conn) -> None:
    await happen(conn, "tick")
    run = await start(conn, "twice")
    assert (await states_of(conn, run))["first"] == "WAITING"


async def test_the_same_event_twice_is_one_event(conn: Conn) -> None:
    run = await start(conn, "twice")
    await happen(conn, "tick", id="1")
    await happen(conn, "tick", id="1")
    assert await states_of(conn, run) == {"first": "COMPLETED", "second": "WAITING"}


async def test_an_event_that_is_not_wanted_is_passed_over(conn: Conn) -> None:
    run = await start(conn, "much")
    await carry_out(conn, await a_holder(conn))
    await happen(conn, "order.paid", data={"amount": 3}, id="1")
    assert (await states_of(conn, run))["paid"] == "WAITING"
    await happen(conn, "order.paid", data={"amount": 10}, id="2")
    assert await state_of(conn, run) == "COMPLETED"


async def test_what_cannot_be_compared_fails_the_wait_and_says_so(conn: Conn) -> None:
    run = await start(conn, "much")
    await carry_out(conn, await a_holder(conn))
    await happen(conn, "order.paid", data={"amount": "much"})
    task = (await tasks_of(conn, run))["paid"]
    assert task["state"] == "FAILED"
    assert "wait_for.when" in task["error"]


async def test_a_wait_that_lasts_too_long_fails(conn: Conn) -> None:
    run = await start(conn, "paid", input={"order": "7"})
    await come_due(conn)
    task = (await tasks_of(conn, run))["paid"]
    assert task["state"] == "FAILED"
    assert "within 3600 s" in task["error"]
    assert await one(conn, "select state::text from attempts") == "TIMED_OUT"


async def test_what_one_run_says_another_hears(conn: Conn) -> None:
    waiting = await start(conn, "paid", input={"order": "7"})
    assert await state_of(conn, await start(conn, "tells")) == "COMPLETED"
    await settle_down(conn)
    assert (await tasks_of(conn, waiting))["paid"]["output"]["data"] == {"a": 1}


@pytest.mark.parametrize("waiter_first", [True, False], ids=["waiter first", "event first"])
async def test_a_waiter_and_an_event_never_miss_each_other(
    dsn: str, conn: Conn, waiter_first: bool
) -> None:
    """Each looks while the other has written and not committed."""
    async with await engine(dsn) as other:
        first, second = (conn, other) if waiter_first else (other, conn)
        make_wait = start(conn, "paid", input={"order": "7"})
        make_event = events.receive(
            other, [NewEvent(source="test", id="1", type="order.paid", key="7")], by="test"
        )
        early, late = (make_wait, make_event) if waiter_first else (make_event, make_wait)
        async with first.transaction():
            begun = await early
            going = asyncio.ensure_future(late)
            await until_it_waits(dsn, second)
        ended = await going
    await settle_down(conn)
    run = begun if waiter_first else ended
    # The run began while the event was on its way: it is for it or not, but the wait is over
    # if it was there first.
    assert isinstance(run, UUID)
    state = (await states_of(conn, run))["paid"]
    assert state == "COMPLETED" if waiter_first else state in ("COMPLETED", "WAITING")


async def test_a_run_that_is_stopped_waits_for_nothing_any_more(conn: Conn) -> None:
    run = await start(conn, "paid", input={"order": "7"})
    await runs.stop(conn, Catalog(), run, by="ann")
    await happen(conn, "order.paid", "7")
    assert await state_of(conn, run) == "STOPPED"
    assert (await states_of(conn, run))["paid"] == "STOPPED"


# People


async def asked(conn: Conn) -> int:
    number: int = await one(conn, "select max(id) from approvals")
    return number


def yes(**data: Any) -> Decision:
    return Decision(approve=True, data=data)


async def test_whoever_is_asked_decides_and_the_run_goes_on(conn: Conn) -> None:
    run = await start(conn, "asks")
    row = await approvals.decide(conn, Catalog(), await asked(conn), yes(boxes=3), ANNA)
    assert (row["state"], row["decided_by"]) == ("APPROVED", "anna")
    rows = await tasks_of(conn, run)
    assert rows["ask"]["output"]["data"] == {"boxes": 3}
    assert rows["ship"]["state"] == "READY"


async def test_a_role_is_asked_by_its_name(conn: Conn) -> None:
    await start(conn, "asks")
    with pytest.raises(Forbidden, match="not for otto"):
        await approvals.decide(conn, Catalog(), await asked(conn), yes(boxes=3), OTTO)
    await approvals.decide(conn, Catalog(), await asked(conn), yes(boxes=3), AUTHOR)


async def test_an_answer_that_does_not_fit_the_form_decides_nothing(conn: Conn) -> None:
    run = await start(conn, "asks")
    with pytest.raises(Invalid, match="boxes"):
        await approvals.decide(conn, Catalog(), await asked(conn), yes(boxes="many"), ANNA)
    assert (await states_of(conn, run))["ask"] == "WAITING"


async def test_a_rejection_says_why_and_fails_the_task(conn: Conn) -> None:
    run = await start(conn, "asks")
    with pytest.raises(Invalid, match="say why"):
        await approvals.decide(
            conn, Catalog(), await asked(conn), Decision(approve=False, data={}), ANNA
        )
    no = Decision(approve=False, data={}, note="too late")
    await approvals.decide(conn, Catalog(), await asked(conn), no, ANNA)
    assert (await tasks_of(conn, run))["ask"]["error"] == "rejected by anna: too late"
    assert await state_of(conn, run) == "FAILED"


async def test_of_two_who_decide_one_wins(dsn: str, conn: Conn) -> None:
    await start(conn, "asks")
    number = await asked(conn)
    async with await engine(dsn) as other:
        answers = await asyncio.gather(
            approvals.decide(conn, Catalog(), number, yes(boxes=1), ANNA),
            approvals.decide(other, Catalog(), number, yes(boxes=2), AUTHOR),
            return_exceptions=True,
        )
    assert sum(isinstance(answer, Conflict) for answer in answers) == 1
    assert await one(conn, "select count(*) from attempts") == 1


async def test_what_nobody_needs_to_decide_is_closed(conn: Conn) -> None:
    run = await start(conn, "asks")
    await runs.stop(conn, Catalog(), run, by="ann")
    assert await one(conn, "select state::text from approvals") == "CLOSED"
    with pytest.raises(Conflict, match="closed"):
        await approvals.decide(conn, Catalog(), await asked(conn), yes(boxes=1), ANNA)


async def test_a_question_that_nobody_answers_in_time_fails_its_task(conn: Conn) -> None:
    run = await start(conn, "asks")
    await come_due(conn)
    assert await state_of(conn, run) == "FAILED"
    assert await one(conn, "select state::text from approvals") == "CLOSED"


async def test_a_new_round_asks_again(conn: Conn) -> None:
    run = await start(conn, "asks")
    await come_due(conn)
    await runs.retry(conn, Catalog(), run, by="ann")
    await approvals.decide(conn, Catalog(), await asked(conn), yes(boxes=1), ANNA)
    assert (await states_of(conn, run))["ship"] == "READY"


# Children


async def test_a_child_is_linked_and_its_end_is_its_task_s(conn: Conn) -> None:
    run, holder = await start(conn, "parent"), await a_holder(conn)
    child = await child_of(conn, run)
    assert (await runs.get(conn, child))["input"] == {"n": 3}
    assert (await runs.get(conn, child))["depth"] == 1

    assert await carry_out(conn, holder) == ["work"]
    await settle_down(conn)

    rows = await tasks_of(conn, run)
    assert rows["call"]["output"]["run"] == str(child)
    assert await carry_out(conn, holder) == ["after"]
    assert await state_of(conn, run) == "COMPLETED"


async def test_a_child_that_fails_fails_its_task_which_may_try_another(conn: Conn) -> None:
    run, holder = await start(conn, "parent"), await a_holder(conn)
    first = await child_of(conn, run)
    await carry_out(conn, holder, FAILURE)
    await settle_down(conn)
    assert (await tasks_of(conn, run))["call"]["reason"] == "backoff"
    await come_due(conn)
    second = await child_of(conn, run)
    assert second != first
    await carry_out(conn, holder, FAILURE)
    await settle_down(conn)
    assert await state_of(conn, run) == "FAILED"
    assert str(second) in (await tasks_of(conn, run))["call"]["error"]


async def test_the_end_of_a_child_that_was_given_up_is_no_news(conn: Conn) -> None:
    run, holder = await start(conn, "parent"), await a_holder(conn)
    first = await child_of(conn, run)
    await carry_out(conn, holder, FAILURE)
    await settle_down(conn)
    await come_due(conn)
    await runs.retry(conn, Catalog(), first, by="ann")
    await carry_out(conn, holder)
    await carry_out(conn, holder)
    await settle_down(conn)
    second = await child_of(conn, run)
    assert (await tasks_of(conn, run))["call"]["output"]["run"] == str(second)


async def test_stop_goes_down_and_the_parent_ends_after_its_child(conn: Conn) -> None:
    run = await start(conn, "parent")
    child = await child_of(conn, run)
    await runs.stop(conn, Catalog(), run, by="ann")
    assert await state_of(conn, run) == "STOPPING"
    await settle_down(conn)
    assert await state_of(conn, child) == "STOPPED"
    assert await state_of(conn, run) == "STOPPED"
    assert (await states_of(conn, run))["call"] == "STOPPED"


async def test_hold_and_resume_go_down(conn: Conn) -> None:
    run = await start(conn, "parent")
    child = await child_of(conn, run)
    await runs.hold(conn, Catalog(), run, by="ann")
    await settle_down(conn)
    assert await state_of(conn, child) == "HELD"
    await runs.resume(conn, Catalog(), run, by="ann")
    await settle_down(conn)
    assert await state_of(conn, child) == "IN_PROGRESS"


async def test_a_child_that_somebody_else_stopped_fails_its_task(conn: Conn) -> None:
    run = await start(conn, "parent")
    await runs.stop(conn, Catalog(), await child_of(conn, run), by="otto")
    await settle_down(conn)
    assert await state_of(conn, run) == "FAILED"


async def test_a_parent_that_does_not_wait_goes_on_at_once(conn: Conn) -> None:
    run = await start(conn, "loose")
    assert await state_of(conn, run) == "COMPLETED"
    child = await child_of(conn, run)
    assert (await tasks_of(conn, run))["call"]["output"] == {"run": str(child)}
    assert await state_of(conn, child) == "IN_PROGRESS"


async def test_a_child_that_cannot_be_started_fails_its_task_and_leaves_nothing(conn: Conn) -> None:
    run = await start(conn, "wrong")
    task = (await tasks_of(conn, run))["call"]
    assert task["state"] == "FAILED"
    assert "input.n" in task["error"]
    assert await one(conn, "select count(*) from runs where parent_run is not null") == 0


async def test_a_type_that_starts_itself_comes_to_an_end(conn: Conn) -> None:
    run = await start(conn, "itself")
    await settle_down(conn)
    assert await state_of(conn, run) == "FAILED"
    assert await one(conn, "select max(depth) from runs") == 20
