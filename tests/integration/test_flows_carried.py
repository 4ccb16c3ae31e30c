"""Workflows in the hands of a program: what is kept, what it waits for, what it is given again."""

from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import count
from typing import Any

import pytest

from edge.lines import Line
from edge.remote.messages import (
    Back,
    Bye,
    Call,
    CallKind,
    Command,
    Diverged,
    Ended,
    Ending,
    Error,
    Forget,
    GiveUp,
    History,
    Lease,
    Park,
    Program,
    Record,
    Resolved,
    Verb,
    Welcome,
)
from scheduler.domain.wakes import everything
from scheduler.services.access import Role
from scheduler.store import health
from tests.support.builders import a_reaper, declare_gone, engine
from tests.support.gateways import Served, a_server
from tests.support.postgres import Databases
from tests.support.remote_flows import (
    a_program,
    call,
    definition,
    failed,
    keep,
    known,
    next_offer,
    order,
    park,
    promoted,
    recorded,
    resolved,
    step,
    told,
)
from tests.support.remote_workers import Mate, a_token, publish
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

NUMBERS = count(1)
STATE = "select state::text from runs where id = %s"
IS = "select 1 from runs where id = %s and state = %s::run_state"


@pytest.fixture(scope="module")
async def served(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    """One for all: each test has a workflow of its own."""
    with databases.cloned() as dsn:
        async with (
            a_server(dsn, tmp_path_factory.mktemp("server")) as served,
            promoted(served),
        ):
            yield served


@pytest.fixture
async def mate(served: Served) -> AsyncIterator[Mate]:
    mate = await a_program(served, f"flow-{next(NUMBERS)}", version="v1")
    async with mate.line():
        yield mate


async def test_who_comes_with_what_is_published_already_waits_for_nobody_who_publishes(
    served: Served,
) -> None:
    program = await a_program(served, f"flow-{next(NUMBERS)}")
    async with program.line():
        assert len(program.of(Welcome)) == 1
    async with await engine(served.dsn) as conn, conn.transaction():
        await conn.execute("select 1 from process_types where name = %s for update", [program.name])
        async with program.line():
            assert len(program.of(Welcome)) == 2


async def test_a_long_history_is_said_as_it_is_taken(
    mate: Mate, monkeypatch: pytest.MonkeyPatch
) -> None:
    await order(mate)
    first = await next_offer(mate)
    seqs, large = list(range(1, 41)), ["a" * 250_000]
    for seq in seqs:
        await mate.say(Record(first.attempt, (step(seq, large, "large"),)))
    await call(mate, first, 41, sleep="1 h")
    await until(lambda: len(recorded(mate, first)) == len(seqs))
    sizes, send = [0], Line.send

    def sent(line: Line, texts: Iterable[str]) -> None:
        send(line, texts)
        sizes.append(line.size)

    monkeypatch.setattr(Line, "send", sent)
    await mate.say(Back(first.attempt))
    again = await next_offer(mate, [first])
    known_calls = await known(mate, again)
    assert [each.seq for each in known_calls] == [*seqs, 41]
    assert all(each.output == large for each in known_calls[:-1])
    assert max(sizes) < 6 << 20
    await mate.end(again)


async def test_what_stands_beside_a_workflow_is_code_only_if_the_token_may_bring_some(
    served: Served,
) -> None:
    code: dict[str, Any] = {"run": ["rm", "-rf", "/"]}
    for beside in ({"hooks": {"exit": code}}, {"tasks": [{"undo": code}]}):
        program = await a_program(served, f"flow-{next(NUMBERS)}")
        crafty = definition(program.name) | beside
        crafty["tasks"] = [definition(program.name)["tasks"][0] | crafty["tasks"][0]]
        program.workflows = [Program(crafty)]
        async with program.line():
            assert "the token of this worker may not" in program.of(Bye)[0].why
        program.token = await a_token(served, Role.WORKER, "workers", "process-types")
        async with program.line():
            assert len(program.of(Welcome)) == 1
    program = await a_program(served, f"flow-{next(NUMBERS)}")
    served_by_others: Any = definition(program.name)
    served_by_others["tasks"][0]["undo"] = {"action": "refund"}
    program.workflows = [Program(served_by_others)]
    async with program.line():
        assert len(program.of(Welcome)) == 1


async def calls_of(mate: Mate, run: str) -> list[tuple[Any, ...]]:
    return await mate.served.rows(
        "select kind, name, state::text, call_order from tasks where run_id = %s and role = 'call'"
        " order by position",
        run,
    )


async def test_steps_are_tasks_of_the_run_and_what_the_workflow_returns_is_its_result(
    mate: Mate,
) -> None:
    run = await order(mate, amount=3)
    offer = await next_offer(mate)
    assert (offer.action, offer.payload) == (mate.name, {"amount": 3})
    assert offer.workflow is not None
    assert offer.workflow["calls"] == 0

    assert await keep(mate, offer, step(1, {"paid": 3}, "charge", input=[3], tries=2)) == {1: 1}
    assert await keep(mate, offer, step(2), failed(3, "Sold", "out")) == {1: 1, 2: 2, 3: 3}
    await mate.end(offer, "done")

    await mate.served.becomes(IS, run, "COMPLETED")
    assert await calls_of(mate, run) == [
        ("step", "charge", "COMPLETED", 1),
        ("step", "step", "COMPLETED", 2),
        ("step", "step", "FAILED", 3),
    ]
    query = "select output, total, failed from runs where id = %s"
    assert await mate.served.rows(query, run) == [("done", 1, 0)]


async def test_a_record_that_is_said_again_is_the_same_record(mate: Mate) -> None:
    run = await order(mate)
    offer = await next_offer(mate)
    await keep(mate, offer, step(1, "first"))
    mate.heard.clear()
    assert await keep(mate, offer, step(1, "second"), step(2)) == {1: 1, 2: 2}
    outputs = await mate.served.rows(
        "select output from tasks where run_id = %s and role = 'call' order by position", run
    )
    assert outputs == [("first",), (None,)]
    await mate.end(offer)
    await mate.served.becomes(IS, run, "COMPLETED")


async def test_what_waits_for_a_call_is_in_nobodys_hands_and_replayed_when_it_is_over(
    mate: Mate,
) -> None:
    run = await order(mate)
    first = await next_offer(mate)
    await keep(mate, first, step(1, "a"))
    await call(mate, first, 2, recv={"topic": "go"})
    await park(mate, first, 2)
    waiting = "select 1 from tasks where run_id = %s and reason = 'calls' and holder is null"
    assert await mate.served.one(waiting, run) == 1

    sent = await mate.served.api.post(f"/runs/{run}/messages", json={"topic": "go", "body": [7]})
    assert sent.status_code == 201, sent.text
    again = await next_offer(mate, [first])
    history = await known(mate, again)
    assert [(c.seq, c.kind, c.order, c.ok, c.output) for c in history] == [
        (1, "step", 1, True, "a"),
        (2, "recv", 2, True, [7]),
    ]
    assert again.workflow is not None
    assert again.workflow["version"] == "v1"
    assert again.workflow["proof"] != (first.workflow or {})["proof"]
    assert again.number == first.number
    await mate.end(again)
    await mate.served.becomes(IS, run, "COMPLETED")


async def test_a_call_that_was_over_before_its_workflow_parked_brings_it_back_at_once(
    mate: Mate,
) -> None:
    run = await order(mate)
    first = await next_offer(mate)
    await call(mate, first, 1, sleep=0.01)
    assert (await resolved(mate, first, 1)).ok
    await park(mate, first, 1)
    again = await next_offer(mate, [first])
    await mate.end(again)
    await mate.served.becomes(IS, run, "COMPLETED")


async def test_results_are_numbered_as_they_become_known_whoever_brings_them(mate: Mate) -> None:
    run = await order(mate)
    offer = await next_offer(mate)
    await call(mate, offer, 1, sleep=0.05)
    await call(mate, offer, 2, get={"run": run, "key": "state"})
    await keep(mate, offer, told(3, CallKind.SET, key="state", value="early"))
    value = await resolved(mate, offer, 2)
    slept = await resolved(mate, offer, 1)

    assert (value.ok, value.output) == (True, "early")
    assert sorted([1, value.order, slept.order]) == [1, 2, 3]
    await mate.end(offer)
    await mate.served.becomes(IS, run, "COMPLETED")


async def test_what_is_lost_on_the_way_is_told_again_to_who_greets_again(mate: Mate) -> None:
    run = await order(mate)
    offer = await next_offer(mate)
    await call(mate, offer, 1, sleep=0.01)
    await resolved(mate, offer, 1)
    mate.heard.clear()
    async with mate.line():
        assert (await resolved(mate, offer, 1)).order == 1
        await mate.end(offer)
        await mate.served.becomes(IS, run, "COMPLETED")


async def test_calls_may_be_anything_that_a_task_may_be_and_fail_as_the_code_likes(
    mate: Mate,
) -> None:
    child = f"child-of-{mate.name}"
    await publish(mate.served, f"name: {child}\ntasks:\n  - {{name: a, sleep: 0.01}}\n")
    run = await order(mate)
    offer = await next_offer(mate)
    await call(mate, offer, 1, process={"type": child})
    await call(mate, offer, 2, process={"type": "no-such-type"})
    await call(mate, offer, 3, recv={"topic": "never"}, timeout=0)
    await call(mate, offer, 4, frobnicate=True)

    begun = await resolved(mate, offer, 1)
    assert begun.ok
    parent = "select parent_run::text from runs where id = %s"
    assert await mate.served.one(parent, begun.output["run"]) == run
    missing, late, wrong = [await resolved(mate, offer, seq) for seq in (2, 3, 4)]
    assert missing.error is not None
    assert "no-such-type" in missing.error.message
    assert late.error is not None
    assert late.error.type == "TimedOut"
    assert wrong.error is not None
    assert "frobnicate" in wrong.error.message
    assert await mate.served.one(STATE, run) == "IN_PROGRESS"

    await call(mate, offer, 5, result={"run": begun.output["run"]})
    assert (await resolved(mate, offer, 5)).ok
    await mate.end(offer)
    await mate.served.becomes(IS, run, "COMPLETED")
    assert await mate.served.one("select count(*) from dead_letters where run_id = %s", run) == 0


async def test_hold_waits_for_the_end_of_a_step_and_resume_gives_it_back(mate: Mate) -> None:
    run = await order(mate)
    offer = await next_offer(mate)
    assert (await mate.served.api.post(f"/runs/{run}/hold")).status_code == 200
    await until(lambda: [c for c in mate.of(Command) if c.verb is Verb.HOLD])
    assert await mate.served.one(STATE, run) == "HOLDING"
    await keep(mate, offer, step(1))
    await park(mate, offer)
    await mate.served.becomes(IS, run, "HELD")

    assert (await mate.served.api.post(f"/runs/{run}/resume")).status_code == 200
    again = await next_offer(mate, [offer])
    assert [c.seq for c in await known(mate, again)] == [1]
    await mate.end(again)
    await mate.served.becomes(IS, run, "COMPLETED")


async def test_stop_ends_what_it_waits_for_and_asks_the_code_to_end(mate: Mate) -> None:
    run = await order(mate)
    offer = await next_offer(mate)
    await call(mate, offer, 1, sleep="1h")
    await keep(mate, offer, step(2))
    assert (await mate.served.api.post(f"/runs/{run}/stop")).status_code == 200

    await until(lambda: [c for c in mate.of(Command) if c.verb is Verb.STOP])
    interrupted = await resolved(mate, offer, 1)
    assert interrupted.error is not None
    assert interrupted.error.type == "Stopped"
    await mate.say(Ended(offer.attempt, Ending.STOPPED))
    await mate.served.becomes(IS, run, "STOPPED")


async def test_a_long_history_is_said_once_though_a_stop_comes_with_its_offer(
    served: Served,
) -> None:
    name = f"flow-{next(NUMBERS)}"
    flow = {"name": "flow", "workflow": {"name": name, "hears_stop": True}}
    mate = await a_program(served, name, tasks=[flow])
    async with mate.line():
        run = await order(mate)
        offer = await next_offer(mate)
        seqs = list(range(1, 21))
        for seq in seqs:
            await mate.say(Record(offer.attempt, (step(seq, "a" * 250_000),)))
        await call(mate, offer, 21, sleep="1h")
        await until(lambda: len(recorded(mate, offer)) == len(seqs))
        await park(mate, offer, 21)
        assert (await served.api.post(f"/runs/{run}/stop")).status_code in (200, 202)
        again = await next_offer(mate, [offer])
        assert [each.seq for each in await known(mate, again)] == [*seqs, 21]
        await mate.say(Ended(again.attempt, Ending.STOPPED))
        await served.becomes(IS, run, "STOPPED")


async def test_a_workflow_in_nobodys_hands_that_hears_of_a_stop_cleans_up(served: Served) -> None:
    """The stop comes with the offer, behind what is known."""
    name = f"flow-{next(NUMBERS)}"
    flow = {"name": "flow", "workflow": {"name": name, "hears_stop": True}}
    mate = await a_program(served, name, tasks=[flow])
    async with mate.line():
        run = await order(mate)
        offer = await next_offer(mate)
        await call(mate, offer, 1, sleep="1h")
        await park(mate, offer, 1)
        answer = await served.api.post(f"/workers/remote:{name}/drain")
        assert answer.status_code == 200, answer.text
        assert (await served.api.post(f"/runs/{run}/stop")).status_code in (200, 202)
        reasons = (await served.api.get(f"/runs/{run}/why")).json()["reasons"]
        assert "stop --kill" in reasons[-1]
        await served.api.post(f"/workers/remote:{name}/resume")
        again = await next_offer(mate, [offer])
        [told] = await until(lambda: mate.of(Command))
        assert (told.attempt, told.verb) == (again.attempt, Verb.STOP)
        assert [(c.seq, c.error and c.error.type) for c in await known(mate, again)] == [
            (1, "Stopped")
        ]
        assert await served.one(IS, run, "STOPPING")
        await keep(mate, again, step(2, "cleaned"))
        await mate.say(Ended(again.attempt, Ending.STOPPED))
        await served.becomes(IS, run, "STOPPED")


async def test_code_that_went_another_way_is_held_and_shows_both(mate: Mate) -> None:
    run = await order(mate)
    offer = await next_offer(mate)
    await keep(mate, offer, step(1, name="charge"))
    await mate.say(Diverged(offer.attempt, 1, "charge", "ship"))
    await until(lambda: mate.of(Forget))
    mate.running.clear()
    await mate.served.becomes(IS, run, "HELD")

    found = (await mate.served.api.get(f"/runs/{run}/workflows")).json()
    assert found["items"][0]["diverged"] == {"seq": 1, "expected": "charge", "found": "ship"}
    assert (found["items"][0]["version"], found["items"][0]["calls"]) == ("v1", 1)
    await mate.served.api.post(f"/runs/{run}/resume")
    await mate.end(await next_offer(mate, [offer]))
    await mate.served.becomes(IS, run, "COMPLETED")


async def test_a_program_that_is_gone_leaves_what_it_did_to_the_next(
    mate: Mate, served: Served
) -> None:
    run = await order(mate)
    offer = await next_offer(mate)
    await keep(mate, offer, step(1, "kept"))
    holder = await served.one("select holder from tasks where run_id = %s and position = 0", run)
    other = await a_program(served, mate.name)
    async with other.line():
        await declare_gone(served.conn, holder)
        async with await engine(served.dsn) as conn:
            await a_reaper().tick(conn)
        served.office.heard(everything())
        again = await next_offer(other)
        assert [c.output for c in await known(other, again)] == ["kept"]
        await until(lambda: mate.closed)
        assert mate.of(Bye)[0].fenced
        assert await keep(other, again, step(2, "mine")) == {2: 2}
        await other.end(again)
        await served.becomes(IS, run, "COMPLETED")
    assert [row[1:] for row in await calls_of(mate, run)] == [
        ("step", "COMPLETED", 1),
        ("step", "COMPLETED", 2),
    ]


async def test_a_retry_takes_back_the_step_that_failed_and_a_reset_everything(mate: Mate) -> None:
    run = await order(mate)
    offer = await next_offer(mate)
    await keep(mate, offer, step(1, "a"), failed(2, "Sold", "out"))
    error = Error("Sold", "out")
    await mate.say(Ended(offer.attempt, Ending.FAILED, error=error, retryable=False))
    await mate.served.becomes(IS, run, "FAILED")

    assert (await mate.served.api.post(f"/runs/{run}/retry")).status_code == 200
    again = await next_offer(mate, [offer])
    assert [(c.seq, c.order) for c in await known(mate, again)] == [(1, 1)]
    assert await keep(mate, again, failed(2, "Sold", "again")) == {2: 2}
    await mate.say(Ended(again.attempt, Ending.FAILED, error=error, retryable=False))
    await mate.served.becomes(IS, run, "FAILED")

    reset = await mate.served.api.post(f"/runs/{run}/retry", json={"whole": True})
    assert reset.status_code == 200, reset.text
    anew = await next_offer(mate, [offer, again])
    assert anew.workflow is not None
    assert anew.workflow["calls"] == 0
    assert await keep(mate, anew, step(1, "b")) == {1: 1}
    await mate.end(anew)
    await mate.served.becomes(IS, run, "COMPLETED")


async def test_a_call_that_nobody_waits_for_is_stopped(mate: Mate) -> None:
    run = await order(mate)
    offer = await next_offer(mate)
    await call(mate, offer, 1, sleep="1h")
    await mate.say(GiveUp(offer.attempt, 1))
    given_up = await resolved(mate, offer, 1)
    assert given_up.error is not None
    assert given_up.error.type == "Stopped"
    await mate.end(offer)
    await mate.served.becomes(IS, run, "COMPLETED")


async def test_a_message_to_nobody_has_failed_and_what_cannot_be_kept_as_well(mate: Mate) -> None:
    run = await order(mate)
    offer = await next_offer(mate)
    nobody = "00000000-0000-7000-8000-000000000000"
    sent = told(1, CallKind.SEND, run=nobody, topic="t", body=1)
    nameless = told(2, CallKind.SET, key="", value=1)
    await mate.say(Record(offer.attempt, (sent, nameless, step(3))))
    unheard, unfit = [await resolved(mate, offer, seq) for seq in (1, 2)]
    assert unheard.error is not None
    assert nobody in unheard.error.message
    assert unfit.error is not None
    assert await keep(mate, offer, step(3)) == {3: 3}
    await mate.end(offer)
    await mate.served.becomes(IS, run, "COMPLETED")


async def test_a_worker_publishes_its_workflow_and_replaces_nothing_else(served: Served) -> None:
    name = f"taken-{next(NUMBERS)}"
    await publish(served, f"name: {name}\ntasks:\n  - {{name: a, noop: true}}\n")
    mate = await a_program(served, name)
    async with mate.line():
        said = mate.of(Bye)[0]
        assert "something else" in said.why
    changed = await a_program(served, f"flow-{next(NUMBERS)}")
    async with changed.line():
        pass
    more = {"description": "more than before"}
    changed.workflows = [Program({**definition(changed.name), **more})]
    async with changed.line():
        await changed.say(Lease(()))
        found = await served.api.get(f"/process-types/{changed.name}")
        assert found.json()["version"] == 2


BROUGHT: Sequence[dict[str, Any]] = (
    {"run": "id"},
    {"shell": "id"},
    {"python": "os:getcwd"},
    {"http": {"method": "GET", "url": "http://127.0.0.1/"}},
)


async def test_a_workers_token_alone_has_nobody_else_carry_out_what_it_brings(
    served: Served,
) -> None:
    mate = await a_program(served, f"bringing-{next(NUMBERS)}")
    async with mate.line():
        run = await order(mate)
        offer = await next_offer(mate)
        for seq, task in enumerate(BROUGHT, 1):
            await call(mate, offer, seq, **task)
            told = await resolved(mate, offer, seq)
            assert told.error is not None
            assert "may not have others carry out what it brings" in told.error.message
        brought = "select 1 from tasks where run_id = %s and kind in ('run', 'python', 'http')"
        assert not await served.rows(brought, run)


async def test_who_may_publish_types_may_call_what_they_could_say(served: Served) -> None:
    mate = await a_program(served, f"bringing-{next(NUMBERS)}")
    mate.token = await a_token(served, Role.WORKER, "workers", "process-types")
    async with mate.line():
        run = await order(mate)
        await call(mate, await next_offer(mate), 1, run="id")
        found = "select state::text from tasks where run_id = %s and kind = 'run'"
        assert await served.becomes(found, run) == "READY"


async def test_by_poll_a_workflow_is_carried_out_like_over_a_stream(served: Served) -> None:
    mate = await a_program(served, f"polled-{next(NUMBERS)}")
    await mate.poll(mate.hello())
    run = await order(mate)
    await served.becomes("select 1 from tasks where run_id = %s and state = 'READY'", run)
    await mate.poll(mate.lease())
    [offer] = mate.running.values()
    await mate.poll(mate.lease(), Record(offer.attempt, (step(1, "a"),)))

    assert recorded(mate, offer) == {1: 1}

    await mate.poll(mate.lease(), Call(offer.attempt, 2, "nap", {"sleep": 0.01}))
    await served.becomes(
        "select 1 from tasks where run_id = %s and kind = 'sleep' and state = 'COMPLETED'", run
    )
    await mate.poll(mate.lease())
    assert [(each.seq, each.order) for each in mate.of(Resolved)] == [(2, 2)]
    await mate.poll(mate.lease(), Ended(offer.attempt, Ending.SUCCEEDED, "over"))
    await served.becomes(IS, run, "COMPLETED")


async def test_whoever_counts_comes_to_the_same_while_a_workflow_works_and_waits(
    mate: Mate,
) -> None:
    run = await order(mate)
    offer = await next_offer(mate)
    await keep(mate, offer, *(step(n) for n in range(1, 40)))
    await call(mate, offer, 40, sleep="1h")
    await call(mate, offer, 41, action="nobody-serves-this")
    assert await miscounted(mate) == []
    await park(mate, offer, 40, 41)
    assert await miscounted(mate) == []
    reasons = (await mate.served.api.get(f"/runs/{run}/why")).json()["reasons"]
    assert "what it has called" in reasons[0]
    assert any("nobody-serves-this" in each for each in reasons)

    assert (await mate.served.api.post(f"/runs/{run}/stop")).status_code == 200
    await mate.served.becomes(IS, run, "STOPPED")
    open = "select count(*) from tasks where run_id = %s and passed is null"
    assert await mate.served.one(open, run) == 0
    assert await miscounted(mate) == []


async def miscounted(mate: Mate) -> list[Any]:
    async with await engine(mate.served.dsn) as conn:
        return list(await health.miscounted(conn, limit=10))


async def test_what_no_frame_could_carry_has_failed_each_time_it_is_told(mate: Mate) -> None:
    run = await order(mate)
    offer = await next_offer(mate)
    await mate.say(Record(offer.attempt, (step(1, ["x" * 190_000] * 5),)))
    large = await resolved(mate, offer, 1)
    assert large.error is not None
    assert "950016 bytes" in large.error.message
    shout = told(2, CallKind.SET, key="all", value=["x" * 150_000] * 2)
    await mate.say(Record(offer.attempt, (shout,)))
    assert not (await resolved(mate, offer, 2)).ok

    await keep(mate, offer, *(step(n, ["y" * 150_000] * 2) for n in (3, 4)))
    await keep(mate, offer, step(5, ["y" * 224_000] * 4))
    await park(mate, offer)
    again = await next_offer(mate, [offer])
    assert [c.ok for c in await known(mate, again)] == [False, False, True, True, True]
    await mate.end(again)
    await mate.served.becomes(IS, run, "COMPLETED")


async def test_a_history_that_no_answer_has_room_for_is_told_poll_by_poll(served: Served) -> None:
    mate = await a_program(served, f"polled-{next(NUMBERS)}")
    await mate.poll(mate.hello())
    run = await order(mate)
    ready = "select 1 from tasks where run_id = %s and position = 0 and state = 'READY'"
    await served.becomes(ready, run)
    await mate.poll(mate.lease())
    [offer] = mate.running.values()
    for seq in range(1, 6):
        await mate.poll(mate.lease(), Record(offer.attempt, (step(seq, ["z" * 100_000] * 4),)))
    del mate.running[offer.attempt]
    await mate.poll(mate.lease(), Park(offer.attempt, ()))
    polls = 1
    while not (mate.running and len(histories(mate)) == 5):
        await mate.poll(mate.lease())
        polls += 1
        assert polls < 10
    assert polls > 1
    [again] = mate.running.values()
    assert again.workflow is not None
    assert again.workflow["calls"] == 5
    await mate.poll(mate.lease())
    assert histories(mate) == [1, 2, 3, 4, 5]
    await mate.poll(mate.lease(), Ended(again.attempt, Ending.SUCCEEDED))
    await served.becomes(IS, run, "COMPLETED")


def histories(mate: Mate) -> list[int]:
    return [call.seq for each in mate.of(History) for call in each.calls]


async def test_results_have_no_gaps_however_they_come_at_once(mate: Mate) -> None:
    run = await order(mate)
    offer = await next_offer(mate)
    for seq in range(1, 31, 2):
        await call(mate, offer, seq, sleep=0.01 * (seq % 5) + 0.001)
        await mate.say(Record(offer.attempt, (step(seq + 1),)))
    slept = [(await resolved(mate, offer, seq)).order for seq in range(1, 31, 2)]
    await until(lambda: len(recorded(mate, offer)) == 15)
    assert sorted([*slept, *recorded(mate, offer).values()]) == list(range(1, 31))
    await mate.end(offer)
    await mate.served.becomes(IS, run, "COMPLETED")


async def test_retries_of_a_workflow_try_the_step_again_that_failed(served: Served) -> None:
    mate = await a_program(served, f"tried-{next(NUMBERS)}")
    tasks = [{"name": "flow", "workflow": mate.name, "retries": {"max": 1, "delay": 0}}]
    mate.workflows = [Program({"name": mate.name, "tasks": tasks})]
    async with mate.line():
        run = await order(mate)
        offer = await next_offer(mate)
        await keep(mate, offer, step(1, "a"), failed(2, "Sold", "out"))
        await call(mate, offer, 3, sleep="1h")
        await mate.fail(offer, "Sold", "out")
        again = await next_offer(mate, [offer])
        assert [(c.seq, c.order) for c in await known(mate, again)] == [(1, 1), (3, None)]
        assert await keep(mate, again, step(2, "b")) == {2: 2}
        await mate.end(again)
        await served.becomes(IS, run, "COMPLETED")
