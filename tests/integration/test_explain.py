"""The plans of the statements that loops run, on tables that hold much more than they ask for.

With the settings of an engine connection, and statistics as the server makes them.
"""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from psycopg import AsyncConnection
from psycopg.sql import SQL, Literal

from scheduler.domain.tasks import RANKS
from scheduler.store import connections
from sql.statements import statements
from tests.support.builders import Conn, a_holder, chain, engine, publish, start_many

pytestmark = pytest.mark.anyio

GROWING = ("tasks", "runs", "attempts", "history", "output_chunks", "limit_slots")
FINISHED, FUTURE, READY = 20_000, 20_000, 2_000

CHAIN = chain("chain", "", "")

AGE = """
update tasks t
   set state = 'COMPLETED', passed = true, open = 0, needed = 0, attempt = 1,
       finished_at = clock_timestamp()
  from runs r
 where r.id = t.run_id and r.labels = '{"is": "finished"}';
update runs
   set state = 'COMPLETED', open = 0, finished_at = clock_timestamp()
 where labels = '{"is": "finished"}';
update tasks t
   set state = 'WAITING', reason = 'backoff', due_at = clock_timestamp() + interval '1 day'
  from runs r
 where r.id = t.run_id and r.labels = '{"is": "future"}' and t.state = 'READY';
update runs
   set due_at = clock_timestamp() + interval '1 day'
 where labels = '{"is": "future"}';
"""
IN_HAND = """
update tasks
   set state = 'IN_PROGRESS', holder = %(holder)s, attempt = 1
 where id in (select id from tasks where state = 'READY' order by id limit 100)
"""
BLOCKED = """
update tasks
   set state = 'WAITING', reason = 'limit', blocked_on = 'queue:default'
 where id in (select id from tasks where state = 'READY' order by id desc limit 100)
"""
PLACED = """
update tasks
   set queue = 'on:line=' || id % 7,
       placement = '{"on": {"any": true}, "start_before": "2999-01-01T00:00:00.000+00:00"}'
 where id in (select id from tasks where state = 'READY' order by id limit 500)
"""
PLACES = """
insert into limit_slots (key, slot, task_id)
select 'type:' || k, s, case when s > 2 then k * 100 + s end
  from generate_series(1, 50) k, generate_series(1, 50) s
"""


@pytest.fixture(scope="module")
async def seeded(databases: Any, anyio_backend: str) -> AsyncIterator[str]:
    """A conninfo of a database with a past, a future and a present."""
    with databases.cloned() as dsn:
        async with await engine(dsn) as conn:
            await publish(conn, CHAIN)
            for label, count in (("finished", FINISHED), ("future", FUTURE), ("ready", READY)):
                await start_many(conn, "chain", count // 2, labels={"is": label})
            for statement in AGE.split(";")[:-1]:
                await conn.execute(statement)
            holder = await a_holder(conn)
            await conn.execute(IN_HAND, {"holder": holder})
            await conn.execute(BLOCKED)
            await conn.execute(PLACES)
            await conn.execute(PLACED)
            await conn.execute("insert into queues (name, size) values ('default', 5)")
        async with await AsyncConnection.connect(dsn, autocommit=True) as owner:
            await owner.execute("vacuum analyze")
        yield dsn


@pytest.fixture
async def conn(seeded: str) -> AsyncIterator[Conn]:
    async with await connections.connect(seeded, name="test", engine=True) as conn:
        yield conn


async def plan_of(conn: Conn, table: str, name: str, values: dict[str, Any]) -> dict[str, Any]:
    """The generic plan, of a prepared statement as the engine's are."""
    text = statements(table)[name].as_string(None)
    order = sorted(values)
    for number, key in enumerate(order, 1):
        text = text.replace(f"%({key})s", f"${number}")
    await conn.execute(f"prepare looked_at as {text.replace('%%', '%')}".encode())
    try:
        given = SQL(", ").join(Literal(values[key]) for key in order)
        explain = SQL("explain (format json) execute looked_at")
        cursor = await conn.execute(explain + SQL("({})").format(given) if order else explain)
        row = await cursor.fetchone()
    finally:
        await conn.execute("deallocate looked_at")
    assert row is not None
    found = row[0] if isinstance(row[0], list) else json.loads(row[0])
    plan: dict[str, Any] = found[0]["Plan"]
    return plan


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from nodes(inner)


def reads_everything(node: dict[str, Any]) -> bool:
    """A scan of a whole table that grows, or of the whole of one of its indexes."""
    if not any(node.get("Relation Name", "").startswith(table) for table in GROWING):
        return False
    if node["Node Type"] == "Seq Scan":
        return True
    partial = node.get("Index Name") in PARTIAL
    return "Index" in node["Node Type"] and not partial and not conditioned(node)


def conditioned(node: dict[str, Any]) -> bool:
    inner = [each for each in nodes(node) if "Index Cond" in each or "Recheck Cond" in each]
    return bool(inner)


# Indexes that hold no more rows than their readers want.
PARTIAL = ("tasks_due", "runs_due", "limit_slots_free", "tasks_blocked", "tasks_to_expire")

RUN, OTHER = "00000000-0000-7000-8000-000000000001", "00000000-0000-7000-8000-000000000002"
OUTCOMES = {"runs": [RUN, OTHER], "tasks": [1, 2], "attempts": [1, 1], "holder": 1}

LOOPS: dict[str, dict[str, Any]] = {
    "tasks.claim": {"floors": [0] * RANKS, "queue": "default", "holder": 1, "limit": 8},
    "tasks.record": {
        **OUTCOMES,
        "exit_codes": [0, 0],
        "outputs": ["null", "null"],
        "details": ["null", "null"],
        "ended_ats": [None, None],
        "keep": 2,
        "best": 20,
        "queues": ["default"],
    },
    "tasks.in_hand": {"holder": 1},
    "tasks.wanted": {"holder": 1},
    "tasks.lock_of_runs": {"runs": [RUN, OTHER]},
    "tasks.lock": {"ids": [1, 2]},
    "tasks.results": {"run": RUN},
    "tasks.promote": {"runs": [RUN, OTHER]},
    "tasks.due_runs": {"limit": 500},
    "tasks.next_due": {},
    "tasks.of_holders": {"holders": [1], "limit": 500},
    "tasks.gone_holders": {},
    "runs.lock": {"ids": [RUN, OTHER]},
    "runs.lock_free": {"ids": [RUN, OTHER]},
    "runs.lock_boards": {"ids": [RUN, OTHER]},
    "runs.overdue": {"limit": 500},
    "runs.states": {"ids": [RUN]},
    "limits.candidates": {"limit": 50},
    "limits.take": {"task": 1, "keys": ["queue:default", "type:1"]},
    "limits.release": {"tasks": [1, 2]},
    "limits.admit": {"task": 1, "keys": ["type:1"]},
    "limits.block": {"tasks": [1], "key": "type:1"},
    "limits.begin_run": {"run": RUN},
    "limits.unblock": {"key": "queue:default"},
    "limits.ensure": {"keys": ["type:1"], "sizes": [5], "per": [None]},
    "limits.trim": {"keys": ["type:1"], "sizes": [5]},
    "holders.renew": {"id": 1, "lease": "60 s"},
    "holders.expire": {"lease": "60 s"},
    "queues.moment": {},
    "progress.tell": {"holder": 1, "tasks": [1, 2], "attempts": [1, 1], "progress": ["{}", "{}"]},
    "task_files.wanted": {"digests": [b"x" * 32]},
    "task_files.keep": {
        "holder": 1,
        "task": 1,
        "attempt": 1,
        "names": ["a"],
        "types": ["a/b"],
        "sizes": [1],
        "digests": [b"x" * 32],
    },
    "attempts.known": {"tasks": [1, 2], "numbers": [1, 1], "holder": 1},
    "remote.claim": {"floors": [0] * RANKS, "queue": "action:a", "holder": 1, "limit": 8},
    "remote.hands": {"holders": [1, 2]},
    "remote.ready": {"queues": ["action:a", "action:b"]},
    "remote.overdue": {"slack": "10 s", "limit": 200},
    "remote.wanted": {},
    "remote.find": {"session": RUN},
    "placements.ready_queues": {},
    "placements.too_late": {"limit": 500},
    "placements.next_too_late": {},
    "placements.note": {"tasks": [1, 2], "workstation": "a"},
    "placements.give_back": {"tasks": [1, 2], "workstation": "a"},
    "placements.keep": {"tasks": [1, 2], "workstation": "a"},
    "placements.gather": {"runs": [RUN, OTHER], "workstation": "a"},
    "placements.leave": {"run": RUN, "selector": "on:*"},
}


@pytest.mark.parametrize("name", LOOPS)
async def test_what_a_loop_asks_is_answered_by_an_index(conn: Conn, name: str) -> None:
    table, statement = name.split(".")
    plan = await plan_of(conn, table, statement, LOOPS[name])
    assert [node for node in nodes(plan) if reads_everything(node)] == []


async def test_a_claim_sorts_nothing_and_stops_when_it_has_enough(conn: Conn) -> None:
    plan = await plan_of(conn, "tasks", "claim", LOOPS["tasks.claim"])
    kinds = [node["Node Type"] for node in nodes(plan)]
    assert "Sort" not in kinds
    assert kinds.count("Limit") == 2
    scans = [node for node in nodes(plan) if node.get("Index Name") == "tasks_to_claim"]
    assert len(scans) == 1
    for column in ("queue", "rank", "ready_seq"):
        assert column in scans[0]["Index Cond"]


async def test_queues_of_labels_are_found_by_one_probe_for_each(conn: Conn) -> None:
    text = statements("placements")["ready_queues"].as_string(None)
    cursor = await conn.execute(f"explain (analyze, format json) {text}".encode())
    row = await cursor.fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    scans = [node for node in nodes(plan) if node.get("Relation Name") == "tasks"]
    assert {node["Node Type"] for node in scans} == {"Index Only Scan"}
    assert {node["Index Name"] for node in scans} == {"tasks_to_place"}
    assert plan["Actual Rows"] == 7
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in scans) < 10


async def test_due_times_are_read_from_the_earliest_on(conn: Conn) -> None:
    for table, name in (("tasks", "due_runs"), ("runs", "overdue")):
        plan = await plan_of(conn, table, name, {"limit": 500})
        assert not [node for node in nodes(plan) if sorts_rows_of(node, table)]
        [scan] = [node for node in nodes(plan) if node.get("Index Name") == f"{table}_due"]
        assert "due_at" in scan["Index Cond"]  # or all that is still to come would be read


def sorts_rows_of(node: dict[str, Any], table: str) -> bool:
    return node["Node Type"] == "Sort" and bool(node["Plans"][0].get("Relation Name") == table)


async def test_a_claim_among_many_finished_and_future_rows_reads_few_pages(conn: Conn) -> None:
    async with conn.transaction(force_rollback=True):
        text = statements("tasks")["claim"].as_string(None)
        explain = f"explain (analyze, buffers, format json) {text}"
        holder = await a_holder(conn)
        cursor = await conn.execute(
            explain.encode(), {**LOOPS["tasks.claim"], "holder": holder, "limit": 8}
        )
        row = await cursor.fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    assert plan["Actual Rows"] == 8
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 600
