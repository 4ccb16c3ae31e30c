"""An agent that is killed while its commands live, again and again.

`PROCESSION_LONG=1` asks for 500 kills.
"""

import asyncio
import random
from pathlib import Path

import pytest

from tests.support.agents import Station, a_station
from tests.support.edge_ledger import Ledger
from tests.support.postgres import Databases
from tests.support.runners import LONG
from tests.support.system import a_system
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600 if LONG else 400)]

KILLS = 500 if LONG else 10
LIVE = 3  # commands at the same time, of four slots
PAUSE = 1.0  # seconds, five of them in each command


async def test_a_command_of_five_seconds_outlives_every_kill_of_its_agent_and_is_told_of_once(
    databases: Databases, tmp_path: Path
) -> None:
    alive = 0
    with a_system(databases, tmp_path) as system:
        async with system.asking() as api, a_station(system, api, "press") as station:
            await station.run()
            ledger = Ledger(system, api, tmp_path / "ledger")
            type = await ledger.publish("long", {"workstation": "press"})
            for _ in range(KILLS):
                await keep_busy(ledger, type)
                await asyncio.sleep(random.uniform(0.0, 0.5))
                alive += ledger.alive()
                await killed_and_back(station)
            await ledger.settled()
            await station.delivered()
        told = f"{KILLS} kills, {ledger.count} commands, {alive} times one was alive at a kill"
        print(told)
        assert alive >= KILLS, told
        ledger.check(told)


async def keep_busy(ledger: Ledger, type: str) -> None:
    while ledger.count - len(ledger.ended()) < LIVE:
        await ledger.order(type, lines=random.choice([1, 10, 2_000]), pause=PAUSE)
    await until(lambda: ledger.alive() or None)


async def killed_and_back(station: Station) -> None:
    """At times it is killed again before it has found its runner."""
    await station.killed()
    while random.random() < 0.2:
        await station.start()
        await asyncio.sleep(random.uniform(0.0, 1.0))
        await station.killed()
    await station.run()
