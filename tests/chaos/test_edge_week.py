"""A workstation that was alone for a week, and tells of it when the server is there again.

`PROCESSION_LONG=1` asks for 10,000 results; their clock is given, the telling is a real agent's.
"""

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from edge.agent.micro.alone import Here
from edge.messages import Lane
from scheduler.domain.process_types import parse
from scheduler.domain.rehearsal import Given
from tests.support.agents import Station, a_station
from tests.support.edge_micro import Bench
from tests.support.postgres import Databases
from tests.support.runners import LONG
from tests.support.system import System, a_system

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(1800 if LONG else 400)]

RUNS = 5_000 if LONG else 100  # each of them told of twice
WEEK = timedelta(days=7)
WITHIN = 300.0  # seconds
MOST_RESIDENT = 200 << 20
MEASURE = """
name: measure
input: {type: object, properties: {n: {type: integer}}}
tasks:
  - {name: read, run: "/bin/sh -c true", output: json}
result: {n: "${{ tasks.read.output }}"}
"""
TOLD = """
select count(*), count(distinct r.id), count(distinct r.input),
       count(*) filter (where r.state = 'COMPLETED' and t.state = 'COMPLETED' and a.number = 1
                          and a.state = 'SUCCEEDED')
  from runs r join tasks t on t.run_id = r.id join attempts a on a.task_id = t.id
 where r.type = 'measure'
"""
LATE = "select count(*) from history where kind = 'task.late_result'"


async def test_a_week_of_results_is_told_exactly_once_soon_and_by_a_small_agent(
    databases: Databases, tmp_path: Path
) -> None:
    with a_system(databases, tmp_path) as system:
        async with system.asking() as api, a_station(system, api, "press") as station:
            yaml = {"Content-Type": "application/yaml"}
            answer = await api.http.post("/process-types", content=MEASURE, headers=yaml)
            assert answer.is_success, answer.text
            await station.run()
            await station.end()
            waiting = alone_for_a_week(station)
            begin = time.monotonic()
            await station.run()
            await station.shows(WITHIN, waiting=NOTHING, attempts=[])
            took, most = time.monotonic() - begin, most_resident(station.pid)
        told = f"{RUNS} runs, {waiting} results told in {took:.1f} s, {most >> 20} MiB at most"
        print(told)
        assert waiting >= RUNS
        assert rows(system, TOLD) == [(RUNS, RUNS, RUNS, RUNS)], told
        assert rows(system, LATE) == [(0,)], told
    assert most <= MOST_RESIDENT, told


NOTHING = {"results": 0, "events": 0, "outputs": 0, "metrics": 0, "log_bytes": 0, "file_bytes": 0}


def alone_for_a_week(station: Station) -> int:
    """How many results wait then."""
    begin, here = datetime.now(UTC) - WEEK, Here(name=station.name)
    [type] = parse(MEASURE)
    given = {"read": Given(output=21)}
    bench = Bench(station.home, type, given=given, now=begin, here=here)
    for number in range(RUNS):
        bench.now = max(bench.now, begin + WEEK * (number / RUNS))
        bench.start("measure", {"n": number})
        bench.play()
    waiting = bench.book.last(Lane.RESULTS) - bench.book.have(Lane.RESULTS)
    bench.close()
    return waiting


def most_resident(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


def rows(system: System, query: Any) -> list[Any]:
    with psycopg.connect(system.environment["PROCESSION_DATABASE_URL"]) as conn:
        return conn.execute(query).fetchall()
