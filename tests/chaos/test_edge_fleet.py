"""Many agents whose server is killed. How many connect in a second at most is printed:
what it may be is decided where no clock runs (tests/unit/test_edge_return.py).
"""

import time
from pathlib import Path

import pytest

from tests.support.edge_fleet import a_fleet, join, most_in_a_second
from tests.support.edge_plant import a_loopback
from tests.support.postgres import Databases
from tests.support.runners import LONG
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

AGENTS = 200 if LONG else 20


async def test_all_agents_come_back_to_a_server_that_was_killed(
    databases: Databases, tmp_path: Path
) -> None:
    async with a_loopback(databases, tmp_path) as server:
        joined = await join(server.system.url, server.system.token, AGENTS, tmp_path)
        await server.end()
        await server.start()  # and knows from its start how many may come
        async with a_fleet(joined) as fleet:
            await until(lambda: fleet.connected() == AGENTS, within=120)
            away = time.monotonic()
            await server.end()
            await until(lambda: fleet.connected() == 0)
            await server.start()
            back = time.monotonic()
            await until(lambda: fleet.connected() == AGENTS, within=200)
            moments, tries = fleet.opened_since(back), fleet.tries_since(away)
    most, tried = most_in_a_second(moments), most_in_a_second(tries)
    print(f"{len(moments)} connects in {moments[-1] - back:.1f} s, {most} in a second at most")
    print(f"{len(tries)} tries, {tried} in a second at most")
    assert len(moments) >= AGENTS
