"""What the gateway asks for each frame, each offer and each look is answered by an index, on tables
that hold much more than it asks for."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg import AsyncConnection

from scheduler.store import connections
from tests.integration.test_explain import nodes, plan_of
from tests.support.builders import Conn, chain, engine, publish, start_many

pytestmark = pytest.mark.anyio

GROWING = ("tasks", "workstation_hands", "workstation_commands", "workstation_metrics")
# Indexes that hold no more rows than their readers want.
PARTIAL = (
    "workstation_hands_open",
    "workstation_hands_offered",
    "workstation_commands_open",
    "tasks_to_place",
)

SEED = """
insert into workstations (name, state, public_key, created_by, heard_at, settled_at)
select 'ws' || n, 'ACCEPTED', 'key ' || n, 'test', clock_timestamp(), clock_timestamp()
  from generate_series(1, 500) n;
insert into workstation_hands (workstation, task_id, attempt, run_id, stage)
select w.id, t.id, 1, t.run_id, 'OVER'
  from tasks t
  join workstations w on w.name = 'ws' || (t.id % 500 + 1);
update workstation_hands set stage = 'RUNNING' where task_id % 2000 = 7;
update workstation_hands set stage = 'OFFERED' where task_id % 4000 = 9;
insert into workstation_commands (workstation, verb, attempt, asked_by, done_at)
select workstation, 'stop', task_id || '.1', 'test', clock_timestamp() from workstation_hands;
insert into workstation_commands (workstation, verb, asked_by)
select id, 'drain', 'test' from workstations where id % 100 = 3;
insert into workstation_metrics (workstation, at, metrics)
select w.id, clock_timestamp() - n * interval '1 minute', '{}'
  from workstations w, generate_series(1, 60) n;
insert into workstation_sightings (workstation, began_at, ended_at, carrier)
select id, clock_timestamp() - n * interval '1 hour', clock_timestamp(), 'stream'
  from workstations, generate_series(1, 20) n
"""

SECONDS, WORKSTATIONS = "50 seconds", [1, 2, 3]
ASKED: dict[str, dict[str, Any]] = {
    "lock": {"id": 1},
    "hands": {"workstation": 1, "all": False, "tasks": [1, 2], "attempts": [1, 1]},
    "commands": {"workstation": 1},
    "delivered": {"ids": [1, 2]},
    "ask_wanted": {"workstations": WORKSTATIONS},
    "claim": {"workstation": 1, "session": 1, "queue": "ws:ws1", "limit": 2},
    "ready_names": {"workstations": WORKSTATIONS},
    "with_words": {"workstations": WORKSTATIONS},
    "close": {"workstation": 1, "tasks": [1], "attempts": [1], "refusals": [None], "whys": [""]},
    "logged": {"workstation": 1, "tasks": [1], "attempts": [1], "logged": [9]},
    "overdue": {"patience": SECONDS, "limit": 10},
    "lost": {"usual": "1 day", "stopped": SECONDS, "settled": SECONDS, "limit": 10},
    "away": {"runs": [], "silence": SECONDS},
    "expire_commands": {"limit": 10},
}


@pytest.fixture(scope="module")
async def seeded(databases: Any, anyio_backend: str) -> AsyncIterator[str]:
    with databases.cloned() as dsn:
        async with await engine(dsn) as conn:
            await publish(conn, chain("chain", "", ""))
            await start_many(conn, "chain", 10_000)
            for statement in SEED.split(";"):
                await conn.execute(statement.encode())
        async with await AsyncConnection.connect(dsn, autocommit=True) as owner:
            await owner.execute("vacuum analyze")
        yield dsn


@pytest.fixture
async def conn(seeded: str) -> AsyncIterator[Conn]:
    async with await connections.connect(seeded, name="test", engine=True) as conn:
        yield conn


def reads_everything(node: dict[str, Any]) -> bool:
    if node.get("Relation Name") not in GROWING:
        return False
    if node["Node Type"] == "Seq Scan":
        return True
    inner = [each for each in nodes(node) if "Index Cond" in each or "Recheck Cond" in each]
    return "Index" in node["Node Type"] and node.get("Index Name") not in PARTIAL and not inner


@pytest.mark.parametrize("name", ASKED)
async def test_what_the_gateway_asks_is_answered_by_an_index(conn: Conn, name: str) -> None:
    plan = await plan_of(conn, "workstations", name, ASKED[name])
    assert [node for node in nodes(plan) if reads_everything(node)] == []


async def test_a_claim_for_a_workstation_stops_when_it_has_enough(conn: Conn) -> None:
    plan = await plan_of(conn, "workstations", "claim", ASKED["claim"])
    assert not [node for node in nodes(plan) if node["Node Type"] == "Sort"]
    scans = [node for node in nodes(plan) if node.get("Index Name") == "tasks_to_claim"]
    assert len(scans) == 1
    assert "queue" in scans[0]["Index Cond"]
