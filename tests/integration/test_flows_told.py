"""What workflows tell each other and the world: messages, values, streams, forks; steps that
happen once."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from click.testing import CliRunner
from psycopg import AsyncConnection, errors

from edge.remote.flows import UNORDERED
from edge.remote.messages import CallKind, Diverged, Offer, Park, Record, Recorded, Resolved
from scheduler.cli import procession
from scheduler.domain import calls
from scheduler.services.access import Role, create_token
from scheduler.store import flows
from tests.support.browser import Browser, token_form
from tests.support.builders import engine
from tests.support.gateways import Served, a_server
from tests.support.postgres import Databases
from tests.support.remote_flows import (
    a_program,
    call,
    keep,
    known,
    next_offer,
    order,
    park,
    promoted,
    resolved,
    step,
    told,
)
from tests.support.remote_workers import Mate, publish
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

NUMBERS = count(1)
IS = "select 1 from runs where id = %s and state = %s::run_state"


@pytest.fixture(scope="module")
async def served(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    with databases.cloned() as dsn:
        async with (
            a_server(dsn, tmp_path_factory.mktemp("server")) as served,
            promoted(served),
        ):
            yield served


@pytest.fixture
async def mate(served: Served) -> AsyncIterator[Mate]:
    mate = await a_program(served, f"talk-{next(NUMBERS)}", version="v1")
    async with mate.line():
        yield mate


async def begun(mate: Mate) -> tuple[str, Offer]:
    """Another run of the mate's workflow, in its hands."""
    known = mate.of(Offer)
    run = await order(mate)
    offer = await next_offer(mate, known)
    return run, offer


async def send(mate: Mate, run: str, **message: Any) -> Any:
    answer = await mate.served.api.post(f"/runs/{run}/messages", json=message)
    assert answer.status_code == 201, answer.text
    return answer.json()


async def got(mate: Mate, path: str, **query: Any) -> list[Any]:
    answer = await mate.served.api.get(path, params=query)
    assert answer.status_code == 200, answer.text
    items: list[Any] = answer.json()["items"]
    return items


# Messages.


async def test_what_gets_over_while_a_history_is_told_has_its_place_in_it_still(
    mate: Mate,
) -> None:
    run, offer = await begun(mate)
    for seq in range(1, 4):
        await call(mate, offer, seq, recv={"topic": f"t-{seq}"})
    third = "select 1 from tasks where run_id = %s and position = %s and state = 'WAITING'"
    await mate.served.becomes(third, run, calls.FIRST + 3)
    async with await engine(mate.served.dsn) as conn:
        id = UUID(run)
        first, last = await flows.history(conn, id, calls.FIRST, after=(0, 0), limit=2)
        assert [first["seq"], last["seq"]] == [1, 2]
        await send(mate, run, topic="t-3", body=3)
        await resolved(mate, offer, 3)
        after = (UNORDERED, calls.FIRST + 2)
        rest = await flows.history(conn, id, calls.FIRST, after=after, limit=2)
        assert [(row["seq"], row["call_order"]) for row in rest] == [(3, None)]


async def test_messages_are_taken_once_in_the_order_in_which_they_were_sent(mate: Mate) -> None:
    run, offer = await begun(mate)
    for body in ("a", "b"):
        await send(mate, run, topic="t", body=body)
    await send(mate, run, topic="other", body="x")
    for seq in (1, 2, 3):
        await call(mate, offer, seq, recv={"topic": "t"})
    assert [(await resolved(mate, offer, seq)).output for seq in (1, 2)] == ["a", "b"]
    await send(mate, run, topic="t", body="c")
    assert (await resolved(mate, offer, 3)).output == "c"

    listed = await got(mate, f"/runs/{run}/messages", topic="t")
    assert [(each["body"], each["taken_by"]) for each in listed] == [
        ("a", "call-1"),
        ("b", "call-2"),
        ("c", "call-3"),
    ]
    [left] = await got(mate, f"/runs/{run}/messages", topic="other")
    assert left["taken_at"] is None
    await mate.end(offer)
    await mate.served.becomes(IS, run, "COMPLETED")
    late = await mate.served.api.post(f"/runs/{run}/messages", json={"body": 1})
    assert late.status_code == 409


async def test_who_does_not_wait_for_a_message_knows_at_once_that_there_is_none(
    databases: Databases, tmp_path: Path
) -> None:
    """With no loop that sees to times and errands."""
    with databases.cloned() as dsn:
        async with a_server(dsn, tmp_path) as alone:
            mate = await a_program(alone, "brief")
            async with mate.line():
                _, offer = await begun(mate)
                await call(mate, offer, 1, recv={"topic": "cmd"}, timeout=0)
                empty = await resolved(mate, offer, 1)
                assert empty.error is not None
                assert empty.error.type == "TimedOut"
                await send(mate, offer.run, topic="cmd", body="HOLD")
                await call(mate, offer, 2, recv={"topic": "cmd"}, timeout=0)
                await call(mate, offer, 3, recv={"topic": "cmd"}, timeout=0)
                assert (await resolved(mate, offer, 2)).output == "HOLD"
                assert (await resolved(mate, offer, 3)).ok is False


async def test_a_message_with_a_key_is_sent_once_whoever_sends_it_again(mate: Mate) -> None:
    run, offer = await begun(mate)
    first = await send(mate, run, topic="t", body=1, key="paid")
    assert await send(mate, run, topic="t", body=2, key="paid") == first
    again = told(1, CallKind.SEND, run=run, topic="t", body=3, key="paid")
    await keep(mate, offer, again)
    assert len(await got(mate, f"/runs/{run}/messages")) == 1
    await mate.end(offer)


async def test_what_one_workflow_sends_another_has_once_however_often_it_is_said(
    mate: Mate,
) -> None:
    receiver, waiting = await begun(mate)
    sender, sending = await begun(mate)
    await call(mate, waiting, 1, recv={"topic": "t"})
    letter = told(1, CallKind.SEND, run=receiver, topic="t", body={"from": "me"})
    for _ in range(2):
        await keep(mate, sending, letter)
    assert (await resolved(mate, waiting, 1)).output == {"from": "me"}
    [one] = await got(mate, f"/runs/{receiver}/messages")
    assert one["sent_by"] == f"run {sender}"
    await mate.end(waiting)
    await mate.end(sending)


async def test_a_message_that_a_run_had_no_room_for_was_not_sent_whenever_that_is_said(
    mate: Mate,
) -> None:
    receiver, waiting = await begun(mate)
    _, sending = await begun(mate)
    await mate.served.conn.execute(
        "insert into mailbox (run_id, topic, body, sent_by)"
        " select %s, 't', '1', 'test' from generate_series(1, 10000)",
        [receiver],
    )
    letter = told(1, CallKind.SEND, run=receiver, topic="t", body=1)
    await mate.say(Record(sending.attempt, (letter,)))
    assert "10000 messages wait" in was_refused(await resolved(mate, sending, 1))
    full = await mate.served.api.post(f"/runs/{receiver}/messages", json={"body": 1})
    assert full.status_code == 409

    await mate.served.conn.execute("delete from mailbox where run_id = %s", [receiver])
    known = mate.of(Resolved)
    await mate.say(Record(sending.attempt, (letter,)))
    await until(lambda: len(mate.of(Resolved)) > len(known))
    assert "10000 messages wait" in was_refused(mate.of(Resolved)[-1])
    await mate.end(waiting)
    await mate.end(sending)


async def test_what_was_sent_stays_sent_also_when_the_run_that_has_it_is_gone(mate: Mate) -> None:
    receiver, waiting = await begun(mate)
    _, sending = await begun(mate)
    letter = told(1, CallKind.SEND, run=receiver, topic="t", body=1)
    await keep(mate, sending, letter)
    await mate.end(waiting)
    await mate.served.becomes(IS, receiver, "COMPLETED")
    await mate.served.conn.execute("delete from runs where id = %s", [receiver])
    known = mate.of(Recorded)
    await mate.say(Record(sending.attempt, (letter,)))
    await until(lambda: len(mate.of(Recorded)) > len(known) or mate.of(Resolved))
    assert mate.of(Resolved) == []
    await mate.end(sending)


def was_refused(resolved: Resolved) -> str:
    assert not resolved.ok
    assert resolved.error is not None
    return resolved.error.message


@pytest.mark.parametrize(
    "body", [{"topic": "t" * 201}, {"body": "x" * 300_000}, {"key": ""}, {"body": "nul \0"}]
)
async def test_messages_that_nobody_could_keep_are_refused(mate: Mate, body: Any) -> None:
    run, offer = await begun(mate)
    answer = await mate.served.api.post(f"/runs/{run}/messages", json=body)
    assert answer.status_code == 422
    await mate.end(offer)


# Values and streams.


async def test_values_have_a_history_and_those_who_wait_have_the_newest(mate: Mate) -> None:
    teller, telling = await begun(mate)
    asker, asking = await begun(mate)
    await call(mate, asking, 1, get={"run": teller, "key": "state"})
    await park(mate, asking, 1)
    for seq, value in enumerate(("open", "shut"), start=1):
        await keep(mate, telling, told(seq, CallKind.SET, key="state", value=value))

    again = await next_offer(mate, [telling, asking])
    [had] = await known(mate, again)
    assert had.output in ("open", "shut")
    await call(mate, again, 2, get={"run": teller, "key": "state"})
    assert (await resolved(mate, again, 2)).output == "shut"
    newest = await got(mate, f"/runs/{teller}/values")
    assert [(each["name"], each["value"]) for each in newest] == [("state", "shut")]
    all = await got(mate, f"/runs/{teller}/values", key="state")
    assert [each["value"] for each in all] == ["open", "shut"]
    await mate.end(telling)
    await mate.end(again)
    await mate.served.becomes(IS, asker, "COMPLETED")


async def test_a_stream_is_read_page_by_page_and_whoever_waits_is_told(mate: Mate) -> None:
    run, offer = await begun(mate)
    path = f"/runs/{run}/streams/rows"
    assert await got(mate, path) == []
    waiting = asyncio.create_task(mate.served.api.get(path, headers={"Prefer": "wait=20"}))
    await keep(mate, offer, *(told(n, CallKind.WRITE, stream="rows", value=n) for n in range(1, 4)))
    answer = await waiting
    assert [each["value"] for each in answer.json()["items"]] == [1, 2, 3]

    first = (await mate.served.api.get(path, params={"limit": 2})).json()
    assert [each["value"] for each in first["items"]] == [1, 2]
    rest = await got(mate, path, after=first["items"][-1]["id"])
    assert [each["value"] for each in rest] == [3]
    names = (await mate.served.api.get(f"/runs/{run}/streams")).json()
    assert names == {"items": ["rows"]}
    await mate.end(offer)


async def test_the_end_of_another_run_is_waited_for_wherever_it_ends(mate: Mate) -> None:
    watched, working = await begun(mate)
    watcher, watching = await begun(mate)
    await call(mate, watching, 1, result={"run": watched})
    await mate.served.becomes("select 1 from runs where id = %s and awaited", watched)
    await mate.end(working, {"made": 3})
    assert (await resolved(mate, watching, 1)).output == {"made": 3}

    await call(mate, watching, 2, result={"run": watched})
    assert (await resolved(mate, watching, 2)).output == {"made": 3}
    await call(mate, watching, 3, result={"run": "00000000-0000-7000-8000-000000000000"})
    assert not (await resolved(mate, watching, 3)).ok
    await mate.end(watching)
    await mate.served.becomes(IS, watcher, "COMPLETED")


# Forks.


async def test_a_fork_begins_with_what_was_known_below_a_call(mate: Mate) -> None:
    run, offer = await begun(mate)
    await keep(mate, offer, step(1, "a"), told(2, CallKind.SET, key="k", value=1), step(3, "c"))
    await mate.end(offer)
    await mate.served.becomes(IS, run, "COMPLETED")

    answer = await mate.served.api.post(f"/runs/{run}/fork", json={"from_seq": 3})
    assert answer.status_code == 201, answer.text
    fork = answer.json()
    assert fork["forked_from"] == run
    listed = await got(mate, f"/runs?type={mate.name}")
    assert [each["forked_from"] for each in listed if each["id"] == fork["id"]] == [run]
    forked = await next_offer(mate, [offer])
    assert forked.run == fork["id"]
    assert [(c.seq, c.output) for c in await known(mate, forked)] == [(1, "a"), (2, None)]
    assert await keep(mate, forked, step(3, "other")) == {3: 3}
    assert [each["value"] for each in await got(mate, f"/runs/{fork['id']}/values")] == [1]
    await mate.end(forked)

    [mine] = await got(mate, f"/runs/{run}/forks")
    [model] = await got(mate, f"/runs/{fork['id']}/forks")
    assert (mine["kind"], mine["id"], mine["from_seq"]) == ("fork", fork["id"], 3)
    assert (model["kind"], model["id"]) == ("model", run)


async def test_only_workflows_are_forked(mate: Mate) -> None:
    text = f"name: plain-{mate.name}\ntasks:\n  - {{name: a, sleep: 1h}}\n"
    headers = {"Content-Type": "application/yaml"}
    await mate.served.api.post("/process-types", content=text, headers=headers)
    started = await mate.served.api.post("/runs", json={"type": f"plain-{mate.name}"})
    answer = await mate.served.api.post(f"/runs/{started.json()['id']}/fork", json={"from_seq": 1})
    assert answer.status_code == 409


# Exactly once.

STEP = "select checkpoint_step(%s, %s, %s, %s, %s)"


async def test_a_step_that_keeps_its_result_with_its_effect_happens_once(mate: Mate) -> None:
    run, offer = await begun(mate)
    attempt, proof = offer.attempt, (offer.workflow or {})["proof"]
    async with await AsyncConnection.connect(mate.served.dsn) as conn:
        await conn.execute("create table accounts (id integer primary key, balance integer)")
        await conn.execute("insert into accounts values (7, 100)")
        await conn.commit()
        await conn.execute("update accounts set balance = balance - 10 where id = 7")
        await conn.execute(STEP, [attempt, proof, 1, "charge", '{"left": 90}'])
        await conn.commit()

        with pytest.raises(errors.UniqueViolation):
            await conn.execute(STEP, [attempt, proof, 1, "charge", '{"left": 80}'])
        await conn.rollback()
        for wrong in (
            [attempt, "guess", 2, "charge", "1"],
            [f"{attempt}9", proof, 2, "charge", "1"],
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                await conn.execute(STEP, wrong)
            await conn.rollback()
        with pytest.raises(errors.InvalidParameterValue):
            await conn.execute(STEP, [attempt, proof, 0, "charge", "1"])
        await conn.rollback()

    assert await keep(mate, offer, step(1, {"left": 0}, "charge")) == {1: 1}
    await call(mate, offer, 2, recv={"topic": "go"})
    await park(mate, offer, 2)
    async with await AsyncConnection.connect(mate.served.dsn) as conn:
        with pytest.raises(errors.InsufficientPrivilege):
            await conn.execute(STEP, [attempt, proof, 3, "charge", "1"])
    await send(mate, run, topic="go")
    again = await next_offer(mate, [offer])
    first, _ = await known(mate, again)
    assert first.output == {"left": 90}
    await mate.end(again)
    await mate.served.becomes(IS, run, "COMPLETED")


async def test_a_step_that_nobody_told_of_is_known_to_the_next(mate: Mate) -> None:
    run, offer = await begun(mate)
    proof = (offer.workflow or {})["proof"]
    async with await AsyncConnection.connect(mate.served.dsn) as conn:
        await conn.execute(STEP, [offer.attempt, proof, 1, "charge", '"done"'])
    await mate.say(Park(offer.attempt, ()))
    again = await next_offer(mate, [offer])
    assert [(c.order, c.output) for c in await known(mate, again)] == [(1, "done")]
    await mate.end(again)
    await mate.served.becomes(IS, run, "COMPLETED")


async def test_who_may_nothing_else_may_keep_a_step_and_see_no_table(mate: Mate) -> None:
    run, offer = await begun(mate)
    proof = (offer.workflow or {})["proof"]
    async with await AsyncConnection.connect(mate.served.dsn) as conn:
        await conn.execute("create role teller_of_steps nologin")
        await conn.execute("grant teller_of_steps to current_user")
        await conn.execute("set local role teller_of_steps")
        await conn.execute(STEP, [offer.attempt, proof, 1, "charge", "1"])
        await conn.execute("reset role")
        await conn.execute("drop role teller_of_steps")
        await conn.commit()
    assert await keep(mate, offer, step(1)) == {1: 1}
    await mate.end(offer)
    await mate.served.becomes(IS, run, "COMPLETED")


# The dashboard.


async def test_the_page_of_a_run_shows_what_its_workflow_did_with_inputs_and_outputs(
    mate: Mate,
) -> None:
    run, offer = await begun(mate)
    await keep(mate, offer, step(1, {"left": 90}, "charge", input={"amount": 10}))
    await call(mate, offer, 2, recv={"topic": "approved"})
    await park(mate, offer, 2)
    async with looking(mate.served) as look:
        page = await look(f"/ui/runs/{run}")
        for shown in ("What the workflow has done", "charge", "amount", "left", "v1", "approved"):
            assert shown in page, shown
        assert "charge" in await look(f"/ui/runs/{run}/timeline")
        assert "charge" not in await look(f"/ui/runs/{run}/graph")
        assert "What it came to" in await look(f"/ui/runs/{run}/tasks/1000000001")
        assert "charge" in await look(f"/ui/runs/{run}?of=0")

        await send(mate, run, topic="approved")
        again = await next_offer(mate, [offer])
        await mate.say(Diverged(again.attempt, 1, "charge", "ship it elsewhere"))
        await mate.served.becomes(IS, run, "HELD")
        assert "ship it elsewhere" in await look(f"/ui/runs/{run}")
        fork = await mate.served.api.post(f"/runs/{run}/fork", json={"from_seq": 1})
        assert fork.json()["id"] in await look(f"/ui/runs/{run}/related")


async def test_a_call_that_was_a_run_leads_to_that_run(mate: Mate) -> None:
    run, offer = await begun(mate)
    await publish(mate.served, f"name: {mate.name}-part\ntasks: [{{name: only, sleep: 0.01}}]")
    await call(mate, offer, 1, process={"type": f"{mate.name}-part"})
    child = (await resolved(mate, offer, 1)).output["run"]
    async with looking(mate.served) as look:
        assert f'<a href="/ui/runs/{child}">Run</a>' in await look(f"/ui/runs/{run}")
    await mate.end(offer)
    await mate.served.becomes(IS, run, "COMPLETED")


@asynccontextmanager
async def looking(served: Served) -> AsyncIterator[Callable[[str], Awaitable[str]]]:
    """Pages, for somebody who has signed in."""
    token = await create_token(served.conn, f"eyes {next(NUMBERS)}", Role.ADMIN)
    async with httpx.AsyncClient(base_url=served.url, timeout=30) as client:
        someone = Browser(client)
        page = await someone.open("/ui/login")
        form = token_form(page)
        own = {"Sec-Fetch-Site": "same-origin", "Origin": served.url}
        answer = await someone.post(form.action, {**dict(form.fields), "token": token}, own)
        assert answer.status_code == 303, answer.text

        async def look(path: str) -> str:
            return (await someone.open(path)).answer.text

        yield look


async def test_the_end_of_a_child_and_of_a_run_that_is_awaited_is_told_when_it_is_committed(
    mate: Mate,
) -> None:
    parent, waiting = await begun(mate)
    known = mate.of(Offer)
    heard: list[str] = []
    async with await AsyncConnection.connect(mate.served.dsn, autocommit=True) as conn:
        await conn.execute("listen procession")
        await call(mate, waiting, 1, process={"type": mate.name})
        child = await next_offer(mate, known)
        other, working = await begun(mate)
        await call(mate, waiting, 2, result={"run": other})
        await mate.served.becomes("select 1 from runs where id = %s and awaited", other)
        for offer in (child, working):
            async for notice in conn.notifies(timeout=0, stop_after=None):
                heard.append(notice.payload)
            heard.clear()
            await mate.end(offer)
            await resolved(mate, waiting, 1 if offer is child else 2)
            async for notice in conn.notifies(timeout=0, stop_after=None):
                heard.append(notice.payload)
            assert any('"d":1' in each for each in heard)
    await mate.end(waiting)
    await mate.served.becomes(IS, parent, "COMPLETED")


# The command line.


async def test_people_send_read_and_fork_from_a_terminal(mate: Mate) -> None:
    run, offer = await begun(mate)
    await call(mate, offer, 1, recv={"topic": "approved"})
    assert "is sent" in await typed(mate, "send", run, "approved", "--body", '{"by": "ada"}')
    assert (await resolved(mate, offer, 1)).output == {"by": "ada"}
    await keep(mate, offer, told(2, CallKind.SET, key="state", value="approved"))
    assert "approved" in await typed(mate, "values", run)
    assert "approved" in await typed(mate, "values", run, "--key", "state")
    await mate.end(offer)
    await mate.served.becomes(IS, run, "COMPLETED")
    assert "IN_PROGRESS" in await typed(mate, "fork", run, "--from", "2")


async def typed(mate: Mate, *words: str) -> str:
    token = await create_token(mate.served.conn, f"hands {next(NUMBERS)}", Role.OPERATOR)
    env = {"PROCESSION_SERVER": mate.served.url, "PROCESSION_TOKEN": token}
    said = await asyncio.to_thread(CliRunner().invoke, procession, list(words), env=env)
    assert said.exit_code == 0, said.output
    return said.output


# Families.


async def test_what_a_childs_program_said_of_its_failure_reaches_its_parent(mate: Mate) -> None:
    known_ = mate.of(Offer)
    parent, waiting = await begun(mate)
    await call(mate, waiting, 1, process={"type": mate.name})
    child = await next_offer(mate, [*known_, waiting])
    await mate.fail(child, "SoldOut", "the last one is gone", retryable=False)
    error = (await resolved(mate, waiting, 1)).error
    assert error is not None
    assert (error.type, error.message) == ("SoldOut", "the last one is gone")
    await mate.end(waiting)
    await mate.served.becomes(IS, parent, "COMPLETED")
