"""What a program with an SDK is given to do, and what becomes of what it says."""

from collections.abc import AsyncIterator
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from websockets.exceptions import InvalidStatus

from edge.remote.messages import (
    Back,
    Bye,
    Command,
    Drain,
    Ended,
    Ending,
    Forget,
    Have,
    Lease,
    Leave,
    Log,
    Offer,
    Progress,
    Verb,
    Welcome,
)
from scheduler.services.access import Role
from scheduler.settings import RemoteSettings
from tests.support.builders import a_promoter, a_reaper
from tests.support.gateways import Served, a_server
from tests.support.postgres import Databases
from tests.support.remote_workers import Mate, a_token, publish, start

pytestmark = pytest.mark.anyio

NUMBERS = count(1)
BEAT = timedelta(seconds=0.5)
COMPLETED = "select 1 from runs where id = %s and state = 'COMPLETED'"
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
