"""What the router asks stays cheap when much is known, waits and is remembered."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.integration.test_explain import nodes, plan_of
from tests.support.builders import Conn, engine
from tests.support.triggering import triggered

pytestmark = pytest.mark.anyio

MANY = 20_000
SEEDS = f"""
insert into events (source, event_id, type, received_by)
select 's', n::text, 'other.' || n % 50, 'test' from generate_series(1, {MANY}) n;
delete from event_backlog where id % 4 > 0;
insert into trigger_decisions (trigger_id, event_id, fate, waiting)
select 1, id, 'WAITING', id from events;
insert into pending_starts
       (trigger_id, kind, key, gathers, input, events, size, last_event, first_at, due_at)
select 1, 'debounce', n::text, false, '{{}}', 1, 0, n, now(), now() + n * interval '1 s'
  from generate_series(1, {MANY}) n;
insert into trigger_memories (trigger_id, kind, key, until)
select 1, 'dedup', n::text, now() + n * interval '1 s' from generate_series(1, {MANY}) n;
analyze
"""
GROWING = ("events", "event_backlog", "trigger_decisions", "pending_starts", "trigger_memories")
ASKED: dict[str, dict[str, Any]] = {
    "routing.take": {"limit": 500},
    "routing.backlog": {"most": 100},
    "routing.remembered": {"triggers": [1], "kinds": ["dedup"], "keys": ["7"]},
    "routing.open": {"triggers": [1], "keys": ["7"]},
    "routing.queued": {"triggers": [1], "keys": ["7"]},
    "routing.due": {"triggers": [1], "limit": 500},
    "routing.next_due": {},
    "routing.gathered": {"waiting": [7]},
    "routing.settle": {
        "waiting": [7],
        "last_events": [7],
        "fates": ["STARTED"],
        "runs": ["00000000-0000-7000-8000-000000000001"],
        "reasons": [None],
    },
    "routing.over": {"ids": [7]},
    "routing.postpone": {"ids": [7], "until": "2026-01-31T06:00:00Z"},
    "routing.of_event": {"event": 7},
    "routing.forget": {"limit": 1000},
    "triggers.lock_due": {"limit": 500},
    "events.prune": {"keep": "90 days", "limit": 1000},
}


@pytest.fixture(scope="module")
async def seeded(databases: Any, anyio_backend: str) -> AsyncIterator[str]:
    with databases.cloned() as dsn:
        async with await engine(dsn) as conn:
            await triggered(conn, debounce={"quiet": "1m"})
            for statement in SEEDS.split(";"):
                await conn.execute(statement.encode())
        yield dsn


@pytest.fixture
async def conn(seeded: str) -> AsyncIterator[Conn]:
    async with await engine(seeded) as conn:
        yield conn


@pytest.mark.parametrize("name", ASKED)
async def test_the_router_reads_no_more_than_it_asks_for(conn: Conn, name: str) -> None:
    """Each scan has a condition, or ends with what a limit above it wants, in the index's order."""
    table, statement = name.split(".")
    plan = await plan_of(conn, table, statement, ASKED[name])
    for node in nodes(plan):
        if node.get("Relation Name") in GROWING and "Scan" in node["Node Type"]:
            assert node["Node Type"] != "Seq Scan" or is_bounded(plan, node), node
            conditioned = {"Index Cond", "Recheck Cond", "TID Cond"} & node.keys()
            assert conditioned or is_bounded(plan, node), node


def is_bounded(plan: dict[str, Any], scan: dict[str, Any]) -> bool:
    """There is a limit above it, and nothing between them that needs all rows first."""
    greedy = ("Sort", "Aggregate", "Hash")
    return any(
        node["Node Type"] == "Limit"
        and any(scan is each for each in nodes(node))
        and not any(
            each["Node Type"] in greedy and any(scan is inner for inner in nodes(each))
            for each in nodes(node)
        )
        for node in nodes(plan)
    )
