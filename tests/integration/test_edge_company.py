"""Two agents in this process, and no server: runs of the one that the other carries out."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge import identity, sealing
from edge.agent.asking import Pace
from edge.agent.directory import Held, Known, Peer
from edge.agent.home import Config, Home
from edge.agent.local import Refused
from edge.agent.program import Program
from edge.identity import Grant
from scheduler.domain import process_types
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

NOWHERE = "http://127.0.0.1:9"  # a port that nobody serves
TYPES = """
name: sawing
tasks:
  - name: press
    process: {type: pressing, input: {piece: 7}}
    on: {workstation: press}
result: ${{ tasks.press.output.output }}
---
name: hasty
tasks:
  - name: press
    process: pressing
    on: {workstation: press, start_before: 1s}
---
name: forbidden
tasks:
  - name: press
    process: melting
    on: {workstation: press}
---
name: pressing
input: {type: object, properties: {piece: {type: integer}}}
tasks:
  - {name: look, approval: {message: "Is piece ${{ input.piece }} flat?"}}
result: {piece: "${{ input.piece }}", by: "${{ tasks.look.output.by }}"}
"""


class Agents:
    def __init__(self, folder: Path) -> None:
        self.server = Ed25519PrivateKey.generate()
        self.saw = self.made(folder / "saw", "saw")
        self.press = self.made(folder / "press", "press", listen="127.0.0.1:0")
        self.stop = asyncio.Event()

    def made(self, folder: Path, name: str, **more: Any) -> Program:
        home = Home(folder)
        home.prepare()
        identity.make_key(home.key)
        sealing.make_key(home.sealing)
        config = Config(server=NOWHERE, name=name, server_key=identity.public(self.server), **more)
        home.save(config)
        program = Program(home, config, starts_runner=False)
        program.company.peers.asker.pace = Pace(0.3, 0.3)
        return program

    @property
    def programs(self) -> tuple[Program, Program]:
        return self.saw, self.press

    def learn(self) -> None:
        """What the server has told before it went away."""
        parsed = [process_types.to_document(each) for each in process_types.parse(TYPES)]
        types = [{"name": each["name"], "version": 1, "document": each} for each in parsed]
        for program in self.programs:
            for each in types:
                program.runs.engine.put_type(each)
            program.book.commit()
        listener = self.press.company.listener
        assert listener is not None
        key, until_ = self.press.company.me.name, time.time() + 3600
        public = identity.public(identity.read_key(self.press.home.key))
        peer = Peer(key, listener.place, public, ("pressing",))
        own = identity.public(identity.read_key(self.saw.home.key))
        grant = Grant("saw", "press", until_, types=("pressing",), key=own)
        held = Held(identity.issue(self.server, grant), ("pressing",), time.time(), until_)
        self.saw.company.directory.keep(Known({"press": peer}, {"press": held}, time.time()))

    async def ask(self, program: Program, verb: str, **given: Any) -> Any:
        return await program.verbs.ask(verb, given)

    async def begun(self, type: str = "sawing") -> str:
        return str((await self.ask(self.saw, "start", type=type))["run"])

    async def one(self, program: Program, *states: str) -> dict[str, Any]:
        """The only run there, once it is in one of these states."""
        async with asyncio.timeout(60):
            while True:
                found = await self.ask(program, "runs")
                assert len(found) <= 1
                if found and found[0]["state"] in states:
                    return dict(await self.ask(program, "run", run=found[0]["run"]))
                await asyncio.sleep(0.02)

    async def question(self) -> int:
        async with asyncio.timeout(60):
            while not (found := await self.ask(self.press, "questions")):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
            return int(found[0]["id"])


@pytest.fixture
async def agents(tmp_path: Path) -> AsyncIterator[Agents]:
    async with living(Agents(tmp_path)) as agents:
        yield agents


@asynccontextmanager
async def living(agents: Agents) -> AsyncIterator[Agents]:
    tasks = [asyncio.create_task(each.run(agents.stop)) for each in agents.programs]
    try:
        await until(lambda: agents.press.company.listener and agents.press.company.listener.place)
        agents.learn()
        yield agents
    finally:
        agents.stop.set()
        await asyncio.gather(*tasks)


async def test_what_a_peer_made_of_it_is_the_output_of_the_task(agents: Agents) -> None:
    await agents.begun()
    asked = await agents.question()
    await agents.ask(agents.press, "answer", id=asked, approve=True, by="anna")
    sawn = await agents.one(agents.saw, "COMPLETED")
    assert sawn["output"] == {"piece": 7, "by": "anna"}
    pressed = await agents.one(agents.press, "COMPLETED")
    assert sawn["tasks"][0]["output"]["run"] == pressed["run"]
    assert pressed["triggered_by"] == f"workstation saw: saw, run {sawn['run']}"


async def test_what_fails_at_the_peer_fails_the_task_with_its_reason(agents: Agents) -> None:
    await agents.begun()
    asked = await agents.question()
    await agents.ask(agents.press, "answer", id=asked, approve=False, by="anna", note="bent")
    sawn = await agents.one(agents.saw, "FAILED")
    assert "bent" in sawn["error"]


async def test_who_stops_a_run_stops_what_it_ordered(agents: Agents) -> None:
    run = await agents.begun()
    await agents.question()
    await agents.ask(agents.saw, "stop-run", run=run, why="the order was withdrawn")
    await agents.one(agents.press, "STOPPED")
    await agents.one(agents.saw, "STOPPED")


async def test_what_is_not_taken_in_time_never_begins(agents: Agents) -> None:
    listener = agents.press.company.listener
    assert listener is not None
    await listener.close()
    await agents.begun("hasty")
    sawn = await agents.one(agents.saw, "FAILED")
    assert "it had to start" in sawn["error"]
    assert "'press' was not reached" in sawn["error"]


async def test_what_no_grant_allows_fails_at_once_and_says_who_can_allow_it(
    agents: Agents,
) -> None:
    await agents.begun("forbidden")
    sawn = await agents.one(agents.saw, "FAILED")
    assert "may start pressing at 'press', and not 'melting'" in sawn["error"]
    assert "procession workstation allow" in sawn["error"]


async def test_an_order_waits_until_a_drained_peer_takes_it(agents: Agents) -> None:
    await agents.ask(agents.press, "drain", why="a new die")
    await agents.begun()

    async def waits() -> bool:
        [order] = (await agents.ask(agents.saw, "orders"))["orders"]
        return bool(order["news"]) and order["news"].get("waiting") == "draining"

    async with asyncio.timeout(60):
        while not await waits():  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    assert not await agents.ask(agents.press, "runs")
    await agents.ask(agents.press, "undrain")
    await agents.question()


async def test_somebody_at_the_machine_orders_by_an_id_of_their_own(agents: Agents) -> None:
    given = {"type": "pressing", "on": "press", "input": {"piece": 3}, "by": "ben"}
    first = await agents.ask(agents.saw, "order", **given)
    again = await agents.ask(agents.saw, "order", **given, run=first["run"])
    assert first == again
    with pytest.raises(Refused, match=r"is an order of 'pressing' at 'press'"):
        await agents.ask(agents.saw, "order", **{**given, "input": {}}, run=first["run"])
    waiting = asyncio.create_task(agents.ask(agents.saw, "wait-order", run=first["run"]))
    asked = await agents.question()
    news = agents.saw.company.peers.news
    told = await until(lambda: (found := news.get(first["run"], {})).get("task") and found)
    assert (told["task"], told["over"], told["total"]) == ("look", 0, 1)
    await agents.ask(agents.press, "answer", id=asked, approve=True, by="anna")
    ended = await asyncio.wait_for(waiting, 60)
    assert (ended["ending"], ended["output"]["output"]) == ("SUCCEEDED", {"piece": 3, "by": "anna"})


async def test_an_order_is_steered_by_whoever_gave_it(agents: Agents) -> None:
    given = {"type": "pressing", "on": "press", "input": {"piece": 3}}
    run = (await agents.ask(agents.saw, "order", **given))["run"]
    await agents.question()
    await agents.ask(agents.saw, "hold-order", run=run)
    await agents.one(agents.press, "HOLDING", "HELD")
    await agents.ask(agents.saw, "stop-order", run=run)
    await agents.one(agents.press, "STOPPED")
    ended = await asyncio.wait_for(agents.ask(agents.saw, "wait-order", run=run), 60)
    assert ended["ending"] == "FAILED"
    assert "was stopped" in ended["error"]
    with pytest.raises(Refused, match=r"no order '7' is known here"):
        await agents.ask(agents.saw, "stop-order", run="7")


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no such peer": ({"on": "oven"}, "no workstation 'oven' is known that can be called"),
    "not allowed": ({"type": "melting"}, "and not 'melting'"),
    "no run": ({"run": "7"}, "run: '7' is no UUID of version 7"),
    "no input": ({"input": [1]}, "input: an object is due"),
    "no type": ({"type": None}, "type: a text is due"),
}


@pytest.mark.parametrize("wrong", WRONG)
async def test_an_order_that_could_never_be_is_refused_at_once(agents: Agents, wrong: str) -> None:
    more, why = WRONG[wrong]
    with pytest.raises(Refused, match=why):
        await agents.ask(agents.saw, "order", **{"type": "pressing", "on": "press", **more})
    assert not agents.saw.company.peers.ledger.asked
