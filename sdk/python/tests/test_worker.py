"""A worker at work, against an end of the wire that says what a test wants it to say."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from procession import Context, Failure, Rejected, Worker, carriers, hands, wire
from procession.hosting import Line
from procession.messages import (
    Back,
    Command,
    Ended,
    FlowHeard,
    Hello,
    Message,
    Offer,
    Park,
    Published,
    Record,
)
from procession.windows import Windows
from procession.workflows import step, workflow

pytestmark = pytest.mark.anyio

TOKEN = "pn_worker_0123456789"
WITHIN = 60.0


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Windows, "next", lambda self, now: 0.0)


async def until(condition: Callable[[], Any]) -> Any:
    async with asyncio.timeout(WITHIN):
        while True:
            if found := condition():
                return found
            await asyncio.sleep(0.01)


class World:
    """The server's end: what it heard, and what it says."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.sessions: list[str] = []
        self.sockets: list[ServerConnection] = []
        self.acknowledges = True
        self.number = 0
        self.server: Server | None = None

    @property
    def url(self) -> str:
        assert self.server is not None
        return f"http://127.0.0.1:{next(iter(self.server.sockets)).getsockname()[1]}"

    def of(self, kind: type[Any]) -> list[Any]:
        return [each for each in self.heard if isinstance(each, kind)]

    def end_of(self, attempt: str) -> Ended | None:
        return next((each for each in self.of(Ended) if each.attempt == attempt), None)

    async def serve(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        async for text in socket:
            frame = wire.decode(text, wire.FROM_WORKER)
            self.sessions.append(frame.session)
            self.heard += frame.messages
            for each in frame.messages:
                await self.answer(each)

    async def answer(self, message: Message) -> None:
        if isinstance(message, Hello):
            times = {"beat": 0.2, "lease": 5, "clock": 0, "poll": 0.05}
            await self.say({"type": "welcome", "protocol": 1, "server": "s", "forget": [], **times})
        if isinstance(message, Ended) and self.acknowledges:
            await self.say({"type": "have", "attempts": [message.attempt]})

    async def say(self, *told: dict[str, Any]) -> None:
        frame = {"session": self.sessions[-1], "messages": list(told)}
        await self.sockets[-1].send(json.dumps(frame))

    async def offer(self, action: str, payload: Any = None, beside: Any = None, **more: Any) -> str:
        self.number += 1
        attempt = f"{self.number}.1"
        offer = {"action": action, "payload": payload, "run": "r", "task": "t", "number": 1}
        whole = {"type": "offer", "attempt": attempt, "type_name": "x", "key": "k", **offer, **more}
        await self.say(whole, *([beside] if beside else []))
        return attempt

    async def command(self, attempt: str, verb: str) -> None:
        await self.say({"type": "command", "attempt": attempt, "verb": verb, "reason": "so"})

    async def ended(self, attempt: str) -> Ended:
        found: Ended = await until(lambda: self.end_of(attempt))
        return found

    def cut(self) -> None:
        self.sockets[-1].transport.abort()

    async def connected(self, times: int = 1) -> None:
        await until(lambda: len(self.of(Hello)) >= times)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    async with serve(world.serve, "127.0.0.1", 0, subprotocols=[carriers.PROTOCOL]) as server:
        world.server = server
        yield world


@asynccontextmanager
async def running(world: World, worker: Worker) -> AsyncIterator[asyncio.Task[None]]:
    """Stopped at the end, at once."""
    worker.url, worker.token = world.url, TOKEN
    task = asyncio.create_task(worker.run())
    await world.connected()
    try:
        yield task
    finally:
        worker.stop()
        worker.stop()
        with suppress(Rejected):
            await task


async def test_results_and_failures_of_handlers_reach_the_server(world: World) -> None:
    worker = Worker(name="one", slots=4)

    @worker.action("twice")
    def twice(payload: Any) -> Any:
        return [payload, payload]

    @worker.action("later")
    async def later(payload: Any, context: Context) -> Any:
        await asyncio.sleep(0)
        return {"attempt": context.attempt, "key": context.key}

    @worker.action("never")
    def never(payload: Any) -> Any:
        raise Failure("no such card", retryable=False)

    @worker.action("leaves")
    def leaves(payload: Any) -> Any:
        raise SystemExit(3)

    worker.register("strange", lambda payload: object())
    async with running(world, worker):
        [hello] = world.of(Hello)
        assert (hello.name, hello.slots) == ("one", 4)
        assert hello.actions == ("twice", "later", "never", "leaves", "strange")
        names = ("twice", "later", "never", "leaves", "strange")
        attempts = [await world.offer(each, "x") for each in names]
        ends = [await world.ended(each) for each in attempts]
        assert ends[0].output == ["x", "x"]
        assert ends[1].output == {"attempt": attempts[1], "key": "k"}
        failed = [each.error for each in ends[2:]]
        assert [each.type for each in failed if each] == ["Failure", "SystemExit", "ResultNotJson"]
        assert [each.retryable for each in ends[2:]] == [False, True, False]


async def test_an_action_that_is_not_served_is_handed_back(world: World) -> None:
    async with running(world, Worker().register("known", len)):
        attempt = await world.offer("unknown")
        [back] = await until(lambda: world.of(Back))
        assert back.attempt == attempt
        assert "unknown" in back.why


async def test_an_end_that_was_not_acknowledged_is_said_again_after_a_cut(world: World) -> None:
    world.acknowledges = False
    goes_on = threading.Event()
    worker = Worker(slots=2).register("quick", len).register("slow", lambda p: goes_on.wait(WITHIN))
    async with running(world, worker):
        quick, slow = await world.offer("quick", "abc"), await world.offer("slow")
        await world.ended(quick)
        world.cut()
        await world.connected(2)
        hello = world.of(Hello)[1]
        assert set(hello.running) == {quick, slow}
        assert len(set(world.sessions)) == 1
        await until(lambda: len([e for e in world.of(Ended) if e.attempt == quick]) == 2)
        world.acknowledges = True
        goes_on.set()
        assert (await world.ended(slow)).output is True
        world.cut()
        await world.connected(3)
        assert world.of(Hello)[2].running == (quick,)
        await until(lambda: len([e for e in world.of(Ended) if e.attempt == quick]) == 3)


async def test_a_fenced_worker_stops_everything_and_begins_another_session(world: World) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()
    seen = threading.Event()
    worker = Worker(slots=2)

    @worker.action("async")
    async def forever(payload: Any) -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    @worker.action("thread")
    def blocks(payload: Any, context: Context) -> None:
        context.cancelled.wait(WITHIN)
        seen.set()

    async with running(world, worker):
        mine = [await world.offer("async"), await world.offer("thread")]
        await asyncio.wait_for(begun.wait(), WITHIN)
        await world.say({"type": "bye", "why": "silence", "fenced": True})
        await asyncio.wait_for(stopped.wait(), WITHIN)
        await until(seen.is_set)
        await world.connected(2)
        assert len(set(world.sessions)) == 2
        assert world.of(Hello)[1].running == ()
        ended = await world.ended(await world.offer("thread", timeout=0.05))
        assert ended.ending == "SUCCEEDED"
        assert not [each for each in mine if world.end_of(each)]


async def test_a_session_that_is_over_is_begun_anew(world: World) -> None:
    async with running(world, Worker().register("known", len)):
        await world.sockets[-1].close(4409, "the session is over")
        await world.connected(2)
        assert len(set(world.sessions)) == 2


async def test_a_stop_reaches_the_handler_which_says_what_came_of_it(world: World) -> None:
    worker = Worker(slots=4)
    begun: list[str] = []

    @worker.action("async")
    async def forever(payload: Any, context: Context) -> None:
        begun.append(context.attempt)
        await asyncio.Event().wait()

    @worker.action("checks")
    def checks(payload: Any, context: Context) -> None:
        begun.append(context.attempt)
        context.cancelled.wait(WITHIN)
        context.checkpoint()

    @worker.action("finishes")
    def finishes(payload: Any, context: Context) -> str:
        begun.append(context.attempt)
        context.cancelled.wait(WITHIN)
        return "done all the same"

    async with running(world, worker):
        attempts = [await world.offer(each) for each in ("async", "checks", "finishes")]
        await until(lambda: len(begun) == 3)
        for each in attempts:
            await world.command(each, "stop")
        ends = [await world.ended(each) for each in attempts]
        assert [each.ending for each in ends] == ["STOPPED", "STOPPED", "SUCCEEDED"]


async def test_whoever_is_held_waits_at_a_checkpoint_until_it_may_go_on(world: World) -> None:
    worker, begun = Worker(slots=4), threading.Barrier(3)
    contexts: list[Context] = []
    passed: list[str] = []

    @worker.action("thread")
    def thread(payload: Any, context: Context) -> None:
        contexts.append(context)
        begun.wait(WITHIN)
        context.checkpoint()
        passed.append("thread")

    @worker.action("async")
    async def loops(payload: Any, context: Context) -> None:
        contexts.append(context)
        await asyncio.to_thread(begun.wait, WITHIN)
        await context.acheckpoint()
        passed.append("async")

    async with running(world, worker):
        attempts = [await world.offer("thread", timeout=WITHIN), await world.offer("async")]
        await until(lambda: len(contexts) == 2)
        for each in attempts:
            await world.command(each, "hold")
        await until(lambda: all(each.is_held for each in contexts))
        await asyncio.to_thread(begun.wait, WITHIN)
        assert passed == []
        engine = worker._engine
        assert engine is not None
        job = engine.hands.jobs[attempts[0]]
        assert (job.clock, job.left is not None) == (None, True)
        await world.command(attempts[0], "resume")
        await world.ended(attempts[0])
        assert passed == ["thread"]
        await world.command(attempts[1], "stop")
        assert (await world.ended(attempts[1])).ending == "STOPPED"
        assert passed == ["thread"]


async def test_what_is_stopped_before_its_first_step_is_told_as_stopped(world: World) -> None:
    async def never(payload: Any) -> None:
        raise AssertionError("it was to stop before")

    async with running(world, Worker().register("never", never)):
        command = {"type": "command", "attempt": "1.1", "verb": "stop", "reason": "so"}
        await world.offer("never", beside=command)
        assert (await world.ended("1.1")).ending == "STOPPED"


async def test_a_handler_that_ignores_a_stop_is_waited_for_as_long_as_its_grace(
    world: World,
) -> None:
    goes_on = threading.Event()
    worker = Worker(slots=2).register("deaf", lambda payload: goes_on.wait(WITHIN))
    async with running(world, worker):
        brief, endless = await world.offer("deaf", grace=0.05), await world.offer("deaf")
        await world.command(brief, "stop")
        await world.command(endless, "stop")
        assert (await world.ended(brief)).ending == "STOPPED"
        assert world.end_of(endless) is None
        goes_on.set()
        assert (await world.ended(endless)).ending == "SUCCEEDED"


async def test_a_handler_that_ignores_a_kill_gives_its_slot_to_another(world: World) -> None:
    goes_on = threading.Event()
    worker = Worker(slots=1)
    worker.register("deaf", lambda payload: goes_on.wait(WITHIN)).register("quick", len)
    async with running(world, worker):
        deaf = await world.offer("deaf")
        await world.command(deaf, "kill")
        assert (await world.ended(deaf)).ending == "STOPPED"
        assert (await world.ended(await world.offer("quick", "ab"))).output == 2
        goes_on.set()
        assert (await world.ended(await world.offer("quick", "abc"))).output == 3
        assert len([each for each in world.of(Ended) if each.attempt == deaf]) == 1


async def test_what_outlasts_its_timeout_is_timed_out(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hands, "GRACE", 0.1)
    goes_on = threading.Event()
    worker = Worker(slots=2).register("deaf", lambda payload: goes_on.wait(WITHIN))

    @worker.action("async")
    async def forever(payload: Any) -> None:
        await asyncio.Event().wait()

    async with running(world, worker):
        for action in ("async", "deaf"):
            end = await world.ended(await world.offer(action, timeout=0.05))
            assert end.ending == "TIMED_OUT"
    goes_on.set()


async def test_what_a_handler_prints_and_tells_comes_before_its_end(world: World) -> None:
    worker = Worker()

    @worker.action("talks")
    def talks(payload: Any, context: Context) -> None:
        context.print("für", payload)
        context.progress(50, "half")

    async with running(world, worker):
        await world.ended(await world.offer("talks", "dich"))
        kinds = [type(each).__name__ for each in world.heard]
        assert kinds.index("Log") < kinds.index("Progress") < kinds.index("Ended")
        assert next(each.text for each in world.heard if hasattr(each, "text")) == "für dich\n"


async def test_a_worker_that_leaves_ends_what_it_began_and_hands_back_the_rest(
    world: World,
) -> None:
    goes_on, has_begun = threading.Event(), threading.Event()
    worker = Worker(slots=1)

    @worker.action("slow")
    def slow(payload: Any) -> str:
        has_begun.set()
        goes_on.wait(WITHIN)
        return "ended in good order"

    async with running(world, worker) as task:
        first, second = await world.offer("slow"), await world.offer("slow")
        await until(has_begun.is_set)
        worker.stop()
        await until(lambda: world.of(Back))
        assert not task.done()
        goes_on.set()
        await asyncio.wait_for(task, WITHIN)
    assert (await world.ended(first)).output == "ended in good order"
    assert world.end_of(second) is None
    kinds = [type(each).__name__ for each in world.heard if type(each).__name__ != "Lease"]
    assert kinds[-1] == "Leave"
    assert kinds.index("Drain") < kinds.index("Back") < kinds.index("Ended")


async def test_what_was_broken_off_is_told_and_what_goes_on_all_the_same_is_lost(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first signal leaves no grace; a second one ends what does not listen."""
    monkeypatch.setattr("procession.engine.CLEANING", WITHIN)
    worker = Worker(slots=2, grace=0)
    has_begun, goes_on = threading.Event(), threading.Event()

    @worker.action("async")
    async def forever(payload: Any) -> None:
        await asyncio.Event().wait()

    @worker.action("deaf")
    def ignores(payload: Any) -> None:
        has_begun.set()
        goes_on.wait(WITHIN)

    async with running(world, worker) as task:
        heeds, deaf = await world.offer("async"), await world.offer("deaf")
        engine = worker._engine
        assert engine is not None
        await until(lambda: has_begun.is_set() and len(engine.hands.jobs) == 2)
        worker.stop()
        stopped = await world.ended(heeds)
        worker.stop()
        await asyncio.wait_for(task, WITHIN)
    goes_on.set()
    lost = await world.ended(deaf)
    assert (stopped.ending, stopped.lost) == ("STOPPED", None)
    assert (lost.ending, lost.lost) == ("STOPPED", True)
    assert world.of(Back) == []


@pytest.mark.parametrize(("code", "words"), [(4401, "tokens create"), (4406, "version")])
async def test_a_server_that_does_not_want_the_worker_ends_it_with_a_remedy(
    world: World, code: int, words: str
) -> None:
    begun, stopped = threading.Event(), threading.Event()

    def blocks(payload: Any, context: Context) -> None:
        begun.set()
        if context.cancelled.wait(WITHIN):
            stopped.set()

    async with running(world, Worker().register("blocks", blocks)) as task:
        await world.offer("blocks")
        await until(begun.is_set)
        await world.sockets[-1].close(code, "no")
        with pytest.raises(Rejected, match=words):
            await asyncio.wait_for(asyncio.shield(task), WITHIN)
        await until(stopped.is_set)


async def test_a_token_that_is_not_known_ends_the_worker_before_it_begins() -> None:
    def refuse(connection: ServerConnection, request: Request) -> Response:
        assert request.headers["Authorization"] == f"Bearer {TOKEN}"
        assert TOKEN not in request.path
        return Response(401, "Unauthorized", Headers())

    async with serve(World().serve, "127.0.0.1", 0, process_request=refuse) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        worker = Worker(f"http://127.0.0.1:{port}", TOKEN).register("known", len)
        with pytest.raises(Rejected, match="tokens create"):
            await asyncio.wait_for(worker.run(), WITHIN)


async def test_a_token_goes_to_no_server_that_another_points_to(world: World) -> None:
    asked: list[str] = []

    def point(connection: ServerConnection, request: Request) -> Response:
        asked.append(request.path)
        there = world.url.replace("http", "ws") + request.path
        return Response(307, "Temporary Redirect", Headers(Location=there))

    async with serve(world.serve, "127.0.0.1", 0, process_request=point) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        worker = Worker(f"http://127.0.0.1:{port}", TOKEN, carrier="stream").register("it", len)
        task = asyncio.create_task(worker.run())
        await until(lambda: len(asked) > 3)
        worker.stop()
        await asyncio.wait_for(task, WITHIN)
    assert world.heard == []


async def test_polls_carry_what_streams_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    """Something on the way answers 404 to a WebSocket and lets requests through."""
    world = World()
    told: list[dict[str, Any]] = []

    async def say(*messages: dict[str, Any]) -> None:
        told.extend(messages)

    monkeypatch.setattr(world, "say", say)

    async def exchange(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                if head.startswith("get"):
                    writer.write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
                    break
                length = int(head.split("content-length: ")[1].split("\r\n")[0])
                frame = wire.decode(await reader.readexactly(length), wire.FROM_WORKER)
                world.heard += frame.messages
                for each in frame.messages:
                    await world.answer(each)
                body = json.dumps({"session": frame.session, "messages": told}).encode()
                told.clear()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(exchange, "127.0.0.1", 0)
    async with server:
        worker = Worker(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", TOKEN)
        task = asyncio.create_task(worker.register("twice", lambda p: p * 2).run())
        await world.connected()
        attempts = [await world.offer("twice", number) for number in range(5)]
        ends = [await world.ended(each) for each in attempts]
        assert [each.output for each in ends] == [0, 2, 4, 6, 8]
        worker.stop()
        await asyncio.wait_for(task, WITHIN)
        assert type(world.heard[-1]).__name__ == "Leave"


class Hosted:
    def __init__(self, line: Line) -> None:
        self.line = line
        self.told: list[Any] = []

    def heard(self, message: FlowHeard) -> None:
        self.told.append(type(message).__name__)

    def commanded(self, command: Command) -> None:
        self.told.append(command.verb)

    def met(self) -> None:
        self.told.append("met")

    def lost(self, why: str) -> None:
        self.told.append("lost")

    def closing(self) -> None:
        self.told.append("closing")
        self.line.say(Park(self.line.attempt, (1,)))


class Host:
    def __init__(self) -> None:
        self.begun: list[Hosted] = []

    def published(self) -> list[Published]:
        return [Published({"name": "flow", "tasks": []}, "v1")]

    def begin(self, offer: Offer, line: Line) -> Hosted:
        self.begun.append(Hosted(line))
        return self.begun[-1]


async def test_workflows_go_to_their_host_and_hear_what_concerns_them(world: World) -> None:
    host = Host()
    worker = Worker().host(host)
    async with running(world, worker) as task:
        [hello] = world.of(Hello)
        assert hello.workflows == (Published({"name": "flow", "tasks": []}, "v1"),)
        attempt = await world.offer("flow", {}, workflow={"calls": 0, "proof": "p"})
        await world.say({"type": "history", "attempt": attempt, "calls": []})
        await world.command(attempt, "hold")
        await until(lambda: host.begun and host.begun[0].told == ["History", "hold"])
        world.cut()
        await world.connected(2)
        await until(lambda: host.begun[0].told[-1] == "met")
        worker.stop()
        await until(lambda: [each for each in world.heard if isinstance(each, Park)])
        await world.say({"type": "parked", "attempt": attempt})
        await asyncio.wait_for(task, WITHIN)
        assert host.begun[0].told[2:] == ["met", "closing", "Parked"]
        assert type(world.heard[-1]).__name__ == "Leave"


async def test_a_server_that_takes_a_step_and_keeps_it_not_is_waited_for(world: World) -> None:
    """It is told again over each connection, and what follows from it has to wait."""
    done: list[str] = []

    @step
    async def note(what: str) -> str:
        done.append(what)
        return what

    @workflow
    async def notes() -> str:
        return await note(f"{await note('first')} and second")

    async with running(world, Worker().serve(notes)):
        attempt = await world.offer("notes", {}, workflow={"calls": 0, "proof": "p"})
        await until(lambda: world.of(Record))
        for times in (2, 3, 4):
            world.cut()
            await until(lambda: len(world.of(Record)) >= times)  # noqa: B023 - it is over then
        assert done == ["first"]
        first, *again = [each.calls for each in world.of(Record)]
        assert all(each == first for each in again)
        kept = {"attempt": attempt, "calls": [{"seq": 1, "order": 1}]}
        await world.say({"type": "recorded", **kept})
        await until(lambda: done == ["first", "first and second"])
