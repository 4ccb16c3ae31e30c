"""Programs that carry workflows out are killed at random moments, each time in the midst of steps.

`PROCESSION_LONG=1` asks for 200 kills; `PROCESSION_SEED` says who is killed, and how soon.
"""

import os
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from procession import Client
from tests.support.postgres import Databases
from tests.support.runners import LONG
from tests.support.system import ROOT, System, a_system
from tests.support.waiting import patience

SEED = int(os.environ.get("PROCESSION_SEED", "0")) or random.randrange(10**6)
KILLS, PROGRAMS = (200, 4) if LONG else (10, 3)
BATCH = 10 if LONG else 6  # workflows for each kill
STEPS = 10

PROGRAM = f"""
import asyncio, os, random, sys, uuid
from procession import Worker
from procession.workflows import step, this_step, workflow

name, effects = sys.argv[1:]
file = os.open(effects, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

@step
async def link(number: int, given: str) -> str:
    here, result = this_step(), uuid.uuid4().hex
    os.write(file, f"{{here.run}} {{number}} {{here.key}} {{given}} {{result}}\\n".encode())
    await asyncio.sleep(random.uniform(0, 0.1))  # done, and nobody knows
    return result

@workflow
async def chain() -> str:
    links = ["-"]
    for number in range({STEPS}):
        links.append(await link(number, links[-1]))
    return " ".join(links)

Worker(name=name, slots=8).serve(chain).start()
"""
CHAINS = """
select r.id::text as run, r.state::text as state, w.output #>> '{}' as output,
       w.attempt as attempts, w.lost,
       (select count(*) from attempts a where a.task_id = w.id and a.state = 'SUCCEEDED') as ends,
       array(select c.output #>> '{}' from tasks c
              where c.run_id = r.id and c.role = 'call' order by c.position) as records
  from runs r
  join tasks w on w.run_id = r.id and w.role = 'task'
 where r.type = 'chain'
"""
OPEN = "select count(*) from runs where finished_at is null"


class Effect(NamedTuple):
    """What a step did, whether its program lived to tell of it or not."""

    run: str
    number: str
    key: str
    given: str
    result: str


@dataclass
class Program:
    name: str
    file: Path
    process: "subprocess.Popen[bytes]"

    def effects(self) -> list[Effect]:
        text = self.file.read_text() if self.file.exists() else ""
        lines = text.rpartition("\n")[0].splitlines()  # the last may be half written
        return [Effect(*line.split(" ")) for line in lines]

    def kill(self) -> list[Effect]:
        """All that it has done."""
        self.process.kill()
        self.process.wait()
        return self.effects()


class Programs:
    def __init__(self, system: System, token: str) -> None:
        self.folder = system.folder
        (self.folder / "program.py").write_text(PROGRAM)
        self.environment = {
            **system.environment,
            "PYTHONPATH": str(ROOT / "sdk" / "python"),
            "PROCESSION_URL": system.url,
            "PROCESSION_TOKEN": token,
        }
        self.starts = 0
        self.past: list[Effect] = []
        self.living = [self._started(f"chains-{number}") for number in range(PROGRAMS)]

    def _started(self, name: str) -> Program:
        self.starts += 1
        file = self.folder / f"effects-{self.starts}.txt"
        argv = [sys.executable, str(self.folder / "program.py"), name, str(file)]
        with (self.folder / "programs.log").open("ab") as log:
            process = subprocess.Popen(argv, env=self.environment, stdout=log, stderr=log)
        return Program(name, file, process)

    def effects(self) -> int:
        return len(self.past) + sum(len(each.effects()) for each in self.living)

    def have_done(self, many: int) -> bool:
        return self.effects() >= many

    def kill_one(self, chance: random.Random) -> None:
        """One that is at work: a program that only begins has nothing to lose."""
        at_work = [each for each in self.living if each.effects()]
        victim = chance.choice(at_work)
        self.past += victim.kill()
        self.living[self.living.index(victim)] = self._started(victim.name)

    def end(self) -> None:
        while self.living:
            self.past += self.living.pop().kill()


@pytest.fixture
def system(databases: Databases, tmp_path: Path) -> Iterator[System]:
    # Who is killed is missed soon.
    lease = {
        "PROCESSION_LEASE__LENGTH": "6",
        "PROCESSION_LEASE__RENEW_EVERY": "1",
        "PROCESSION_SERVER__REMOTE__BEAT": "0.5",
        "PROCESSION_SERVER__REMOTE__LEASE": "2",
    }
    with a_system(databases, tmp_path, **lease) as system:
        yield system


@pytest.mark.timeout(1_500 if LONG else 300)
def test_a_step_that_is_over_is_over_whoever_is_killed(system: System) -> None:
    with (
        Client(system.url, system.token) as client,
        psycopg.connect(system.environment["PROCESSION_DATABASE_URL"], autocommit=True) as conn,
    ):
        made = client.call("POST", "/api/v1/tokens", {"name": "chains", "role": "worker"})
        programs = Programs(system, made["token"])
        try:
            reached(lambda: any(each["name"] == "chain" for each in client.list_types()))
            killed_again_and_again(client, programs)
            reached(lambda: conn.execute(OPEN).fetchone() == (0,))
        finally:
            programs.end()
        chains = conn.cursor(row_factory=namedtuple_row).execute(CHAINS).fetchall()
    check(chains, programs.past)


def killed_again_and_again(client: Client, programs: Programs) -> None:
    """Before each kill comes more work than is waited for, so each meets programs at work."""
    chance = random.Random(SEED)
    for _ in range(KILLS):
        enough = programs.effects() + chance.randint(1, BATCH * STEPS * 3 // 4)
        for _ in range(BATCH):
            client.start("chain")
        reached(partial(programs.have_done, enough))
        time.sleep(chance.uniform(0, 0.1))  # anywhere between two effects
        programs.kill_one(chance)


def reached(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + patience(120)
    while not condition():
        assert time.monotonic() < end, f"seed {SEED}: it did not come to this"
        time.sleep(0.02)


def check(chains: Sequence[Any], effects: Sequence[Effect]) -> None:
    told = counted(chains, effects)
    print(told)
    assert len(chains) == KILLS * BATCH, told
    assert sum(chain.lost for chain in chains) > 0, told
    assert max(chain.attempts for chain in chains) <= KILLS, told
    by_run = defaultdict[str, list[Effect]](list)
    for effect in effects:
        by_run[effect.run].append(effect)
    for chain in chains:
        check_chain(chain, by_run[chain.run], f"{told}: {chain}")


def counted(chains: Sequence[Any], effects: Sequence[Effect]) -> str:
    records = sum(len(chain.records) for chain in chains)
    lost = sum(chain.lost for chain in chains)
    most = max(chain.attempts for chain in chains)
    return (
        f"seed {SEED}: {KILLS} kills, {len(chains)} workflows, {records} records, "
        f"{len(effects)} effects, {lost} attempts lost, at most {most} of one run"
    )


def check_chain(chain: Any, effects: Sequence[Effect], told: str) -> None:
    """A step may be done again, under its key; a result that was kept is what all others see."""
    assert (chain.state, chain.ends, len(chain.records)) == ("COMPLETED", 1, STEPS), told
    links = ["-", *chain.records]
    assert chain.output == " ".join(links), told
    for number, (given, result) in enumerate(zip(links, chain.records, strict=False)):
        done = [each for each in effects if each.number == str(number)]
        assert [each.result for each in done].count(result) == 1, told
        assert {each.given for each in done} == {given}, told
        assert len({each.key for each in done}) == 1, told
    assert len({each.key for each in effects}) == STEPS, told
