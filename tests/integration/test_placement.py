"""Tasks of workstations in the database: who may claim them, what goes together, what expires."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from executor.base import Ending, Outcome
from scheduler.domain import places
from scheduler.domain.board import Board
from scheduler.domain.board.placing import moment
from scheduler.domain.tasks import Claimed
from scheduler.services.catalog import Catalog
from scheduler.services.judging import judge
from scheduler.store import placements
from tests.support.builders import (
    FAILURE,
    LOST,
    Conn,
    a_holder,
    a_promoter,
    claimed,
    engine,
    one,
    publish,
    record,
    start,
    state_of,
    states_of,
    tasks_of,
)
from tests.support.interleaving import until_it_waits

pytestmark = pytest.mark.anyio

LINE_2 = 'on: {workstation: {labels: {line: "2"}}}'
STICKY = 'on: {workstation: {labels: {line: "2"}}, sticky: true}'
REPLACED = 'on: {workstation: {labels: {line: "2"}}, sticky: true, replace: true}'
QUEUE = "on:line=2"
FOUND = Outcome(ending=Ending.SUCCEEDED, exit_code=0, output='"found"')


def a_type(name: str, *tasks: str, needs: bool = False) -> str:
    lines = [f"  - {{name: t{number}, {each}}}" for number, each in enumerate(tasks)]
    return "\n".join([f"name: {name}", "tasks:", *lines, ""])


def together(name: str, on: str, count: int = 3) -> str:
    """Tasks of which none waits for another."""
    return a_type(name, *[f"run: x, needs: [], {on}" for _ in range(count)])


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        yield conn


async def a_station(
    conn: Conn,
    name: str,
    labels: str = '{"line": "2"}',
    *,
    told: str = "{}",
    state: str = "ACCEPTED",
) -> int:
    await conn.execute(
        "insert into workstations (name, state, labels, told_labels, public_key, created_by) "
        "values (%s, %s, %s, %s, %s, 'test')",
        [name, state, labels, told, f"key of {name}"],
    )
    return await a_holder(conn, f"ws:{name}")


async def take(conn: Conn, holder: int, name: str, queue: str = QUEUE, *, limit: int = 1) -> Any:
    """As a gateway claims for a workstation."""
    async with conn.transaction():
        found = await claimed(conn, holder, limit, queue=queue)
        taken = await note(conn, found, name)
    return [each for each in found if each.id not in taken.given_back]


async def note(conn: Conn, found: list[Claimed], name: str) -> placements.Taken:
    id = await one(conn, "select id from workstations where name = %s", name)
    return await placements.note_taken(conn, [each.id for each in found], id)


def names(found: list[Claimed]) -> list[str]:
    return [each.name for each in found]


async def queues_of(conn: Conn, run: UUID) -> dict[str, str]:
    return {name: row["queue"] for name, row in (await tasks_of(conn, run)).items()}


async def placement_of(conn: Conn, run: UUID, name: str = "t0") -> dict[str, Any]:
    found: dict[str, Any] = (await tasks_of(conn, run))[name]["placement"]
    return found


# Who may claim what.


async def test_a_task_is_ready_in_the_queue_of_its_place_and_nowhere_else(conn: Conn) -> None:
    await publish(conn, a_type("a", "run: x, on: {workstation: press-2}"))
    run, holder = await start(conn, "a"), await a_holder(conn)
    assert await queues_of(conn, run) == {"t0": "ws:press-2"}
    assert (await placement_of(conn, run))["on"] == {"workstation": "press-2"}
    assert await claimed(conn, holder) == []
    assert names(await claimed(conn, holder, queue="ws:press-2")) == ["t0"]


async def test_a_name_from_the_input_is_written_with_the_invocation(conn: Conn) -> None:
    await publish(conn, a_type("a", 'run: x, on: {workstation: "${{ input.s }}"}'))
    run = await start(conn, "a", input={"s": "saw-1"})
    assert await queues_of(conn, run) == {"t0": "ws:saw-1"}


async def test_queues_of_labels_with_something_ready_are_found_the_most_urgent_first(
    conn: Conn,
) -> None:
    await publish(
        conn,
        a_type("a", "run: x, on: {workstation: any}"),
        a_type("b", f"run: x, priority: 9, {LINE_2}"),
        a_type("c", "run: x, on: {workstation: press-2}"),
        a_type("d", "run: x"),
    )
    for name in ("a", "a", "b", "c", "d"):
        await start(conn, name)
    assert await placements.ready_queues(conn) == [QUEUE, places.ANYWHERE]


async def test_a_plain_success_makes_the_next_ready_for_its_workstation(conn: Conn) -> None:
    await publish(conn, a_type("a", "run: x", "run: y, on: {workstation: press-2}"))
    run, holder = await start(conn, "a"), await a_holder(conn)
    told = await record(conn, holder, await claimed(conn, holder))
    assert told.wake.queues == {"ws:press-2"}
    assert names(await claimed(conn, holder, queue="ws:press-2")) == ["t1"]
    assert (await placement_of(conn, run, "t1"))["on"] == {"workstation": "press-2"}


# All.


async def test_all_are_those_that_are_accepted_and_have_the_labels_now(conn: Conn) -> None:
    await publish(conn, a_type("a", 'run: x, on: {workstation: {all: {labels: {line: "2"}}}}'))
    await a_station(conn, "p1")
    await a_station(conn, "p2", "{}", told='{"line": "2"}')
    await a_station(conn, "p3", '{"line": "9"}', told='{"line": "2"}')
    await a_station(conn, "p4", state="PENDING")
    await a_station(conn, "p5", state="REVOKED")
    run = await start(conn, "a")
    assert await queues_of(conn, run) == {"t0": "default", "t0[p1]": "ws:p1", "t0[p2]": "ws:p2"}


async def test_where_none_has_the_labels_the_run_says_so(conn: Conn) -> None:
    await publish(conn, a_type("a", 'run: x, on: {workstation: {all: {labels: {line: "2"}}}}'))
    run = await start(conn, "a")
    assert await state_of(conn, run) == "FAILED"
    error = await one(conn, "select error from runs where id = %s", run)
    assert "there is not a workstation with line: 2 now" in error


async def test_the_rest_of_all_begin_when_their_turn_has_come(conn: Conn) -> None:
    await publish(conn, a_type("a", "run: x, on: {workstation: {all: any}, stagger: 1h}"))
    for name in ("p1", "p2"):
        await a_station(conn, name)
    run = await start(conn, "a")
    assert (await states_of(conn, run))["t0[p2]"] == "WAITING"
    await conn.execute("update tasks set due_at = clock_timestamp() where reason = 'timer'")
    await a_promoter().tick(conn)
    assert (await states_of(conn, run))["t0[p2]"] == "READY"


# What goes together.


async def test_the_first_claim_takes_what_goes_together_along(conn: Conn) -> None:
    await publish(conn, together("a", STICKY), together("b", STICKY, 1))
    run, other = await start(conn, "a"), await start(conn, "b")
    holder = await a_station(conn, "p1")
    assert names(await take(conn, holder, "p1")) == ["t0"]
    assert await queues_of(conn, run) == {"t0": QUEUE, "t1": "ws:p1", "t2": "ws:p1"}
    assert await queues_of(conn, other) == {"t0": QUEUE}
    assert (await placement_of(conn, run))["taken"] == "p1"


async def test_whoever_claims_what_belongs_with_anothers_gives_it_back(conn: Conn) -> None:
    await publish(conn, together("a", STICKY, 2))
    run = await start(conn, "a")
    first, second = await a_station(conn, "p1"), await a_station(conn, "p2")
    await take(conn, first, "p1")
    await conn.execute("update tasks set queue = %s where state = 'READY'", [QUEUE])
    async with conn.transaction():
        found = await claimed(conn, second, queue=QUEUE)
        taken = await note(conn, found, "p2")
    assert taken.given_back == {each.id for each in found}
    assert taken.queues == {"ws:p1"}
    row = (await tasks_of(conn, run))["t1"]
    assert (row["state"], row["queue"], row["holder"]) == ("READY", "ws:p1", None)
    assert names(await claimed(conn, first, queue="ws:p1")) == ["t1"]


async def test_of_two_that_claim_at_the_same_moment_one_has_both(conn: Conn, dsn: str) -> None:
    await publish(conn, together("a", STICKY, 2))
    run = await start(conn, "a")
    first, second = await a_station(conn, "p1"), await a_station(conn, "p2")
    async with await engine(dsn) as rival, asyncio.TaskGroup() as group, conn.transaction():
        mine = await claimed(conn, first, queue=QUEUE)
        has_claimed, may_note = asyncio.Event(), asyncio.Event()
        late = group.create_task(take_late(rival, second, has_claimed, may_note))
        await has_claimed.wait()
        await note(conn, mine, "p1")
        may_note.set()
        await until_it_waits(dsn, rival)
    assert late.result().queues == {"ws:p1"}
    assert sorted((await queues_of(conn, run)).values()) == [QUEUE, "ws:p1"]
    assert sorted((await states_of(conn, run)).values()) == ["IN_PROGRESS", "READY"]


async def take_late(
    conn: Conn, holder: int, has_claimed: asyncio.Event, may_note: asyncio.Event
) -> placements.Taken:
    async with conn.transaction():
        found = await claimed(conn, holder, queue=QUEUE)
        has_claimed.set()
        await may_note.wait()
        return await note(conn, found, "p2")


async def test_what_one_took_that_was_revoked_another_takes_over(conn: Conn) -> None:
    await publish(conn, a_type("a", f"run: x, {STICKY}"))
    run = await start(conn, "a")
    first, second = await a_station(conn, "p1"), await a_station(conn, "p2")
    await record(conn, first, await take(conn, first, "p1"), FAILURE)
    await conn.execute("update workstations set state = 'REVOKED' where name = 'p1'")
    await decide(conn, run, lambda board: board.retry("ann"))
    assert await queues_of(conn, run) == {"t0": QUEUE}
    assert names(await take(conn, second, "p2")) == ["t0"]
    assert await placements.taken(conn, run) == {QUEUE: "p2"}


async def test_what_does_not_go_together_is_anybodys(conn: Conn) -> None:
    await publish(conn, together("a", LINE_2, 2))
    run = await start(conn, "a")
    first, second = await a_station(conn, "p1"), await a_station(conn, "p2")
    assert names(await take(conn, first, "p1")) == ["t0"]
    assert names(await take(conn, second, "p2")) == ["t1"]
    assert (await placement_of(conn, run, "t1"))["taken"] == "p2"


async def test_what_comes_later_goes_to_who_took_the_first(conn: Conn) -> None:
    later = f"run: y, when: '${{{{ true }}}}', {STICKY}"
    await publish(conn, a_type("a", f"run: x, {STICKY}", later))
    run, holder = await start(conn, "a"), await a_station(conn, "p1")
    await record(conn, holder, await take(conn, holder, "p1"))
    await a_promoter().tick(conn)
    assert (await queues_of(conn, run))["t1"] == "ws:p1"


async def test_another_takes_all_that_has_not_begun_when_the_first_is_lost(conn: Conn) -> None:
    await publish(conn, together("a", REPLACED))
    run, holder = await start(conn, "a"), await a_station(conn, "p1")
    [mine] = await take(conn, holder, "p1")
    told = await record(conn, holder, [mine], LOST)
    assert told.wake.queues >= {QUEUE}
    assert set((await queues_of(conn, run)).values()) == {QUEUE}
    other = await a_station(conn, "p2")
    assert len(await take(conn, other, "p2", limit=9)) == 3


# Too late.


async def test_what_is_too_late_is_withdrawn_and_says_so(conn: Conn) -> None:
    await publish(conn, a_type("a", "run: x, on: {workstation: press-2, start_before: 10m}"))
    run, other = await start(conn, "a"), await start(conn, "a")
    left = await placements.next_too_late(conn)
    assert left is not None
    assert 0 < left <= 600
    assert await placements.too_late(conn, 10) == []
    await let_pass(conn, run)
    await a_promoter().tick(conn)
    assert await state_of(conn, run) == "FAILED"
    assert (await tasks_of(conn, run))["t0"]["error"].startswith("expired: it was to begin before ")
    assert await state_of(conn, other) == "IN_PROGRESS"
    assert await one(conn, "select count(*) from dead_letters where run_id = %s", run) == 1


async def let_pass(conn: Conn, run: UUID) -> None:
    was = moment(datetime.now(UTC) - timedelta(seconds=1))
    await conn.execute(
        "update tasks set placement = placement || jsonb_build_object('start_before', %s::text) "
        "where run_id = %s",
        [was, run],
    )


async def test_a_moment_is_written_as_the_database_compares_it(conn: Conn) -> None:
    text = "to_char(%s at time zone 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS+00:00')"
    for at in (datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 11, 21, 9, 5, 7, 89_000, UTC)):
        assert moment(at) == await one(conn, f"select {text}", at)


async def test_a_retry_has_its_own_time(conn: Conn) -> None:
    on = "on: {workstation: press-2, start_before: 10m}"
    await publish(conn, a_type("a", f"run: x, retries: {{max: 1, delay: 0}}, {on}"))
    run, holder = await start(conn, "a"), await a_holder(conn)
    before = (await placement_of(conn, run))["start_before"]
    await record(conn, holder, await claimed(conn, holder, queue="ws:press-2"), FAILURE)
    await a_promoter().tick(conn)
    assert (await states_of(conn, run))["t0"] == "READY"
    assert (await placement_of(conn, run))["start_before"] > before


# Lost, and heard of again.


async def decide(conn: Conn, run: UUID, what: Any) -> None:
    async with conn.transaction():
        await judge(conn, Catalog(), [run], what, by="test")


async def test_a_result_that_comes_after_all_takes_the_run_on(conn: Conn) -> None:
    await publish(conn, a_type("a", "run: x, on: {workstation: press-2}", "run: y"))
    run, holder = await start(conn, "a"), await a_holder(conn)
    [mine] = await claimed(conn, holder, queue="ws:press-2")
    await record(conn, holder, [mine], LOST)
    assert await state_of(conn, run) == "FAILED"
    await decide(conn, run, lambda board: board.late(mine.id, mine.attempt, FOUND))
    assert await states_of(conn, run) == {"t0": "COMPLETED", "t1": "READY"}
    assert (await tasks_of(conn, run))["t0"]["output"] == "found"
    assert await one(conn, "select state::text from dead_letters") == "REDRIVEN"


async def test_a_replacement_that_succeeds_all_the_same_does_not_overrule_the_original(
    conn: Conn,
) -> None:
    await publish(conn, a_type("a", f"run: x, {REPLACED}", "run: y"))
    run, holder = await start(conn, "a"), await a_station(conn, "p1")
    [first] = await take(conn, holder, "p1")
    await record(conn, holder, [first], LOST)
    [second] = await take(conn, holder, "p1")

    def late(board: Board) -> None:
        board.late(first.id, first.attempt, FOUND, station="p1")

    await decide(conn, run, late)
    assert (await tasks_of(conn, run))["t0"]["wanted"] == "stop"
    other = Outcome(ending=Ending.SUCCEEDED, exit_code=0, output='"other"')
    await record(conn, holder, [second], other)
    row = (await tasks_of(conn, run))["t0"]
    assert (row["state"], row["output"]) == ("COMPLETED", "found")
    assert (await states_of(conn, run))["t1"] == "READY"


async def test_an_undo_goes_to_the_workstation_that_did_it(conn: Conn) -> None:
    await publish(conn, a_type("a", f"run: x, {LINE_2}, undo: {{run: y}}", "run: z"))
    run, holder = await start(conn, "a"), await a_station(conn, "p1")
    await record(conn, holder, await take(conn, holder, "p1"))
    await record(conn, holder, await claimed(conn, holder), FAILURE)
    assert (await queues_of(conn, run))["undo:t0"] == "ws:p1"
    row = (await tasks_of(conn, run))["undo:t0"]
    assert (row["state"], row["on_lost"]) == ("READY", "wait")
