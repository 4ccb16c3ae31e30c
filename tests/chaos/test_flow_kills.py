"""Programs that carry workflows out are killed at random moments, each time in the midst of steps.

`PROCESSION_LONG=1` asks for 200 kills; `PROCESSION_SEED` says who is killed, and how soon.
"""

import os
import random
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from procession import Client
from tests.support.flow_programs import Effect, Programs, by_run, check_step, reached
from tests.support.postgres import Databases
from tests.support.runners import LONG
from tests.support.system import System, a_system

SEED = int(os.environ.get("PROCESSION_SEED", "0")) or random.randrange(10**6)
KILLS, PROGRAMS = (200, 4) if LONG else (10, 3)
BATCH = 10 if LONG else 6  # workflows for each kill
STEPS = 10
TOLD = f"seed {SEED}"

PROGRAM = f"""
import asyncio, random
from procession import Worker
from procession.workflows import step, workflow

@step
async def link(number: int, given: str) -> str:
    result = note(number, given)
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
        known = {"PROCESSION_URL": system.url, "PROCESSION_TOKEN": made["token"]}
        programs = Programs(system.folder, PROGRAM, PROGRAMS, {**system.environment, **known})
        try:
            reached(lambda: any(each["name"] == "chain" for each in client.list_types()), TOLD)
            killed_again_and_again(client, programs)
            reached(lambda: conn.execute(OPEN).fetchone() == (0,), TOLD)
        finally:
            programs.end()
        chains = conn.cursor(row_factory=namedtuple_row).execute(CHAINS).fetchall()
    check(chains, programs.past)


def killed_again_and_again(client: Client, programs: Programs) -> None:
    """Before each kill comes more work than is waited for, so each meets programs at work."""
    chance = random.Random(SEED)
    for _ in range(KILLS):
        enough = len(programs.effects()) + chance.randint(1, BATCH * STEPS * 3 // 4)
        for _ in range(BATCH):
            client.start("chain")
        reached(partial(programs.have_done, enough), TOLD)
        time.sleep(chance.uniform(0, 0.1))  # anywhere between two effects
        programs.kill_one(chance)
        programs.fill_up()


def check(chains: Sequence[Any], effects: Sequence[Effect]) -> None:
    told = counted(chains, effects)
    print(told)
    assert len(chains) == KILLS * BATCH, told
    assert sum(chain.lost for chain in chains) > 0, told
    assert max(chain.attempts for chain in chains) <= KILLS, told
    found = by_run(effects)
    for chain in chains:
        check_chain(chain, found[chain.run], f"{told}: {chain}")


def counted(chains: Sequence[Any], effects: Sequence[Effect]) -> str:
    records = sum(len(chain.records) for chain in chains)
    lost = sum(chain.lost for chain in chains)
    most = max(chain.attempts for chain in chains)
    return (
        f"{TOLD}: {KILLS} kills, {len(chains)} workflows, {records} records, "
        f"{len(effects)} effects, {lost} attempts lost, at most {most} of one run"
    )


def check_chain(chain: Any, effects: Sequence[Effect], told: str) -> None:
    """A result that was kept is what all others see."""
    assert (chain.state, chain.ends, len(chain.records)) == ("COMPLETED", 1, STEPS), told
    links = ["-", *chain.records]
    assert chain.output == " ".join(links), told
    for number, (given, result) in enumerate(zip(links, chain.records, strict=False)):
        done = [each for each in effects if each.number == str(number)]
        assert check_step(done, result, told) == given, told
    assert len({each.key for each in effects}) == STEPS, told
