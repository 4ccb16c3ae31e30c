"""An agent in this process, with its runner and its disk; the server is played by the test."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from edge import identity, sealing, wire
from edge.agent.callers import Caller, Callers
from edge.agent.home import Config, Home
from edge.agent.local import Refused
from edge.agent.peering import Order, Wait
from edge.agent.program import Program
from edge.agent.taking import No
from edge.messages import (
    Accept,
    Ended,
    Frame,
    FromServer,
    Hello,
    Item,
    Lane,
    Lease,
    Message,
    Offer,
    Refusal,
    Reject,
    Start,
    Stock,
    Stocked,
    Welcome,
)
from scheduler.domain.ids import new_id
from tests.support.disks import a_small_disk, fill
from tests.support.runners import end_runner_of
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

NOWHERE = "http://127.0.0.1:9"  # a port that nobody serves
POLICY = '[[allow]]\nprogram = "/bin/sh"\nrest = ".*"\nshell = true\n'


class Server:
    """What the agent said, and what it is told."""

    carrier = "stream"

    def __init__(self, program: Program) -> None:
        self.program = program
        self.heard: list[Message] = []
        self.is_cut = False
        self.session = 0
        self.unfit = ""

    def say(self, texts: list[str]) -> None:
        for each in texts:
            for message in wire.decode(each).messages:
                self.heard.append(message)
                if isinstance(message, Hello):
                    self.greet(message)

    def cut(self, why: str) -> None:
        self.is_cut = True
        self.program.lost(self, why)

    def tell(self, *messages: FromServer) -> None:
        self.program.heard(self, Frame(self.session, messages))

    def greet(self, hello: Hello) -> None:
        self.session = hello.greeting
        nothing = (0,) * len(Lane)
        welcome = Welcome(hello.greeting, self.session, 1, hello.clock, (), nothing, nothing)
        self.tell(replace(welcome, unfit=self.unfit))

    def said(self, kind: type[Any]) -> list[Any]:
        return [each for each in self.heard if isinstance(each, kind)]

    def results(self) -> list[Ended]:
        return [each.body for each in self.said(Item) if isinstance(each.body, Ended)]


def joined(folder: Path) -> tuple[Home, Config]:
    home, config = Home(folder / "home"), Config(server=NOWHERE, name="press-7", slots=2)
    home.prepare()
    identity.make_key(home.key)
    sealing.make_key(home.sealing)
    home.save(config)
    policy = home.path / "policy.toml"
    policy.write_text(POLICY)
    policy.chmod(0o644)
    return home, config


@asynccontextmanager
async def an_agent(folder: Path) -> AsyncIterator[tuple[Program, Server]]:
    home, config = joined(folder)
    program, stop = Program(home, config), asyncio.Event()
    running = asyncio.create_task(program.run(stop))
    try:
        await until(lambda: not program.hands.away)
        yield program, await connected(program)
    finally:
        runner = program.hands.pid
        stop.set()
        await running
        if runner is not None:
            await end_runner_of(runner)


async def connected(program: Program, before: Server | None = None) -> Server:
    server = Server(program)
    server.unfit = before.unfit if before else ""
    program.opened(server)
    await until(lambda: server.session and program.state == "connected")
    return server


def offer(attempt: str, script: str) -> Offer:
    return Offer(attempt, {"argv": ["/bin/sh", "-c", script]})


async def begin(server: Server, attempt: str, script: str) -> None:
    server.tell(offer(attempt, script))
    await until(lambda: [each for each in server.said(Accept) if each.attempt == attempt])
    server.tell(Start(attempt))


async def test_what_ends_while_the_disk_takes_nothing_is_told_of_when_it_does_again(
    tmp_path: Path,
) -> None:
    async with an_agent(tmp_path) as (program, server):
        go = tmp_path / "go"
        await begin(server, "1.1", f"while [ ! -e {go} ]; do sleep 0.05; done; exit 7")
        await until(lambda: program.book.jobs["1.1"].phase == "running")
        program.book.db.execute("pragma query_only = on")
        go.touch()
        await until(lambda: program.unwritable)
        await until(lambda: server.is_cut)
        assert "readonly" in program.unwritable
        assert program.status()["unwritable"]
        program.book.db.execute("pragma query_only = off")
        again = await connected(program)
        await until(again.results)
        assert [each.exit_code for each in again.results()] == [7]
        assert program.unwritable == ""


async def test_what_the_server_says_of_people_and_of_others_is_kept_and_costs_no_engine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    async def peers(directory: Any) -> list[Any]:
        asked.append(directory)
        return []

    monkeypatch.setattr("edge.agent.directory.SOON", 0.01)
    monkeypatch.setattr("edge.agent.directory.OverWeb.peers", peers)
    known = {"saw": {"key": "K", "types": ["press"]}}
    async with an_agent(tmp_path) as (program, server):
        await until(lambda: asked)
        server.tell(Stock("r", labels={"line": "2"}, callers=known, peers="others", at=7.0))
        await until(lambda: server.said(Stocked))
        await until(lambda: len(asked) > 1)
        assert program.runs.loaded is None
    again = Program(program.home, program.config, starts_runner=False)
    assert again.company.peers.taker.callers == Callers({"saw": Caller("K", ("press",))}, 7.0)
    assert again.runs.engine.here.labels == {"line": "2"}
    again.book.close()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
async def test_a_full_disk_costs_new_work_and_never_a_result(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        disk = stack.enter_context(a_small_disk(tmp_path / "disk", 48))
        program, server = await stack.enter_async_context(an_agent(disk))
        go = tmp_path / "go"
        await begin(server, "1.1", f"while [ ! -e {go} ]; do sleep 0.05; done; exit 7")
        await until(lambda: program.book.jobs["1.1"].phase == "running")
        fillers = [fill(disk, "filler")]
        server.tell(offer("2.1", "echo no"))
        await until(lambda: server.said(Reject))
        [refused] = server.said(Reject)
        assert (refused.refusal, "room on its disk" in refused.why) == (Refusal.BUSY, True)
        go.touch()
        await until(lambda: not program.home.reserve.exists())
        again = await connected(program)
        await until(again.results)
        assert [each.exit_code for each in again.results()] == [7]
        fillers.append(fill(disk, "another"))
        with pytest.raises(Refused, match="cannot be written"):
            await drained(program)
        assert program.unwritable
        for filler in fillers:
            filler.unlink()
        await program.verbs.ask("undrain", {})
        once_more = await connected(program)
        await until(lambda: [each for each in once_more.said(Lease) if each.free == 2])
        once_more.tell(offer("3.1", "echo yes"))
        await until(lambda: [each for each in once_more.said(Accept) if each.attempt == "3.1"])
        assert program.home.reserve.exists()


async def drained(program: Program) -> None:
    """Somebody at the machine says so again and again: there is some room left in its pages."""
    for number in range(10_000):
        await program.verbs.ask("drain", {"why": f"{number} " * 1000})


async def test_the_service_manager_is_told_that_the_agent_turns_whether_or_not_a_server_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        monkeypatch.setenv("WATCHDOG_USEC", "300000")
        home, config = joined(tmp_path)
        program, stop = Program(home, config, starts_runner=False), asyncio.Event()
        told: list[str] = []

        def look() -> Sequence[str]:
            while True:
                try:
                    told.append(manager.recv(4096).decode())
                except BlockingIOError:
                    return told

        running = asyncio.create_task(program.run(stop))
        await until(lambda: look().count("WATCHDOG=1") > 3)
        assert told.index("READY=1") < len(told)
        assert any(each.startswith("STATUS=away") for each in told)
        stop.set()
        await running
        assert look()[-1] == "STOPPING=1"


WHY = "its agent is of version 0.1, and 99 is due: install a newer one"


async def test_an_agent_that_is_given_no_work_starts_none_by_itself_either_and_remembers_that(
    tmp_path: Path,
) -> None:
    async with an_agent(tmp_path) as (program, server):
        document = {"name": "press", "tasks": [{"name": "a", "sleep": "1h"}]}
        told = json.dumps({"name": "press", "version": 1, "document": document})
        server.tell(Stock("r", types=(told,)))
        first = (await program.verbs.ask("start", {"type": "press"}))["run"]
        server.unfit = WHY
        server = await connected(program, server)
        for wish in ({"do": "start"}, {"do": "order", "on": "saw"}):
            with pytest.raises(Refused, match=f"takes no new work: {WHY}"):
                await program.verbs.ask(wish["do"], {"type": "press", **wish})
        no = program.company.object_to("saw", Order(str(new_id()), "press"))
        assert no == No(WHY, Wait.DRAINING)
        server.tell(offer("9.1", "echo no"))
        await until(lambda: server.said(Reject))
        assert (server.said(Reject)[0].refusal, server.said(Reject)[0].why) == (
            Refusal.DRAINING,
            WHY,
        )
        await program.verbs.ask("stop-run", {"run": first})  # what has begun is steered still
        assert [each["state"] for each in await ask(program, "runs")] == ["STOPPED"]
    again = Program(program.home, program.config, starts_runner=False)
    assert again.core.unfit == WHY
    assert again.runs.engine.closed() == f"this workstation takes no new work: {WHY}"
    again.book.close()
    newer = Program(program.home, program.config, starts_runner=False, version="99.1")
    assert newer.core.unfit == ""
    newer.book.close()


async def ask(program: Program, verb: str) -> Any:
    return await program.verbs.ask(verb, {})


async def test_whoever_asks_at_the_machine_gets_an_answer_or_a_reason(tmp_path: Path) -> None:
    async with an_agent(tmp_path) as (program, _):
        reader, writer = await asyncio.open_unix_connection(tmp_path / "home" / "control.sock")

        async def ask(line: bytes) -> Any:
            writer.write(line + b"\n")
            return json.loads(await reader.readline())

        assert (await ask(b'{"do": "status"}'))["ok"]["name"] == "press-7"
        for wrong in (b"", b"[]", b"{}", b'{"do": 7}', b'{"do": "sing"}', b"\xff", b"[" * 5000):
            assert (await ask(wrong))["error"]
        refused = await ask(b'{"do": "stop", "attempt": "9.9"}')
        assert refused["remedy"] == "`procession edge status` lists"
        program.verbs.add("break", lambda given: 1 / 0)
        assert "ZeroDivisionError" in (await ask(b'{"do": "break"}'))["error"]
        assert (await ask(b'{"do": "drain", "why": "dust"}')) == {"ok": None}
        assert program.book.shut.why == "dust"
        assert (tmp_path / "home" / "control.sock").stat().st_mode & 0o777 == 0o600
        writer.close()
