"""Agents that are killed while their commands live, again and again.

`PROCESSION_LONG=1` asks for 500 kills, at several workstations at the same time.
"""

import asyncio
import random
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support.agents import Station, a_station
from tests.support.edge_ledger import Ledger
from tests.support.postgres import Databases
from tests.support.runners import LONG
from tests.support.system import a_system
from tests.support.waiting import until

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(3600 if LONG else 400)]

STATIONS = 5 if LONG else 1
KILLS = 100 if LONG else 10  # of each
LIVE = 3  # commands at the same time, of four slots
PAUSE = 1.0  # seconds, five of them in each command


async def test_a_command_of_five_seconds_outlives_every_kill_of_its_agent_and_is_told_of_once(
    databases: Databases, tmp_path: Path
) -> None:
    with a_system(databases, tmp_path) as system:
        async with system.asking() as api, AsyncExitStack() as stack:
            names = [f"press-{number}" for number in range(STATIONS)]
            presses = [await stack.enter_async_context(a_station(system, api, n)) for n in names]
            ledgers = [Ledger(system, api, tmp_path / name) for name in names]
            alive = await asyncio.gather(*map(killed_again_and_again, presses, ledgers))
            later = [
                await ledger.delivered([press])
                for press, ledger in zip(presses, ledgers, strict=True)
            ]
        count = sum(each.count for each in ledgers)
        told = f"{STATIONS * KILLS} kills, {count} commands, {sum(alive)} times one was alive"
        told += f" at a kill, {sum(later)} outputs came after their results"
        print(told)
        assert all(each >= KILLS for each in alive), told
        for ledger in ledgers:
            ledger.check(told)


async def killed_again_and_again(station: Station, ledger: Ledger) -> int:
    """How many commands were alive when it was killed, all together."""
    alive = 0
    await station.run()
    type = await ledger.publish(f"long-{station.name}", {"workstation": station.name})
    for _ in range(KILLS):
        await keep_busy(ledger, type)
        await asyncio.sleep(random.uniform(0.0, 0.5))
        alive += ledger.alive()
        await killed_and_back(station)
    await ledger.settled()
    return alive


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
