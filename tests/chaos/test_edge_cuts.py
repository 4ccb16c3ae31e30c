"""Workstations whose cables are pulled, whose agents are killed, and whose server is killed.

`PROCESSION_LONG=1` asks for 20 workstations and 200 cuts, some of them for a minute.
"""

import asyncio
import hashlib
import os
import random
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import dict_row

from tests.support.edge_net import Ways, why_not
from tests.support.edge_plant import Plant, Wired, a_plant
from tests.support.postgres import Databases
from tests.support.runners import LONG
from tests.support.system import FINAL, Asking, System, ledger_of
from tests.support.waiting import until

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.timeout(3600 if LONG else 300),
    pytest.mark.skipif(why_not() is not None, reason=why_not() or ""),
]

STATIONS = 20 if LONG else 6
CUTS = 200 if LONG else 20
LONGEST = 3.0  # seconds that a cable is out, mostly
NOW_AND_THEN = 60.0
SEED = int(os.environ.get("PROCESSION_SEED", "0")) or random.randrange(10**6)

NOTE = "| dd of={ledger} oflag=append conv=notrunc,fsync status=none"
WORK = """
echo begin $1 $$ {note}
seq $2; sleep $3; seq $2
echo end $1 $$ {note}
exit $(($1 % 3))
"""
RECORDED = """
select r.state::text, r.input, a.number, a.exit_code, a.state::text as ending, a.detail,
       (select string_agg(data, ''::bytea order by start)
          from output_chunks c
         where c.task_id = t.id and c.attempt = a.number) as output
  from runs r join tasks t on t.run_id = r.id left join attempts a on a.task_id = t.id
 where r.type = any(%s)
"""


@pytest.fixture(scope="module")
async def plant(
    databases: Databases, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Plant]:
    async with a_plant(databases, tmp_path_factory.mktemp("plant"), STATIONS) as plant:
        yield plant


def work(name: str, place: dict[str, Any], ledger: Path) -> dict[str, Any]:
    script = WORK.format(note=NOTE.format(ledger=ledger))
    given = ("${{ input.n }}", "${{ input.lines }}", "${{ input.pause }}")
    task = {
        "name": "it",
        "run": ["/bin/sh", "-c", script, "work", *given],
        "on": place,
        "on_failure": "continue",
    }
    return {"name": name, "tasks": [task]}


@dataclass
class Storm:
    plant: Plant
    api: Asking
    ledger: Path
    chance: random.Random
    types: list[str] = field(default_factory=list)
    count: int = 0
    did: "Counter[str]" = field(default_factory=Counter)

    async def publish(self) -> None:
        for station in self.plant.stations:
            await self.type(station.name, {"workstation": station.name})
        await self.type("anywhere", {"workstation": "any"})

    async def type(self, name: str, place: dict[str, Any]) -> None:
        await self.api.publish(work(f"work-{name}", place, self.ledger))
        self.types.append(f"work-{name}")

    async def order(self, many: int) -> None:
        for _ in range(many):
            given = {
                "n": self.count,
                "lines": self.chance.choice([1, 10, 5_000]),
                "pause": self.chance.choice([0, 0.5, 1.5]),
            }
            await self.api.post("/runs", {"type": self.chance.choice(self.types), "input": given})
            self.count += 1

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
    ledger = tmp_path / "ledger"
    ledger.touch()
    async with plant.system.asking() as api:
        await until(lambda: all(each.starts for each in plant.stations) or None)
        storm = Storm(plant, api, ledger, random.Random(SEED))
        await storm.publish()
        await storm.rage()
        plant.switch.plug_all()
        await settled(api, storm)
    told = f"seed {SEED}: {storm.count} commands, {dict(storm.did)}, {agents(plant.stations)}"
    print(told)
    check(plant.system, storm, told)


def agents(stations: list[Wired]) -> str:
    return f"{sum(each.starts for each in stations)} starts of agents"


async def settled(api: Asking, storm: Storm) -> None:
    for name in storm.types:
        for run in (await api.get("/runs", type=name, limit=200))["items"]:
            if run["status"] not in FINAL:
                await api.ended(run["id"], within=90)


def check(system: System, storm: Storm, told: str) -> None:
    lines = ledger_of(storm.ledger)
    begun = Counter(int(n) for what, n, _ in lines if what == "begin")
    ended = Counter(int(n) for what, n, _ in lines if what == "end")
    assert begun == ended == Counter(range(storm.count)), told
    pids = {int(n): int(pid) for what, n, pid in lines if what == "end"}
    rows = [each for each in recorded(system, storm.types) if each["exit_code"] is not None]
    assert sorted(each["input"]["n"] for each in rows) == list(range(storm.count)), told
    for row in rows:
        given = row["input"]
        assert row["exit_code"] == given["n"] % 3, told
        assert row["detail"]["pid"] == pids[given["n"]], told
        assert hashlib.sha256(row["output"]).hexdigest() == printed(given["lines"]), told


def recorded(system: System, types: list[str]) -> list[dict[str, Any]]:
    with psycopg.connect(
        system.environment["PROCESSION_DATABASE_URL"], row_factory=dict_row
    ) as conn:
        return conn.execute(RECORDED, [types]).fetchall()


def printed(lines: int) -> str:
    text = b"".join(b"%d\n" % number for number in range(1, lines + 1)) * 2
    return hashlib.sha256(text).hexdigest()
