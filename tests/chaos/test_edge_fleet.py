"""Many agents whose server is killed: they come back a few at a time.

When each of them tries is drawn from the windows that the server has told it of, so that is what is
counted; what a busy machine makes of it is printed.
"""

import time
from pathlib import Path

import pytest

from edge.gateway.gateway import COMING_BACK
from tests.support.edge_fleet import a_fleet, join, most_in_a_second
from tests.support.edge_plant import a_loopback
from tests.support.postgres import Databases
from tests.support.runners import LONG
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

AGENTS = 200 if LONG else 20
FIRST = AGENTS // 2  # are there before the others have joined
MOST_CONNECTS = 20  # in one second
BEAT = {"PROCESSION_SERVER__WORKSTATIONS__BEAT": "5s"}


async def test_all_agents_come_back_to_a_server_that_was_killed_and_never_many_at_once(
    databases: Databases, tmp_path: Path
) -> None:
    async with a_loopback(databases, tmp_path, **BEAT) as server:
        url, token = server.system.url, server.system.token
        joined = await join(url, token, FIRST, tmp_path)
        async with a_fleet(joined) as fleet:
            await until(lambda: fleet.connected() == FIRST, within=120)
            fleet.add(await join(url, token, AGENTS - FIRST, tmp_path, first=FIRST))
            await until(lambda: fleet.connected() == AGENTS, within=120)
            spread = AGENTS / COMING_BACK
            await until(lambda: all(each.windows.first == spread for each in fleet.agents))
            away = time.monotonic()
            await server.end()
            await until(lambda: fleet.connected() == 0)
            await server.start()
            back = time.monotonic()
            await until(lambda: fleet.connected() == AGENTS, within=200)
            moments, tries = fleet.opened_since(back), fleet.tries_since(away)
    most, tried = most_in_a_second(moments), most_in_a_second(tries)
    told = f"{len(tries)} tries, {tried} in a second at most; "
    told += f"{len(moments)} connects in {moments[-1] - back:.1f} s, {most} in a second at most"
    print(told)
    assert len(moments) >= AGENTS, told
    assert tried <= MOST_CONNECTS, told
