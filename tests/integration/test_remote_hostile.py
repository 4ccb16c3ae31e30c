"""What a worker says that no SDK would: it harms nobody else, and is told what is wrong."""

from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from edge.remote.messages import Call, Diverged, GiveUp, Park, Record
from scheduler.settings import RemoteSettings
from tests.support import remote_flows as flows
from tests.support.gateways import Served, a_server
from tests.support.postgres import Databases
from tests.support.remote_workers import Mate, a_token, publish, start

pytestmark = pytest.mark.anyio

NUMBERS = count(1)
BEAT = timedelta(seconds=0.5)


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


async def is_still_well(served: Served, mate: Mate, run: str) -> None:
    """What it had in hand it has, and what it says of that is recorded."""
    async with mate.line():
        [offer] = await mate.has()
        await mate.end(offer, 1)
        await served.becomes("select 1 from runs where id = %s and state = 'COMPLETED'", run)
