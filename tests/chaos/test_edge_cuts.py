"""Workstations whose cables are pulled, whose agents are killed, and whose server is killed.

`PROCESSION_LONG=1` asks for 20 workstations and 200 cuts, some of them for a minute.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.edge_ledger import Ledger
from tests.support.edge_net import Ways, why_not
from tests.support.edge_plant import Plant, a_plant
from tests.support.postgres import Databases
from tests.support.runners import LONG
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(3600 if LONG else 600),
    pytest.mark.skipif(why_not() is not None, reason=why_not() or ""),
]

STATIONS = 20 if LONG else 5
CUTS = 200 if LONG else 20
LONGEST = 3.0 if LONG else 1.5  # seconds that a cable is out, mostly
NOW_AND_THEN = 60.0
SEED = int(os.environ.get("PROCESSION_SEED", "0")) or random.randrange(10**6)


@pytest.fixture(scope="module")
async def plant(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Plant]:
    async with a_plant(databases, tmp_path_factory.mktemp("plant"), STATIONS) as plant:
        yield plant


@dataclass
class Storm:
    plant: Plant
    ledger: Ledger
    chance: random.Random
    did: "Counter[str]" = field(default_factory=Counter)

    async def publish(self) -> None:
        for station in self.plant.stations:
            await self.ledger.publish(f"work-{station.name}", {"workstation": station.name})
        await self.ledger.publish("work-anywhere", {"workstation": "any"})

    async def order(self, many: int) -> None:
        for _ in range(many):
            lines, pause = self.chance.choice([1, 10, 2_000]), self.chance.choice([0, 0.1, 0.4])
            await self.ledger.order(self.chance.choice(self.ledger.types), lines=lines, pause=pause)

    async def rage(self) -> None:
        done = 0
        while done < CUTS:
            await self.order(self.chance.randint(2, 6))
            done += await self.chance.choice([self.pull, self.pull, self.swizzle, self.kill])()

    async def pull(self) -> int:
        """One cable, one way or both."""
        cable = self.chance.choice(self.plant.switch.cables)
        ways = self.chance.choice(list(Ways))
        cable.pull(ways)
        self.did[f"cut {ways}"] += 1
        await asyncio.sleep(self.length())
        cable.plug()
        return 1

    async def swizzle(self) -> int:
        """Several, each for as long as chance will, and back in any order."""
        cut = self.plant.switch.pull_some(self.chance, 4)
        self.chance.shuffle(cut)
        if self.chance.random() < 0.4:
            await self.kill_server()
        for cable in cut:
            await asyncio.sleep(self.length() / len(cut))
            cable.plug()
        self.did["swizzled"] += len(cut)
        return len(cut)

    async def kill(self) -> int:
        for station in self.chance.sample(self.plant.stations, 2):
            station.kill()
            self.did["agent killed"] += 1
        return 0

    async def kill_server(self) -> None:
        self.did["server killed"] += 1
        await self.plant.server.end()
        await self.plant.server.start()

    def length(self) -> float:
        longest = NOW_AND_THEN if LONG and self.chance.random() < 0.05 else LONGEST
        return self.chance.uniform(0.1, longest)


async def test_whatever_is_cut_or_killed_nothing_is_lost_and_nothing_runs_twice(
    plant: Plant, tmp_path: Path
) -> None:
    await until(lambda: all(each.starts for each in plant.stations) or None)
    async with plant.system.asking() as api:
        ledger = Ledger(plant.system, api, tmp_path / "ledger")
        storm = Storm(plant, ledger, random.Random(SEED))
        await storm.publish()
        await storm.rage()
        plant.switch.plug_all()
        await ledger.settled()
        came_later = await ledger.delivered(plant.stations)
    starts = sum(each.starts for each in plant.stations)
    told = f"seed {SEED}: {ledger.count} commands, {dict(storm.did)}, {starts} starts of agents"
    told += f", {came_later} outputs came after their results"
    print(told)
    ledger.check(told)
