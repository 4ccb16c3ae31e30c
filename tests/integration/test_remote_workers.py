"""What a program with an SDK is given to do, and what becomes of what it says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any, cast

import pytest
from psycopg import AsyncConnection
from websockets.exceptions import ConnectionClosed, InvalidStatus

from edge.remote import wire
from edge.remote.messages import (
    Back,
    Bye,
    Command,
    Drain,
    Ended,
    Ending,
    Error,
    Forget,
    Frame,
    Have,
    Lease,
    Leave,
    Log,
    Offer,
    Progress,
    Verb,
    Welcome,
)
from edge.remote.watch import Watch
from scheduler.domain.wakes import everything
from scheduler.services.access import Role
from scheduler.settings import RemoteSettings
from scheduler.store import remote
from tests.support.builders import a_promoter, a_reaper
from tests.support.gateways import Served, a_server
from tests.support.postgres import Databases
from tests.support.remote_workers import Mate, a_token, publish, start
from tests.support.waiting import patience

pytestmark = pytest.mark.anyio

NUMBERS = count(1)
BEAT = timedelta(seconds=0.5)
COMPLETED = "select 1 from runs where id = %s and state = 'COMPLETED'"
BREAK = """
select pg_terminate_backend(pid)
  from pg_stat_activity
 where application_name like '%workers record%' and datname = current_database()
"""
STATE = "select state::text from tasks where run_id = %s"


@pytest.fixture(scope="module")
async def served(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    """One for all: each test has an action and a type of its own."""
    settings = RemoteSettings(beat=BEAT, lease=timedelta(minutes=5), poll=BEAT)
    with databases.cloned() as dsn:
        async with a_server(dsn, tmp_path_factory.mktemp("server"), settings) as served:
            yield served


@pytest.fixture
async def mate(served: Served) -> Mate:
    """Serves one action, which nobody else does; the type that calls it has its name."""
    name = f"cut-{next(NUMBERS)}"
    await publish(served, text(name))
    return Mate(served, await a_token(served), [name], name=name)


def text(name: str, more: str = "") -> str:
    return f"""
name: {name}
tasks:
  - name: cut
    action:
      name: {name}
      payload: {{from: "${{{{ input.from }}}}"}}
{more}
input:
  type: object
  additionalProperties: true
"""


async def order(mate: Mate, **given: Any) -> str:
    return await start(mate.served, mate.name, input={"from": 1, **given})


async def test_an_action_is_done_by_whoever_serves_it(served: Served, mate: Mate) -> None:
    run = await order(mate)
    async with mate.line():
        [offer] = await mate.has()
        assert (offer.action, offer.payload) == (mate.name, {"from": 1})
        assert (offer.run, offer.task, offer.type_name) == (run, "cut", mate.name)
        assert offer.number == 1
        await mate.end(offer, {"pieces": 4})
        await mate.until(lambda: not mate.running or None)
        assert await served.one("select output from tasks where run_id = %s", run) == {"pieces": 4}
        assert await served.one(COMPLETED, run)


async def test_no_more_is_offered_than_there_are_slots(served: Served, mate: Mate) -> None:
    mate.slots = 2
    for _ in range(3):
        await order(mate)
    async with mate.line():
        first, _ = await mate.has(2)
        await mate.say(mate.lease())
        assert len(mate.of(Offer)) == 2
        await mate.end(first)
        await mate.until(lambda: len(mate.of(Offer)) == 3)


async def test_all_ends_of_a_frame_are_acknowledged_when_they_are_committed(
    served: Served, mate: Mate
) -> None:
    runs = [await order(mate) for _ in range(4)]
    async with mate.line():
        offers = await mate.has(4)
        bad = Ended(offers[3].attempt, Ending.FAILED)
        await mate.say(*(Ended(o.attempt, Ending.SUCCEEDED) for o in offers[:3]), bad)
        await mate.until(lambda: not mate.running or None)
        tried = "select distinct xmin::text from attempts where run_id = any(%s)"
        assert len(await served.rows(tried, runs)) == 1


async def test_a_failure_is_tried_again_as_the_definition_says(served: Served, mate: Mate) -> None:
    retries = "    retries: {max: 1, delay: 1ms}"
    await publish(served, text(mate.name, retries))
    run = await order(mate)
    async with mate.line():
        [offer] = await mate.has()
        await mate.fail(offer, "ConnectionError", "the saw is away")
        await mate.until(lambda: not mate.running or None)
        error = "select error from tasks where run_id = %s"
        assert await served.one(error, run) == "ConnectionError: the saw is away"
        detail = "select detail from attempts where run_id = %s"
        assert await served.one(detail, run) == {
            "error": {
                "type": "ConnectionError",
                "message": "the saw is away",
                "trace": "ConnectionError at line 1",
            }
        }
        await promoted(served, run)
        [again] = await mate.has()
        assert (again.number, again.key) == (2, offer.key)
        assert again.attempt != offer.attempt
        await mate.fail(again, "ConnectionError", "still away")
        await served.becomes("select 1 from runs where id = %s and state = 'FAILED'", run)


async def promoted(served: Served, run: str) -> None:
    """What waited for its time is READY."""
    promoter = a_promoter()
    while await served.one("select 1 from tasks where run_id = %s and state = 'WAITING'", run):
        await promoter.tick(served.conn)
    served.office.dispatcher.heard(everything())


async def test_a_failure_that_is_for_good_is_not_tried_again(served: Served, mate: Mate) -> None:
    await publish(served, text(mate.name, "    retries: {max: 5, delay: 1ms}"))
    run = await order(mate)
    async with mate.line():
        [offer] = await mate.has()
        await mate.fail(offer, "ValueError", "no such order", retryable=False)
        await served.becomes("select 1 from runs where id = %s and state = 'FAILED'", run)


async def test_what_was_in_hand_when_a_connection_broke_is_in_hand_when_it_is_back(
    served: Served, mate: Mate
) -> None:
    run = await order(mate)
    async with mate.line():
        [offer] = await mate.has()
        mate.cut()
        await mate.until(lambda: mate.closed)
    async with mate.line():
        assert mate.of(Welcome)[-1].forget == ()
        await mate.end(offer, 7)
        await served.becomes(COMPLETED, run)
    assert await served.one("select count(*) from attempts where run_id = %s", run) == 1


async def test_an_offer_that_was_lost_on_the_way_is_offered_again_and_costs_nothing(
    served: Served, mate: Mate
) -> None:
    run = await order(mate)
    async with mate.line():
        [lost] = await mate.has()
        mate.cut()
        await mate.until(lambda: mate.closed)
    mate.running.clear()  # it never got there
    async with mate.line():
        [offer] = await mate.has()
        assert offer.attempt != lost.attempt
        assert (offer.number, offer.key) == (1, lost.key)
        await mate.end(offer)
        await served.becomes(COMPLETED, run)
    assert await served.one("select counted from tasks where run_id = %s", run) == 1


async def test_an_offer_that_no_lease_names_goes_back_after_a_beat(
    served: Served, mate: Mate
) -> None:
    await order(mate)
    async with mate.line():
        [lost] = await mate.has()
        mate.running.clear()
        async with asyncio.timeout(patience(30)):
            while not mate.running:
                await mate.say(mate.lease())
                await asyncio.sleep(0.05)
        [offer] = mate.running.values()
        assert (offer.key, offer.number) == (lost.key, 1)
        assert offer.attempt != lost.attempt


async def test_what_is_not_its_own_it_is_told_to_forget(served: Served, mate: Mate) -> None:
    async with mate.line():
        await mate.say(Lease(("999999.1",)), Ended("999999.2", Ending.SUCCEEDED))
        await mate.until(lambda: len(mate.of(Forget)) == 2)
    mate.running |= dict.fromkeys(["999999.3"], cast("Any", None))
    async with mate.line():
        assert mate.of(Welcome)[-1].forget == ("999999.3",)


async def test_an_end_that_is_said_twice_counts_once(served: Served, mate: Mate) -> None:
    run = await order(mate)
    async with mate.line():
        [offer] = await mate.has()
        await mate.end(offer, 1)
        await mate.end(offer, 2)
        await served.becomes(COMPLETED, run)
        mate.running[offer.attempt] = offer  # its acknowledgement was lost
    async with mate.line():
        assert mate.of(Welcome)[-1].forget == (offer.attempt,)
    assert await served.one("select output from tasks where run_id = %s", run) == 1
    late = "select count(*) from history where run_id = %s and kind = 'task.late_result'"
    assert await served.one(late, run) == 0


async def test_what_is_handed_back_goes_to_another_worker(served: Served, mate: Mate) -> None:
    await order(mate)
    other = Mate(served, mate.token, mate.actions, name=f"{mate.name}-2")
    async with mate.line():
        [offer] = await mate.has()
        async with other.line():
            await mate.say(Back(offer.attempt, "not now"))
            [again] = await other.has()
            assert (again.key, again.number) == (offer.key, 1)


async def test_who_drains_goes_on_with_what_it_has(served: Served, mate: Mate) -> None:
    run = await order(mate)
    async with mate.line():
        [offer] = await mate.has()
        await mate.say(Drain())
        drains = "select 1 from holders where name = %s and state = 'DRAINING'"
        await served.becomes(drains, f"remote:{mate.name}")
        second = await order(mate)
        await mate.end(offer)
        await served.becomes(COMPLETED, run)
        await mate.say(mate.lease())
        assert await served.one(STATE, second) == "READY"


async def test_people_drain_a_worker_and_let_it_go_on(served: Served, mate: Mate) -> None:
    name = f"remote:{mate.name}"
    async with mate.line():
        answer = await served.api.post(f"/workers/{name}/drain")
        assert answer.status_code == 200, answer.text
        assert answer.json()["status"] == "DRAINING"
        run = await order(mate)
        answer = await served.api.post(f"/workers/{name}/resume")
        assert answer.json()["status"] == "ACTIVE"
        served.office.dispatcher.heard(everything())
        [offer] = await mate.has()
        assert offer.run == run


async def test_who_leaves_has_nothing_any_more_and_its_session_is_over(
    served: Served, mate: Mate
) -> None:
    run = await order(mate)
    async with mate.line():
        await mate.has()
        await mate.say(Leave())
        await mate.until(lambda: mate.closed)
        assert mate.closed is not None
        assert mate.closed[0] == 1000
    assert await served.one(STATE, run) == "READY"
    async with mate.line():
        assert mate.of(Bye)[-1].fenced


async def test_who_is_silent_for_its_lease_is_gone_and_what_it_had_is_lost(
    served: Served, mate: Mate
) -> None:
    run = await order(mate)
    async with mate.line():
        [offer] = await mate.has()
    await silent(served, mate)
    states = "select state::text from attempts where run_id = %s"
    assert await served.one(states, run) == "LOST"
    async with mate.line():
        assert mate.of(Bye)[-1].fenced
        await mate.until(lambda: mate.closed)
        assert mate.closed is not None
        assert mate.closed[0] == 4409
    fresh = Mate(served, mate.token, mate.actions, name=mate.name)
    async with fresh.line():
        [again] = await fresh.has()
        assert (again.key, again.number) == (offer.key, 2)


ATTEMPTS = "select string_agg(state::text, ' ' order by number) from attempts where run_id = %s"
LOST = Error("Stopped", "the worker left")


@pytest.mark.parametrize(("lost", "ends"), [(True, "FAILED"), (None, "READY")])
async def test_what_began_and_was_left_is_judged_as_on_lost_says(
    served: Served, mate: Mate, lost: bool | None, ends: str
) -> None:
    """A handler that ended because its worker told it to is known to have ended."""
    await publish(served, text(mate.name, "    on_lost: fail"))
    run = await order(mate)
    async with mate.line():
        [offer] = await mate.has()
        end = Ended(offer.attempt, Ending.STOPPED, error=LOST, lost=lost)
        await mate.say(end, Leave())
        await mate.until(lambda: mate.closed)
    assert await served.one(ATTEMPTS, run) == ("LOST" if lost else "STOPPED")
    assert await served.one(STATE, run) == ends


@pytest.mark.parametrize("carrier", ["stream", "poll"])
async def test_what_a_worker_named_and_says_nothing_of_when_it_leaves_is_lost(
    served: Served, mate: Mate, carrier: str
) -> None:
    await publish(served, text(mate.name, "    on_lost: fail"))
    run = await order(mate)
    if carrier == "poll":
        await mate.poll(mate.hello())
        await mate.poll(mate.lease())
        await mate.poll(Leave())
    else:
        async with mate.line():
            await mate.has()
            await mate.say(mate.lease(), Leave())
            await mate.until(lambda: mate.closed)
    assert await served.one(ATTEMPTS, run) == "LOST"
    assert await served.one(STATE, run) == "FAILED"


@pytest.mark.parametrize("carrier", ["stream", "poll"])
async def test_what_is_waited_for_counts_when_its_worker_is_back(
    served: Served, mate: Mate, carrier: str
) -> None:
    """Beyond its lease, and with what is not waited for given to others."""
    await publish(served, text(mate.name, "    on_lost: wait"))
    waited = await order(mate)
    other = f"{mate.name}-again"
    await publish(served, text(other))
    mate.actions = [mate.name, other]
    lost = await start(served, other, input={"from": 1})
    if carrier == "poll":
        await mate.poll(mate.hello())
        await silent(served, mate)
        assert (await mate.poll(mate.lease()))[-1].fenced is False
        told = await mate.poll(mate.hello())
        forgotten = next(each for each in told if isinstance(each, Welcome)).forget
        [offer] = [each for each in mate.of(Offer) if each.run == waited]
        await mate.poll(Ended(offer.attempt, Ending.SUCCEEDED, 7))
    else:
        async with mate.line():
            await mate.has(2)
            await silent(served, mate)
            assert (await mate.until(lambda: mate.closed))[0] == 1013
        async with mate.line():
            forgotten = mate.of(Welcome)[-1].forget
            [offer] = [each for each in mate.of(Offer) if each.run == waited]
            await mate.end(offer, 7)
            await served.becomes(COMPLETED, waited)
    assert await served.one(COMPLETED, waited)
    assert len(forgotten) == 1
    assert offer.attempt not in forgotten
    assert await served.one(ATTEMPTS, waited) == "SUCCEEDED"
    assert str(await served.one(ATTEMPTS, lost)).startswith("LOST")


async def silent(served: Served, mate: Mate) -> None:
    """For longer than its lease, so it was declared gone."""
    gone = "update holders set state = 'GONE' where name = %s"
    await served.conn.execute(gone, [f"remote:{mate.name}"])
    await a_reaper(timedelta(0)).tick(served.conn)


async def test_two_of_one_name_are_two_workers(served: Served, mate: Mate) -> None:
    other = Mate(served, mate.token, mate.actions, name=mate.name)
    async with mate.line(), other.line():
        names = "select name from holders where name like %s and state = 'ACTIVE' order by name"
        found = [row[0] for row in await served.rows(names, f"remote:{mate.name}%")]
        assert found == [f"remote:{mate.name}", f"remote:{mate.name}~{other.session[:8]}"]


async def test_what_people_want_of_a_run_reaches_the_handler(served: Served, mate: Mate) -> None:
    run = await order(mate)
    async with mate.line():
        [offer] = await mate.has()
        answer = await served.api.post(f"/runs/{run}/stop", json={})
        assert answer.status_code in (200, 202)
        told = await mate.until(lambda: mate.of(Command))
        assert (told[0].attempt, told[0].verb) == (offer.attempt, Verb.STOP)
        await mate.say(mate.lease())
        await mate.until(
            lambda: len(mate.of(Command)) == 2
        )  # repeated until it has come to something
        await mate.say(Ended(offer.attempt, Ending.STOPPED))
        await served.becomes("select 1 from runs where id = %s and state = 'STOPPED'", run)


async def test_a_handler_is_held_and_goes_on_and_its_timeout_with_it(
    served: Served, mate: Mate
) -> None:
    await publish(served, text(mate.name, "    timeout: 10ms"))
    run = await order(mate)
    async with mate.line():
        [offer] = await mate.has()
        for path, body, verb in (
            ("hold", {"freeze": True}, Verb.HOLD),
            ("resume", {}, Verb.RESUME),
        ):
            answer = await served.api.post(f"/runs/{run}/{path}", json=body)
            assert answer.status_code in (200, 202), answer.text
            told = await mate.until(lambda: mate.of(Command))
            assert {each.verb for each in told} == {verb}
            mate.heard.clear()
            assert await remote.overdue(served.conn, timedelta(0), 10) == []
        await mate.end(offer)
        await served.becomes(COMPLETED, run)


async def test_progress_and_output_are_seen_while_it_runs(served: Served, mate: Mate) -> None:
    run = await order(mate)
    async with mate.line():
        [offer] = await mate.has()
        await mate.say(Progress(offer.attempt, 10.0), Log(offer.attempt, 0, "sägt\n"))
        await mate.say(Progress(offer.attempt, 50.0, "half", {"board": 3}))
        await mate.say(Log(offer.attempt, 0, "sägt\nsä"), Log(offer.attempt, 9, "gt\n"))
        told = "select progress ->> 'text' from tasks where run_id = %s"
        assert await served.becomes(told, run) == "half"
        progress = await served.one("select progress from tasks where run_id = %s", run)
        assert (progress["progress"], progress["data"]) == (0.5, {"board": 3})
        await mate.end(offer)
        await served.becomes(COMPLETED, run)
    task = int(offer.attempt.partition(".")[0])
    chunks = "select convert_from(string_agg(data, '' order by start), 'UTF8') from output_chunks"
    assert await served.one(f"{chunks} where task_id = %s", task) == "sägt\nsägt\n"


async def test_a_handler_that_says_nothing_of_its_end_times_out_here(
    served: Served, mate: Mate
) -> None:
    await publish(served, text(mate.name, "    timeout: 50ms"))
    run = await order(mate)
    async with mate.line():
        [offer] = await mate.has()
        assert offer.timeout == 0.05
        watch = Watch(served.office.catalog, served.office.say, beat=BEAT, slack=timedelta(0))
        async with asyncio.timeout(patience(30)):
            while not await served.one("select 1 from attempts where run_id = %s", run):
                await watch.tick(served.conn)
        states = "select state::text from attempts where run_id = %s"
        assert await served.one(states, run) == "TIMED_OUT"
        told = await mate.until(lambda: mate.of(Forget))
        assert told[0].attempt == offer.attempt


@pytest.mark.parametrize("carrier", ["stream", "poll"])
@pytest.mark.parametrize("kill", [True, False])
async def test_a_handler_that_does_not_end_when_it_is_to_keeps_nobody_waiting(
    served: Served, mate: Mate, carrier: str, kill: bool
) -> None:
    """However its worker speaks, and though it goes on to name it."""
    await publish(served, text(mate.name, "    grace: 50ms"))
    run = await order(mate)
    watch = Watch(served.office.catalog, served.office.say, beat=timedelta(milliseconds=10))
    async with AsyncExitStack() as lines:
        if carrier == "stream":
            await lines.enter_async_context(mate.line())
        else:
            await mate.poll(mate.hello())
        [offer] = await mate.has()
        assert offer.grace == 0.05
        answer = await served.api.post(f"/runs/{run}/stop", json={"kill": kill})
        assert answer.status_code in (200, 202)
        speak = mate.say if carrier == "stream" else mate.poll
        async with asyncio.timeout(patience(30)):
            while not mate.of(Forget):
                await watch.tick(served.conn)
                await speak(mate.lease())
        assert {each.verb for each in mate.of(Command)} <= {Verb.KILL if kill else Verb.STOP}
        await served.becomes("select 1 from runs where id = %s and state = 'STOPPED'", run)
        assert mate.of(Forget)[0].attempt == offer.attempt


async def test_why_an_action_waits_is_said_with_when_it_was_last_served(
    served: Served, mate: Mate
) -> None:
    run = await order(mate)
    lines = (await served.api.get(f"/runs/{run}/why")).json()["reasons"]
    assert lines == [f"cut is READY: nobody serves the action {mate.name}, and nobody has yet."]
    async with mate.line():
        [offer] = await mate.has()
        await mate.say(Back(offer.attempt), Leave())
        await mate.until(lambda: mate.closed)
    lines = (await served.api.get(f"/runs/{run}/why")).json()["reasons"]
    assert lines[0].startswith(f"cut is READY: nobody serves the action {mate.name}; who did was ")


async def test_people_see_who_serves_what(served: Served, mate: Mate) -> None:
    async with mate.line():
        found = (await served.api.get("/workers")).json()["items"]
        [mine] = [each for each in found if each["name"] == f"remote:{mate.name}"]
        assert (mine["kind"], mine["sdk"], mine["carrier"]) == ("remote", "mate 1", "stream")
        assert (mine["actions"], mine["workflows"]) == ([mate.name], [])
        answer = await served.api.post(f"/workers/{mate.name}/drain")  # by the name it gave itself
        assert answer.json()["status"] == "DRAINING"


async def test_only_queues_that_have_something_are_claimed_from(served: Served, mate: Mate) -> None:
    await order(mate)
    queues = [f"action:{mate.name}", "action:none", "action:other"]
    assert await remote.ready(served.conn, queues) == [f"action:{mate.name}"]
    answer = await served.api.post(f"/queues/action:{mate.name}/pause", json={})
    assert answer.status_code == 200, answer.text
    assert await remote.ready(served.conn, queues) == []
    async with mate.line():
        await mate.say(mate.lease())
        await served.api.post(f"/queues/action:{mate.name}/resume")
        await mate.has()


async def test_connections_to_the_database_that_break_cost_no_result(
    served: Served, mate: Mate
) -> None:
    runs = [await order(mate, number=number) for number in range(60)]
    broken = 0
    async with mate.line(), await AsyncConnection.connect(served.dsn, autocommit=True) as owner:
        async with asyncio.timeout(patience(60)):
            while not await is_all_over(served, runs):
                said = [e for e in mate.of(Offer) if e.attempt in mate.running]
                await mate.say(mate.lease(), *(Ended(e.attempt, Ending.SUCCEEDED) for e in said))
                if broken < 3:
                    broken += (await owner.execute(BREAK)).rowcount
                await asyncio.sleep(0.02)
        await mate.until(lambda: not mate.running or None)
    counted = "select count(*), count(distinct task_id) from attempts where run_id = any(%s)"
    assert await served.rows(counted, runs) == [(60, 60)]


async def is_all_over(served: Served, runs: list[str]) -> bool:
    open = "select count(*) from runs where id = any(%s) and state <> 'COMPLETED'"
    return not await served.one(open, runs)


# By poll.


async def test_who_polls_can_do_the_same(served: Served, mate: Mate) -> None:
    run = await order(mate)
    welcome, offer = await mate.poll(mate.hello())
    assert isinstance(welcome, Welcome)
    assert isinstance(offer, Offer)
    assert await mate.poll(mate.lease(), Progress(offer.attempt, 5.0)) == []
    answer = await mate.poll(mate.lease(), Ended(offer.attempt, Ending.SUCCEEDED, 3))
    assert answer == [Have((offer.attempt,))]
    assert await served.one(COMPLETED, run)
    assert (await mate.poll(Leave()))[-1] == Bye("the session is over, as you said", fenced=False)
    assert (await mate.poll(mate.lease()))[-1].fenced


async def test_a_poll_without_hello_is_told_to_say_it(served: Served, mate: Mate) -> None:
    assert await mate.poll(mate.lease()) == [Bye("say hello first", fenced=False)]


async def test_what_an_answer_to_a_poll_has_no_room_for_goes_back(
    served: Served, mate: Mate
) -> None:
    for _ in range(4):
        await order(mate, **{"from": large(300_000)})
    said = await mate.poll(mate.hello())
    assert len([each for each in said if isinstance(each, Offer)]) == 3
    ready = "select 1 from tasks where queue = %s and state = 'READY' and counted = 0"
    await served.becomes(ready, f"action:{mate.name}")


# Who may, and how.


async def test_only_a_workers_token_opens_the_door(served: Served, mate: Mate) -> None:
    for role in (Role.ADMIN, Role.VIEWER, Role.AGENT):
        other = Mate(served, await a_token(served, role), mate.actions)
        with pytest.raises(InvalidStatus) as caught:
            async with other.line():
                pass
        assert caught.value.response.status_code == 403
        assert (await other.ask("{}")).status_code == 403
    with pytest.raises(InvalidStatus) as caught:
        async with Mate(served, "pn_worker_" + "x" * 43, mate.actions).line():
            pass
    assert caught.value.response.status_code == 401
    mine = {"Authorization": f"Bearer {mate.token}"}
    answer = await served.api.get("/runs", headers=mine)
    assert answer.status_code == 403


async def test_a_stream_that_is_refused_is_one_line_in_the_log(
    served: Served, mate: Mate, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    other = Mate(served, "pn_worker_" + "x" * 43, mate.actions)
    with pytest.raises(InvalidStatus):
        async with other.line():
            pass
    async with mate.line():  # what there is to say of the one before has been said
        [line] = [each for each in caplog.records if each.getMessage() == "stream refused"]
    assert vars(line)["status"] == 401
    assert other.token not in str(vars(line))
    assert not [each for each in caplog.records if each.name.startswith("uvicorn")]


async def test_a_token_that_is_revoked_closes_what_it_opened(served: Served, mate: Mate) -> None:
    async with mate.line():
        tokens = (await served.api.get("/tokens")).json()["items"]
        [mine] = [each["id"] for each in tokens if mate.token.startswith(each["prefix"])][:1]
        revoke = await served.api.delete(f"/tokens/{mine}")
        assert revoke.status_code in (200, 204)
        await mate.until(lambda: mate.closed)
        assert mate.closed is not None
        assert mate.closed[0] == 4401


@pytest.mark.parametrize(
    ("frame", "why"),
    [
        ('{"session": 7, "messages": []}', "session: a text"),
        ("[]", "a frame is an object"),
        ('{"session": "%s", "messages": []}', "a stream begins with hello"),
        ('{"session": "%s", "messages": [{"type": "lease"}]}', "running is missing"),
    ],
)
async def test_what_is_no_frame_ends_the_connection_and_says_where(
    served: Served, mate: Mate, frame: str, why: str
) -> None:
    async with mate.line(greet=False):
        assert mate.socket is not None
        await mate.socket.send(frame.replace("%s", mate.session))
        await mate.until(lambda: mate.closed)
        assert mate.closed is not None
        assert mate.closed[0] == 4400
        assert why in mate.of(Bye)[0].why or why in mate.closed[1]
    if "hello" not in why:
        answer = await mate.ask(frame.replace("%s", mate.session))
        assert answer.status_code == 422
        assert why in answer.json()["detail"]


async def test_who_speaks_too_fast_is_told_so(
    served: Served, mate: Mate, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = served.office.settings.model_copy(update={"frames_per_second": 1})
    monkeypatch.setattr(served.office, "settings", slow)
    async with mate.line():
        with suppress(ConnectionClosed):
            for _ in range(20):
                await mate.say(mate.lease())
        await mate.until(lambda: mate.closed)
        assert mate.closed is not None
        assert mate.closed[0] == 4429
    other = Mate(served, mate.token, mate.actions)
    frame = wire.encode(Frame(other.session, ()))
    answers = [await other.ask(frame) for _ in range(8)]
    fast = [each for each in answers if each.status_code == 429]
    assert fast
    assert fast[0].headers["retry-after"] == "1"


async def test_versions_that_do_not_meet_are_told_so(served: Served, mate: Mate) -> None:
    async with mate.line(greet=False):
        await mate.say(replace(mate.hello(), oldest=7, newest=9))
        await mate.until(lambda: mate.closed)
        assert mate.closed is not None
        assert mate.closed[0] == 4406
        assert "7 to 9" in mate.of(Bye)[0].why


async def test_a_session_goes_on_over_the_newest_of_its_connections(
    served: Served, mate: Mate
) -> None:
    older = Mate(served, mate.token, mate.actions, name=mate.name, session=mate.session)
    async with older.line(), mate.line():
        await older.until(lambda: older.closed)
        assert older.closed is not None
        assert older.closed[0] == 4409
        await order(mate)
        await mate.has()
        await mate.poll(mate.hello())
        await mate.until(lambda: mate.closed)


async def test_a_session_goes_on_at_another_server(
    served: Served, mate: Mate, tmp_path: Path
) -> None:
    runs = [await order(mate) for _ in range(2)]
    async with mate.line(), a_server(served.dsn, tmp_path) as other:
        first, second = await mate.has(2)
        there = replace(mate, served=other, heard=[], running=dict(mate.running))
        async with there.line():
            assert there.of(Welcome)[-1].forget == ()
            await there.end(first)
            await there.until(lambda: first.attempt not in there.running)
            async with asyncio.timeout(patience(30)):
                while not mate.closed:  # as soon as its server looks
                    with suppress(ConnectionClosed):
                        await mate.say(mate.lease())
                    await asyncio.sleep(0.05)
            assert mate.closed[0] == 4409
            await there.end(second)
            for run in runs:
                await served.becomes(COMPLETED, run)


async def test_a_name_that_no_address_could_have_is_shown_as_one_that_can(
    served: Served, mate: Mate
) -> None:
    mate.name = f"Halle 3/{mate.name}"
    async with mate.line():
        name = f"remote:Halle-3-{mate.actions[0]}"
        answer = await served.api.post(f"/workers/{name}/drain")
        assert answer.status_code == 200


async def test_a_session_is_no_other_tokens(served: Served, mate: Mate) -> None:
    thief = Mate(served, await a_token(served), mate.actions, session=mate.session)
    async with mate.line():
        async with thief.line():
            assert thief.of(Bye)[-1].fenced
        await order(mate)
        await mate.has()


async def test_an_action_that_nobody_could_be_offered_has_failed(
    served: Served, mate: Mate
) -> None:
    runs = [await order(mate, **{"from": each}) for each in (large(700_000), "x" * 300_000)]
    async with mate.line():
        for run in runs:
            await served.becomes("select 1 from runs where id = %s and state = 'FAILED'", run)
            said = await served.one("select error from tasks where run_id = %s", run)
            assert "be offered to a worker" in said
    assert not mate.running


def large(size: int) -> list[str]:
    """Of so many characters, in texts that are not too long themselves."""
    return ["x" * 100_000] * (size // 100_000)
