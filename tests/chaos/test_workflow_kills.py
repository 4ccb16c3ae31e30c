"""Programs that carry workflows out are killed again and again: no step is lost, or kept twice."""

import os
import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from procession import Client
from tests.support.postgres import Databases
from tests.support.system import ROOT, System, a_system, ledger_of
from tests.support.waiting import patience

LONG = os.environ.get("PROCESSION_LONG") == "1"
RUNS, KILLS, PROGRAMS = (2_000, 200, 4) if LONG else (60, 6, 3)
STEPS = 10

PROGRAM = f"""
import os, sys, uuid
from procession import Worker
from procession.workflows import step, this_step, workflow

ledger = open(os.environ["LEDGER"], "a", buffering=1)

@step
async def draw() -> str:
    drawn = uuid.uuid4().hex
    ledger.write(f"{{this_step().key}} {{drawn}}\\n")
    return drawn

@workflow
async def draws() -> list[str]:
    return [await draw() for _ in range({STEPS})]

Worker(name=sys.argv[1], slots=100).serve(draws).start()
"""
KEPT = "select count(*) from tasks where kind = 'step'"
OPEN = "select count(*) from runs where finished_at is null"
CALLS = """
select r.id::text, r.output, array_agg(t.output #>> '{}' order by t.position), count(*)
  from runs r join tasks t on t.run_id = r.id and t.role = 'call'
 where r.type = 'draws' and r.state = 'COMPLETED'
 group by r.id
"""


class Programs:
    def __init__(self, system: System, token: str) -> None:
        self.folder = system.folder
        (self.folder / "program.py").write_text(PROGRAM)
        self.ledger = self.folder / "ledger.txt"
        self.environment = {
            **system.environment,
            "PYTHONPATH": str(ROOT / "sdk" / "python"),
            "PROCESSION_URL": system.url,
            "PROCESSION_TOKEN": token,
            "LEDGER": str(self.ledger),
        }
        self.living = [self.started(number) for number in range(PROGRAMS)]

    def started(self, number: int) -> "subprocess.Popen[bytes]":
        argv = [sys.executable, str(self.folder / "program.py"), f"draws-{number}"]
        with (self.folder / "programs.log").open("ab") as log:
            return subprocess.Popen(argv, env=self.environment, stdout=log, stderr=log)

    def kill_one(self) -> None:
        number = random.randrange(PROGRAMS)
        self.kill(self.living[number])
        self.living[number] = self.started(number)

    def kill(self, process: "subprocess.Popen[bytes]") -> None:
        process.send_signal(signal.SIGKILL)
        process.wait()

    def end(self) -> None:
        for process in self.living:
            self.kill(process)


@pytest.fixture
def system(databases: Databases, tmp_path: Path) -> Iterator[System]:
    lease = {
        "PROCESSION_LEASE__LENGTH": "6",
        "PROCESSION_LEASE__RENEW_EVERY": "1",
        "PROCESSION_SERVER__REMOTE__BEAT": "0.5",
        "PROCESSION_SERVER__REMOTE__LEASE": "3",
    }
    with a_system(databases, tmp_path, **lease) as system:
        yield system


@pytest.mark.timeout(1_200 if LONG else 180)
def test_every_step_has_one_result_whatever_is_killed(system: System) -> None:
    """Its effect is there at least once, under one key; the result of one of them counts."""
    with (
        Client(system.url, system.token) as client,
        psycopg.connect(system.environment["PROCESSION_DATABASE_URL"], autocommit=True) as conn,
    ):
        client.define(
            {
                "name": "draws",
                "tasks": [{"name": "draws", "workflow": "draws"}],
                "result": "${{ tasks.draws.output }}",
            }
        )
        for _ in range(RUNS):
            client.start("draws")
        made = client.call("POST", "/api/v1/tokens", {"name": "draws", "role": "worker"})
        programs = Programs(system, made["token"])
        try:
            for number in range(1, KILLS + 1):
                reach(conn, KEPT, lambda kept, n=number: kept >= n * RUNS * STEPS // (KILLS + 1))
                programs.kill_one()
            reach(conn, OPEN, lambda left: left == 0)
        finally:
            programs.end()
        rows = conn.execute(CALLS).fetchall()
    assert len(rows) == RUNS
    drawn: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for key, token in ledger_of(programs.ledger):
        drawn[key.partition(":")[0]][key].add(token)
    for run, output, kept, count in rows:
        assert (count, output) == (STEPS, kept)
        assert len(drawn[run]) == STEPS
        assert all(sum(token in of for of in drawn[run].values()) == 1 for token in kept)


def reach(conn: psycopg.Connection[Any], count: str, enough: Any) -> None:
    end = time.monotonic() + patience(240)
    while True:
        [found] = conn.execute(count).fetchone() or (0,)
        if enough(found):
            return
        assert time.monotonic() < end, f"{count}: {found}"
        time.sleep(0.02)
