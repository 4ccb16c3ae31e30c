"""What a worker says that no SDK would: it harms nobody else, and is told what is wrong."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any
from uuid import uuid4

import pytest

from edge.remote.messages import (
    Call,
    Diverged,
    Ended,
    Ending,
    Forget,
    GiveUp,
    Park,
    Program,
    Progress,
    Record,
)
from scheduler.domain import calls
from scheduler.settings import RemoteSettings
from tests.support import remote_flows as flows
from tests.support.gateways import Served, a_server
from tests.support.postgres import Databases
from tests.support.remote_workers import Mate, a_token, publish, start

pytestmark = pytest.mark.anyio

NUMBERS = count(1)
BEAT = timedelta(seconds=0.5)
COMPLETED = "select 1 from runs where id = %s and state = 'COMPLETED'"
FAILED = "select 1 from runs where id = %s and state = 'FAILED'"


@pytest.fixture(scope="module")
async def served(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Served]:
    settings = RemoteSettings(beat=BEAT, lease=timedelta(minutes=5), poll=BEAT)
    with databases.cloned() as dsn:
        async with a_server(dsn, tmp_path_factory.mktemp("server"), settings) as served:
            yield served


@pytest.fixture
async def mate(served: Served) -> Mate:
    name = f"cut-{next(NUMBERS)}"
    await publish(served, f"name: {name}\ntasks: [{{name: cut, action: {name}}}]")
    return Mate(served, await a_token(served), [name], name=name)


OF_WORKFLOWS: Mapping[str, Callable[[str], Any]] = {
    "call": lambda attempt: Call(attempt, 1, "evil", {"noop": True}),
    "give_up": lambda attempt: GiveUp(attempt, 1),
    "park": lambda attempt: Park(attempt, (1, 2)),
    "park for nothing": lambda attempt: Park(attempt, ()),
    "diverged": lambda attempt: Diverged(attempt, 1, "one", "other"),
    "record": lambda attempt: Record(attempt, (flows.step(1, 5),)),
}


@pytest.mark.parametrize("word", OF_WORKFLOWS)
async def test_what_is_said_of_workflows_alone_is_refused_of_an_action(
    served: Served, mate: Mate, word: str
) -> None:
    run = await start(served, mate.name)
    async with mate.line():
        [offer] = await mate.has()
        await mate.say(OF_WORKFLOWS[word](offer.attempt))
        await mate.until(lambda: mate.closed)
        assert mate.closed is not None
        assert mate.closed[0] == 4400
        assert "is of no workflow" in mate.closed[1]
    await is_still_well(served, mate, run)


END = '{"type": "ended", "attempt": "1.1", "ending": "SUCCEEDED", "output": %s}'
NO_FRAMES: Mapping[str, str | bytes] = {
    "nul": END % '"a\\u0000b"',
    "nul in a name": END % '{"a\\u0000b": 1}',
    "half a character": END % '"\\ud800"',
    "not a number": END % "NaN",
    "endless": END % "-Infinity",
    "too large a number": END % "1e999",
    "too many digits": END % ("9" * 5_000),
    "a number of 65 bits": END % 2**64,
    "deep": END % ("[" * 100 + "]" * 100),
    "deeper than Python goes": END % ("[" * 100_000 + "]" * 100_000),
    "long names": END % (f'{{"{"漢" * 60}": ' * 80 + "1" + "}" * 80),
    "not JSON": "{",
    "bytes": b"{}",
}


@pytest.mark.parametrize("text", NO_FRAMES)
async def test_what_is_no_frame_is_refused_with_words_and_harms_nobody(
    served: Served, mate: Mate, text: str
) -> None:
    run = await start(served, mate.name)
    async with mate.line():
        await mate.has()
        assert mate.socket is not None
        said = NO_FRAMES[text]
        if isinstance(said, str):
            said = f'{{"session": "{mate.session}", "messages": [{said}]}}'
        await mate.socket.send(said)
        await mate.until(lambda: mate.closed)
        assert mate.closed is not None
        assert (mate.closed[0], mate.closed[1] != "") == (4400, True)
    await is_still_well(served, mate, run)


async def test_a_connection_is_of_one_session(served: Served, mate: Mate) -> None:
    before = len(served.office.links)
    async with mate.line():
        mate.session = str(uuid4())
        await mate.say(mate.hello())
        await mate.until(lambda: mate.closed)
        assert mate.closed is not None
        assert mate.closed[0] == 4400
    await mate.until(lambda: len(served.office.links) == before or None)


async def test_a_workflow_is_served_once_by_a_worker(served: Served) -> None:
    program = await flows.a_program(served, f"flow-{next(NUMBERS)}")
    program.workflows = [*program.workflows, *program.workflows]
    async with program.line():
        await program.until(lambda: program.closed)
        assert program.closed is not None
        assert program.closed[0] == 4400
        assert "more than once" in program.closed[1]


async def test_calls_beyond_the_last_number_end_the_workflow(served: Served) -> None:
    for word in (GiveUp("1.1", 2**31 - 1), Park("1.1", (1, 2**31 - 1))):
        program = await flows.a_program(served, f"flow-{next(NUMBERS)}")
        async with program.line():
            run = await flows.order(program)
            [offer] = await program.has()
            await program.say(replace(word, attempt=offer.attempt))
            await served.becomes(FAILED, run)
            error = "select error from tasks where run_id = %s"
            assert "at most 99999 calls" in await served.one(error, run)


async def test_what_cannot_be_kept_ends_what_it_is_of_and_nothing_else(
    served: Served, mate: Mate
) -> None:
    """The transaction of a step has kept call 1 already, when it is called."""
    program = await flows.a_program(served, mate.name)
    program = replace(program, name=f"{mate.name}-flow", actions=mate.actions)
    program.workflows = [Program(flows.definition(program.name))]
    async with program.line():
        flow, cut = await start(served, program.name), await start(served, mate.name)
        offers = {each.run: each for each in await program.has(2)}
        proof = (offers[flow].workflow or {})["proof"]
        await served.conn.execute(
            "select checkpoint_step(%s, %s, 1, 'paid', '5')", [offers[flow].attempt, proof]
        )
        await program.say(
            Call(offers[flow].attempt, 1, "evil", {"noop": True}),
            Progress(offers[cut].attempt, 50.0),
            Ended(offers[cut].attempt, Ending.SUCCEEDED, 7),
        )
        await served.becomes(COMPLETED, cut)
        await served.becomes(FAILED, flow)
        await program.until(lambda: offers[cut].attempt not in program.running or None)
        assert [each.attempt for each in program.of(Forget)] == [offers[flow].attempt]


async def test_a_word_that_the_server_stumbles_over_harms_no_other(
    served: Served, mate: Mate, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = calls.called

    def stumble(name: str, document: Any) -> Any:
        return 1 / 0 if name == "evil" else read(name, document)

    monkeypatch.setattr(calls, "called", stumble)
    program = await flows.a_program(served, f"flow-{next(NUMBERS)}")
    async with program.line(), mate.line():
        flow, cut = await flows.order(program), await start(served, mate.name)
        [offer], [other] = await program.has(), await mate.has()
        await program.say(Call(offer.attempt, 1, "evil", {"noop": True}))
        await mate.end(other)
        await served.becomes(COMPLETED, cut)
        await served.becomes(FAILED, flow)


async def is_still_well(served: Served, mate: Mate, run: str) -> None:
    """What it had in hand it has, and what it says of that is recorded."""
    async with mate.line():
        [offer] = await mate.has()
        await mate.end(offer, 1)
        await served.becomes(COMPLETED, run)
