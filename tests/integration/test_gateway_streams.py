"""Many workstations at one server: none keeps another waiting, and quiet ones cost nothing."""

import asyncio
import socket
import time
from contextlib import AsyncExitStack
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from websockets.asyncio.client import connect

from edge import wire
from edge.gateway.frames import Heard
from edge.gateway.streams import Stream, Streams
from edge.lines import MOST_WAITING
from edge.messages import Forget, Frame, Have, Hello, Item, Lane, Lease, Metrics, Stock, Welcome
from tests.support.gateways import Line, Served, a_line, a_machine, poll
from tests.support.publishing import publish, start
from tests.support.waiting import patience, until

pytestmark = pytest.mark.anyio

ROW: dict[str, Any] = {
    "id": 1,
    "name": "saw-1",
    "public_key": "key",
    "labels": {"line": "2"},
    "told_labels": {},
    "draining": False,
}


def greeted(slots: int = 2, **labels: str) -> Heard:
    hello = Hello(1, 1, 1, "book", slots, 0.0, labels=labels)
    return Heard(7, [], (0,) * 5, (0,) * 5, slots, greeted=hello)


def a_stream(slots: int = 2, **labels: str) -> Stream:
    stream = Stream(ROW)
    stream.took(greeted(slots, **labels))
    return stream


LEASE = Lease((), 1, 100.0)


def test_a_sign_of_life_that_changes_nothing_is_answered_from_memory() -> None:
    stream = a_stream()
    answer = stream.quick(Frame(7, (LEASE,)), 90.0)
    assert answer == [Have((0,) * 5, (0,) * 5, {}, 90.0)]
    assert (stream.room, stream.skew) == (1, 10.0)


@pytest.mark.parametrize(
    "frame",
    [
        Frame(6, (LEASE,)),
        Frame(7, ()),
        Frame(7, (LEASE, Item(Lane.METRICS, 1, Metrics(1.0, {})))),
    ],
    ids=["an older session", "nothing", "more than a lease"],
)
def test_everything_else_is_asked_of_the_rows(frame: Frame) -> None:
    assert a_stream().quick(frame, 90.0) is None


def test_while_a_command_is_not_answered_every_lease_repeats_it() -> None:
    stream = a_stream()
    stream.commands = 1
    assert stream.quick(Frame(7, (LEASE,)), 90.0) is None


def test_what_people_call_a_workstation_stands_before_what_it_says() -> None:
    assert a_stream(line="1", hall="a").labels == {"line": "2", "hall": "a"}


def test_who_takes_nothing_of_what_it_is_sent_is_given_up() -> None:
    stream = a_stream()
    for _ in range(MOST_WAITING + 2):
        stream.say(7, [Forget("1.1")])
    assert stream.why is not None
    assert stream.why[0] == 4408


def test_a_newer_stream_of_the_same_workstation_counts() -> None:
    streams, older, newer = Streams(), a_stream(), a_stream()
    streams.begin(older)
    streams.begin(newer)
    assert older.why is not None
    assert older.why[0] == 4409
    assert not streams.end(older)
    assert streams.get("saw-1") is newer


async def test_all_that_come_at_once_are_let_in(served: Served) -> None:
    machines = [await a_machine(served, f"one-{n}") for n in range(60)]
    async with AsyncExitStack() as stack:

        async def come(machine: Any) -> None:
            await stack.enter_async_context(a_line(served, machine))
            await machine.has_session()

        async with asyncio.TaskGroup() as group:
            for each in machines:
                group.create_task(come(each))
    assert all(len(each.begun) == 0 for each in machines)


async def test_quiet_workstations_ask_nothing_of_the_database(served: Served) -> None:
    """A lease is answered from memory; that it was heard is written together with all others."""
    saw, pool = await a_machine(served, "quiet-1"), served.gateway.pool
    assert pool is not None
    async with a_line(served, saw) as line:
        session = await saw.has_session()
        lease = wire.encode(Frame(session, (Lease((), 2, time.time()),)))
        await answered(line, lease)
        before = pool.get_stats()["requests_num"]
        for _ in range(50):
            await answered(line, lease)
        assert pool.get_stats()["requests_num"] == before
    await served.becomes("select 1 from workstations where name = 'quiet-1' and skew is not null")


async def test_a_quiet_workstation_hears_over_how_long_a_larger_fleet_is_to_come_back(
    served: Served,
) -> None:
    """Who came first would else come back at once, with all others that came early."""
    saw = await a_machine(served, "first-1")
    async with a_line(served, saw) as line:
        session = await saw.has_session()
        lease = wire.encode(Frame(session, (Lease((), 2, time.time()),)))
        [few] = [each.spread for each in line.got if isinstance(each, Welcome)]
        await served.conn.execute(
            """
            insert into workstations (name, state, public_key, created_by)
            select 'later-' || n, 'ACCEPTED', 'key of later-' || n, 'test'
              from generate_series(1, 700) n
            """
        )
        await until(lambda: served.gateway.known > 700)
        await answered(line, lease)
        assert line.haves()[-1].spread >= few + 99


async def answered(line: Line, text: str) -> None:
    seen = len(line.haves())
    await line.socket.send(text)
    await until(lambda: len(line.haves()) > seen)


async def test_what_a_quiet_workstation_is_to_have_is_said_without_being_asked(
    served: Served,
) -> None:
    """Nothing else is said then that could bring it along."""
    saw = await a_machine(served, "stocked-1")
    async with a_line(served, saw) as line:
        await saw.has_session()
        await answered(line, wire.encode(Frame(1, (Lease((), 2, time.time()),))))
        for name in ("cutting", "planing"):
            await publish(served, f"name: {name}\ntasks: [{{name: cut, run: cut}}]\n")
            on = "on: {workstation: stocked-1}"
            text = f"name: orders-{name}\ntasks: [{{name: saw, process: {name}, {on}}}]\n"
            await publish(served, text)
            await served.watch()
            stock = await until(partial(found, line, name))
            assert sum(each == stock for each in line.got) == 1


def found(line: Line, type: str) -> Stock | None:
    stocks = [each for each in line.got if isinstance(each, Stock)]
    return next((each for each in stocks if any(type in text for text in each.types)), None)


async def test_one_that_reads_nothing_keeps_nobody_waiting(served: Served) -> None:
    slow, quick = await a_machine(served, "slow-1", slots=50), await a_machine(served, "quick-1")
    quick.works = b"done"
    async with connect(
        f"ws{served.url[4:]}/api/v1/workstations/{slow.name}/stream",
        additional_headers={"Authorization": f"Bearer {slow.token}"},
        sock=narrow(served.url),
        proxy=None,
    ) as line:
        await line.send(wire.encode(Frame(0, (Hello(1, 1, 1, "book", 50, time.time()),))))
        await line.recv()
        line.transport.pause_reading()
        await order(served, slow.name, 30)
        stream = served.gateway.streams.get(slow.name)
        assert stream is not None
        await until(lambda: stream.is_behind)
        async with a_line(served, quick):
            await order(served, quick.name, 1)
            await until(lambda: quick.begun and not quick.book.jobs)
        assert stream.is_behind
        line.transport.abort()


def narrow(url: str) -> socket.socket:
    """A connection that takes little before it is read."""
    there = urlsplit(url)
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    made.connect((there.hostname, there.port))
    return made


async def order(served: Served, name: str, count: int, *, length: int = 250_000) -> None:
    """Runs of a task that is long to say."""
    text = f"name: long-{name}\ntasks:\n  - name: cut\n    run: [cut]\n    stdin: {'x' * length}\n"
    await publish(served, f"{text}    on: {{workstation: {name}}}\n")
    for _ in range(count):
        await start(served, f"long-{name}")


async def test_what_is_too_long_to_be_said_fails_and_says_so(served: Served) -> None:
    saw = await a_machine(served, "short-1")
    async with a_line(served, saw):
        await order(served, saw.name, 1, length=300_000)
        error = await served.becomes("select error from tasks where queue = 'ws:short-1'")
    assert "cannot be said to a workstation" in error
    assert not saw.begun


async def test_orders_that_are_long_to_say_come_one_after_the_other_by_poll(
    served: Served,
) -> None:
    saw = await a_machine(served, "poll-1", slots=8)
    saw.works = b""
    await poll(served, saw, fresh=True)
    await order(served, saw.name, 5)
    async with asyncio.timeout(patience(30)):
        while len(saw.begun) < 5:
            await poll(served, saw)
    assert len({each.attempt for each in saw.begun}) == 5
