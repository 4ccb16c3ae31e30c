"""Runs that a workstation decides about are seen on the server, and touched by nothing there."""

import json
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

import pytest

from edge.messages import Happened, Lane, RunTold
from executor.base import Ending, Outcome
from scheduler.domain.board import Board
from scheduler.domain.tasks import RANKS
from scheduler.loops.promoter import Promoter
from scheduler.loops.pulse import Pulse
from scheduler.loops.reaper import Reaper
from scheduler.services import runs_in_bulk
from scheduler.services.catalog import Catalog
from scheduler.services.judging import judge
from scheduler.services.runs_in_bulk import Wish
from scheduler.store import tasks
from tests.support.edge_alone import Alone, alone
from tests.support.gateways import Served, a_line
from tests.support.publishing import publish, start
from tests.support.waiting import patience, until

pytestmark = pytest.mark.anyio

TYPES = """
name: part-NAME
tasks:
  - {name: cut, run: [cut]}
  - {name: drill, run: [drill], output: json}
result: {hole: "${{ tasks.drill.output.hole }}"}
---
name: order-NAME
tasks:
  - name: make
    process: part-NAME
    on: {workstation: NAME}
"""
COMPLETED = "select 1 from runs where id = %s and state = 'COMPLETED'"
NUMBERS = count(1)


@pytest.fixture
async def press(served: Served) -> Alone:
    return await alone(served, f"press-{next(NUMBERS)}")


async def order(served: Served, machine: Alone) -> UUID:
    await publish(served, TYPES.replace("NAME", machine.name))
    return await start(served, f"order-{machine.name}")


async def mirrored(served: Served, parent: UUID) -> UUID:
    query = "select id from runs where parent_run = %s"
    found: UUID = await served.becomes(query, parent)
    return found


async def test_a_process_that_is_handed_over_goes_on_without_the_server_and_is_seen_there(
    served: Served, press: Alone
) -> None:
    async with a_line(served, press):
        run = await order(served, press)
        first = await press.has_begun()
        child = await mirrored(served, run)
        assert await served.one(
            "select state::text from tasks where run_id = %s and name = 'cut'", child
        ) in ("READY", "IN_PROGRESS")
    press.print(first.attempt, b"chips\n")
    press.end(first.attempt)
    second = await press.has_begun(2)
    press.end(second.attempt, output={"hole": 7})
    async with a_line(served, press):
        await served.becomes(COMPLETED, run)
        await until(lambda: not press.book.jobs)
    assert await served.one("select output from runs where id = %s", child) == {"hole": 7}
    states = await served.rows(
        "select name, state::text, attempt from tasks where run_id = %s order by position", child
    )
    assert states == [("cut", "COMPLETED", 1), ("drill", "COMPLETED", 1)]
    made = await served.one("select output from tasks where run_id = %s and name = 'make'", run)
    assert made == {"run": str(child), "output": {"hole": 7}}
    log = "select data from output_chunks c join tasks t on t.id = c.task_id where t.run_id = %s"
    assert bytes(await served.one(log, child)) == b"chips\n"
    assert await served.one("select count(*) from attempts where run_id = %s", child) == 2
    seqs = await served.rows("select seq from history where run_id = %s order by seq", child)
    assert [seq for (seq,) in seqs] == list(range(1, len(seqs) + 1))


BY_CLOCKS = """
select extract(epoch from now() - r.finished_at)::float, a.ago, t.ago, h.ago, h.heard
  from runs r,
       lateral (select max(extract(epoch from now() - finished_at))::float as ago
                  from attempts where run_id = r.id) a,
       lateral (select max(extract(epoch from now() - finished_at))::float as ago
                  from tasks where run_id = r.id) t,
       lateral (select extract(epoch from now() - (data ->> 'at')::timestamptz)::float as ago,
                       extract(epoch from now() - at)::float as heard
                  from history where run_id = r.id and kind = 'run.completed') h
 where r.id = %s
"""


async def test_what_ended_there_ended_then_by_our_clock_and_when_it_was_heard_is_known_too(
    served: Served, press: Alone
) -> None:
    press.ahead = 3 * 86_400.0
    async with a_line(served, press):
        run = await order(served, press)
        await press.has_begun()
        child = await mirrored(served, run)
    press.ahead -= 3_600.0  # an hour ago, by that clock
    for number in (1, 2):
        offer = await press.has_begun(number)
        press.end(offer.attempt, output={"hole": 7})
    press.ahead += 3_600.0
    async with a_line(served, press):
        await served.becomes(COMPLETED, run)
    [[*happened, heard]] = await served.rows(BY_CLOCKS, child)
    assert all(3_590 < seconds < 3_600 + patience(60) for seconds in happened)
    assert 0 <= heard < patience(60)


async def a_child(served: Served, press: Alone) -> tuple[UUID, UUID]:
    """A run that was handed over and goes on there, and the one that it is for."""
    async with a_line(served, press):
        run = await order(served, press)
        await press.has_begun()
        child = await mirrored(served, run)
        await served.becomes("select 1 from tasks where run_id = %s and attempt = 1", child)
    return run, child


async def rows_of(served: Served, run: UUID) -> object:
    task_rows = await served.rows("select t::text from tasks t where run_id = %s order by id", run)
    return task_rows, await served.rows("select r::text from runs r where id = %s", run)


async def test_nobody_here_claims_promotes_reaps_or_judges_what_a_workstation_decides_about(
    served: Served, press: Alone
) -> None:
    _, child = await a_child(served, press)
    before = await rows_of(served, child)
    conn, catalog = served.conn, Catalog()
    [[queue]] = await served.rows("select distinct queue from tasks where run_id = %s", child)
    floors = [0] * RANKS
    assert await tasks.claim(conn, "default", holder=1, floors=floors, limit=10) == []
    assert queue == f"ws:{press.name}:own"
    [[id]] = await served.rows("select id from tasks where run_id = %s and attempt = 1", child)
    outcome = Outcome(ending=Ending.FAILED)
    await judge(conn, catalog, [child], lambda board: fail(board, id, outcome), by="tester")
    await conn.execute("update holders set state = 'GONE' where name = %s", [f"ws:{press.name}"])
    assert await Reaper(catalog, served.patience, Pulse(), lambda wake: None).tick(conn) == 0
    await Promoter(catalog, Pulse(), lambda wake: None).tick(conn)
    await served.watch()
    assert await rows_of(served, child) == before


def fail(board: Board, task: int, outcome: Outcome) -> None:
    board.record(task, 1, board.by_id[task].holder or 0, outcome)


async def test_a_run_of_a_workstation_is_shown_like_any_other(served: Served, press: Alone) -> None:
    _, child = await a_child(served, press)
    for path in ("", "/tasks", "/events", "/why", "/plan"):
        answer = await served.api.get(f"/runs/{child}{path}")
        assert answer.status_code in (200, 404), (path, answer.text)
        assert (answer.status_code == 200) == (path != "/plan"), path
    told = (await served.api.get(f"/runs/{child}/why")).text
    assert f"The workstation {press.name} decides about this run" in told
    page = await served.api.get(f"{served.url}/ui/runs/{child}")
    assert page.status_code in (200, 303), page.text
    assert f"workstation {press.name}" in (await served.api.get(f"/runs/{child}")).text


async def test_a_run_of_a_workstation_is_held_and_stopped_from_the_server(
    served: Served, press: Alone
) -> None:
    _, child = await a_child(served, press)
    answer = await served.api.post(f"/runs/{child}/hold", json={})
    assert answer.status_code in (200, 202), answer.text
    async with a_line(served, press):
        await served.becomes("select 1 from runs where id = %s and state = 'HOLDING'", child)
        answer = await served.api.post(f"/runs/{child}/stop", json={"kill": True})
        assert answer.status_code in (200, 202), answer.text
        await until(lambda: ("kill" in [verb for _, verb in press.steered]) or None)
        press.end(press.begun[0].attempt, "STOPPED")
        await served.becomes("select 1 from runs where id = %s and state = 'STOPPED'", child)


async def asked(served: Served, path: str, status: int = 200, **body: Any) -> Any:
    answer = await served.api.post(path, json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


async def told(served: Served, run: UUID) -> str:
    return " ".join((await served.api.get(f"/runs/{run}/why")).json()["reasons"])


async def test_another_round_and_a_task_left_out_are_asked_for_from_the_server(
    served: Served, press: Alone
) -> None:
    _, child = await a_child(served, press)
    press.end(press.begun[0].attempt, "FAILED")
    async with a_line(served, press):
        await served.becomes("select 1 from runs where id = %s and state = 'FAILED'", child)
    await asked(served, f"/runs/{child}/retry")
    again = await asked(served, f"/runs/{child}/retry", 409)
    assert "asked the workstation" in again["detail"]
    async with a_line(served, press):
        second = await press.has_begun(2)
        assert second.attempt == f"{child}/0.2"
        await served.becomes("select 1 from tasks where run_id = %s and attempt = 2", child)
    await asked(served, f"/runs/{child}/tasks/cut/skip", why="nobody needs it")
    assert "has not heard of it" in await told(served, child)
    await asked(served, f"/runs/{child}/tasks/drill/complete", why="by hand", output={"hole": 3})
    async with a_line(served, press):
        done = "select 1 from tasks where run_id = %s and name = 'drill' and state = 'COMPLETED'"
        await served.becomes(done, child)
        assert "skip it, which it refused:" in await told(served, child)
        press.end(second.attempt)
        await served.becomes(COMPLETED, child)
    assert await served.one("select output from runs where id = %s", child) == {"hole": 3}


async def test_what_an_agent_knows_nothing_of_is_refused_with_the_reason(
    served: Served, press: Alone
) -> None:
    _, child = await a_child(served, press)
    await served.conn.execute("update workstations set does = '{}' where name = %s", [press.name])
    refused = await asked(served, f"/runs/{child}/retry", 409)
    assert press.name in refused["detail"]
    assert "newer agent" in refused["remedy"]
    await asked(served, f"/runs/{child}/hold")
    await served.conn.execute(
        "update workstations set state = 'REVOKED' where name = %s", [press.name]
    )
    assert "revoked" in (await asked(served, f"/runs/{child}/stop", 409))["detail"]


ASKS = """
name: part-NAME
tasks:
  - name: look
    approval:
      message: Is it good?
      form: {type: object, required: [size], properties: {size: {type: number}}}
---
name: order-NAME
tasks:
  - {name: make, process: part-NAME, on: {workstation: NAME}}
"""


async def test_what_is_asked_there_is_answered_here_and_counts_when_it_was_heard(
    served: Served, press: Alone
) -> None:
    async with a_line(served, press):
        await publish(served, ASKS.replace("NAME", press.name))
        child = await mirrored(served, await start(served, f"order-{press.name}"))
        question = await served.becomes("select id from approvals where run_id = %s", child)
    path = f"/approvals/{question}/approve"
    await asked(served, path, 422, data={"size": "large"})
    assert (await asked(served, path, data={"size": 4}))["status"] == "OPEN"
    assert "has not answered yet" in (await asked(served, path, 409, data={"size": 5}))["detail"]
    async with a_line(served, press):
        await served.becomes(COMPLETED, child)
        await served.becomes("select 1 from approvals where id = %s and state <> 'OPEN'", question)
    decided = await served.rows("select state::text, data from approvals where id = %s", question)
    assert decided == [("APPROVED", {"size": 4})]


async def test_commands_for_many_say_which_of_them_a_workstation_was_asked_for(
    served: Served, press: Alone
) -> None:
    _, child = await a_child(served, press)
    catalog, wish = Catalog(), Wish(action="hold")
    found = await runs_in_bulk.decided(served.conn, catalog, child, wish, "tester")
    assert found == ("done", f"asked of the workstation {press.name}")
    retry = Wish(action="retry")
    await served.conn.execute("update workstations set does = '{}' where name = %s", [press.name])
    result, why = await runs_in_bulk.decided(served.conn, catalog, child, retry, "tester")
    assert (result, press.name in (why or "")) == ("refused", True)


async def test_a_dead_letter_of_such_a_run_is_refused_with_the_reason_and_nothing_begins_here(
    served: Served, press: Alone
) -> None:
    _, child = await a_child(served, press)
    [[letter]] = await served.rows(
        "insert into dead_letters (run_id, task_id, round, type, task, error, fingerprint, input)"
        " select run_id, id, 1, 'part', name, 'broken', 'x', '{}' from tasks"
        " where run_id = %s and name = 'cut' returning id",
        child,
    )
    before = await rows_of(served, child)
    refused = await asked(served, f"/dead-letters/{letter}/redrive", 409)
    assert press.name in refused["detail"]
    assert "retry the run" in refused["remedy"]
    assert await rows_of(served, child) == before


async def test_the_run_that_waits_for_it_takes_it_along_when_it_is_held_and_resumed(
    served: Served, press: Alone
) -> None:
    run, child = await a_child(served, press)
    state = "select 1 from runs where id = %s and state::text = %s"
    async with a_line(served, press):
        for verb, becomes in (("hold", "HOLDING"), ("resume", "IN_PROGRESS")):
            answer = await served.api.post(f"/runs/{run}/{verb}", json={})
            assert answer.status_code in (200, 202), answer.text
            await served.becomes(state, child, becomes)


async def test_the_run_that_waits_for_it_takes_it_along_when_it_is_stopped(
    served: Served, press: Alone
) -> None:
    run, child = await a_child(served, press)
    async with a_line(served, press):
        answer = await served.api.post(f"/runs/{run}/stop", json={"kill": True})
        assert answer.status_code in (200, 202), answer.text
        await until(lambda: ("kill" in [verb for _, verb in press.steered]) or None)
        press.end(press.begun[0].attempt, "STOPPED")
        await served.becomes("select 1 from runs where id = %s and state = 'STOPPED'", run)
    assert await served.one("select state::text from runs where id = %s", child) == "STOPPED"


TIMED = """
name: measure-NAME
tasks: [{name: read, run: [gauge]}]
schedules: [{cron: "0 * * * *", workstation: NAME}]
"""
HOUR = timedelta(hours=1)


async def fires_it(served: Served, press: Alone) -> Any:
    schedule = "select id from schedules where type = %s"
    id = await served.one(schedule, f"measure-{press.name}")
    await served.watch()
    async with a_line(served, press):
        await served.becomes(
            "select 1 from workstation_stores s join workstations w on w.id = s.workstation "
            "where w.name = %s and s.has = s.wanted",
            press.name,
        )
    return id


async def test_a_schedule_is_fired_by_its_workstation_alone_and_its_ticks_are_known_here(
    served: Served, press: Alone
) -> None:
    await publish(served, TIMED.replace("NAME", press.name))
    id = await fires_it(served, press)
    assert await served.one("select next_at from schedules where id = %s", id) is None
    press.works = b"21"
    later = press.now + 3 * HOUR
    for _ in range(3):
        due = press.engine.next_due()
        assert due is not None
        assert due <= later.timestamp()
        press.carry_out(press.engine.wake(datetime.fromtimestamp(due, UTC)))
    async with a_line(served, press):
        await served.becomes("select count(*) = 3 from ticks where schedule_id = %s", id)
        await until(lambda: not press.book.jobs)
    runs = await served.rows(
        "select r.state::text from ticks t join runs r on r.id = t.run_id where t.schedule_id = %s",
        id,
    )
    assert runs == [("COMPLETED",)] * 3


async def test_a_schedule_is_fired_here_again_only_when_its_workstation_has_let_it_go(
    served: Served, press: Alone
) -> None:
    text = TIMED.replace("NAME", press.name)
    await publish(served, text)
    id = await fires_it(served, press)
    await publish(served, text.replace(f", workstation: {press.name}", ""))
    await served.watch()
    assert await served.one("select next_at from schedules where id = %s", id) is None
    async with a_line(served, press):
        await served.becomes("select 1 from schedules where id = %s and next_at is not null", id)
    assert press.engine.coming() == []


async def test_what_is_placed_on_a_workstation_can_be_started_there_without_the_server(
    served: Served, press: Alone
) -> None:
    await publish(served, TYPES.replace("NAME", press.name))
    await served.watch()
    async with a_line(served, press):
        await until(lambda: press.engine.types() or None)
    press.works = b""
    run = press.start(f"part-{press.name}")
    async with a_line(served, press):
        await served.becomes("select 1 from runs where id = %s and finished_at is not null", run)


async def test_what_a_peer_may_start_at_a_workstation_is_there(
    served: Served, press: Alone
) -> None:
    await publish(served, f"name: asked-{press.name}\ntasks: [{{name: a, noop: true}}]\n")
    peer = await alone(served, f"peer-of-{press.name}")
    answer = await served.api.patch(
        f"/workstations/{peer.name}", json={"peers": {press.name: [f"asked-{press.name}"]}}
    )
    assert answer.status_code == 200, answer.text
    await served.watch()
    async with a_line(served, press):
        await until(lambda: press.engine.types() or None)
    assert [each["name"] for each in press.engine.types()] == [f"asked-{press.name}"]


LIES: dict[str, dict[str, Any]] = {
    "no object": {"row": "[]"},
    "not JSON": {"row": "{"},
    "a text that cannot be stored": {"error": "\0"},
    "another state": {"state": "WONDERFUL"},
    "a number out of bounds": {"total": 2**40},
    "an unknown type": {"type": "nothing-of-the-kind"},
    "more open than there are": {"open": 99},
}


async def test_what_a_workstation_tells_of_runs_that_are_not_its_own_changes_nothing(
    served: Served, press: Alone
) -> None:
    run, child = await a_child(served, press)
    stranger = await alone(served, f"stranger-of-{press.name}")
    before = [await rows_of(served, each) for each in (run, child)]
    for id in (run, child):
        text = await served.one("select to_jsonb(r)::text from runs r where id = %s", id)
        row = {**json.loads(text), "state": "COMPLETED", "open": 0, "error": "taken over"}
        row |= {"created_at": 0, "finished_at": row["created_at"], "timeout": None}
        stranger.book.add(Lane.RESULTS, RunTold(str(id), 9, 0.0, json.dumps(row)))
    stranger.book.commit()
    async with a_line(served, stranger):
        await until(lambda: stranger.book.have(Lane.RESULTS) == 2)
    assert [await rows_of(served, each) for each in (run, child)] == before


@pytest.mark.parametrize("lie", LIES)
async def test_what_cannot_be_kept_is_passed_over_and_the_rest_is_heard(
    served: Served, press: Alone, lie: str
) -> None:
    _, child = await a_child(served, press)
    said = [body for _, body in press.book.items(Lane.RESULTS, 0, 1) if isinstance(body, RunTold)]
    wrong = LIES[lie]
    row = wrong.get("row") or json.dumps({**json.loads(said[0].row), **wrong})
    before = await rows_of(served, child)
    press.book.add(Lane.RESULTS, RunTold(str(child), 9, 0.0, row, tasks=("{}",)))
    press.book.add(Lane.RESULTS, Happened("here", lie, "told", "", "1", 0.0))
    press.book.commit()
    async with a_line(served, press):
        await served.becomes("select 1 from events where event_id = %s", lie)
    assert await rows_of(served, child) == before
