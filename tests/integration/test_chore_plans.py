"""What chores and their keeper ask stays cheap when much is kept.

With the settings of their connections, and statistics as the server makes them.
"""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from scheduler.store import connections
from tests.integration.test_explain import nodes, plan_of
from tests.integration.test_routing_plans import is_bounded
from tests.support.builders import Conn, chain, publish, start_many

pytestmark = pytest.mark.anyio

MANY = 20_000
SEEDS = f"""
update tasks set state = 'COMPLETED', passed = true, open = 0;
update runs set state = 'COMPLETED', open = 0, finished_at = clock_timestamp();
insert into schedules (name, type, spec, origin, created_by)
select 's' || n, 'one', '{{}}', 'person', 'test' from generate_series(1, 50) n;
insert into ticks (schedule_id, tick, kind, state, reason, due_at, decided_at)
select 1 + n % 50, now() - n * interval '1 hour', 'time', 'SKIPPED', 'x', now(),
       now() - n * interval '1 hour'
  from generate_series({MANY}, 1, -1) n;
insert into run_rollups (hour, type, state, runs, seconds)
select date_trunc('hour', now()) - n / 4 * interval '1 hour', 'type-' || n % 4, 'COMPLETED', 1, 1
  from generate_series(1, {MANY}) n;
insert into attempt_rollups
       (hour, type, attempts, again, failed, seconds, again_seconds, begun, waited)
select hour, type, 1, 0, 0, 0, 0, 0, 0 from run_rollups;
insert into chore_history (job, chore, args, attempt, state, server, ended_at)
select n, 'note', '{{}}', 1, 'SUCCEEDED', 'here', now() - n * interval '1 hour'
  from generate_series(1, {MANY}) n;
insert into procrastinate_jobs (queue_name, task_name, status)
select 'chores', 'note', 'failed' from generate_series(1, {MANY});
insert into limit_slots (key, slot) select 'limit:' || n, 1 from generate_series(1, {MANY}) n;
insert into notifications (rule, key, subject, data, at)
select id, n::text, 'x', '{{}}', now() - n * interval '1 hour'
  from notification_rules, generate_series(1, {MANY}) n where name = '(test)';
analyze
"""
GROWING = (
    "runs",
    "tasks",
    "ticks",
    "run_rollups",
    "attempt_rollups",
    "chore_history",
    "procrastinate_jobs",
    "notifications",
    "limit_slots",
)
# They hold what is asked for and no more: limits in use, jobs that are not done.
WANTED = (
    "tasks_limited",
    "runs_of_groups",
    "tasks_blocked",
    "procrastinate_jobs_queueing_lock_idx_v1",
    "procrastinate_jobs_lock_idx_v1",
    "procrastinate_jobs_id_lock_idx_v1",
    "procrastinate_jobs_priority_idx_v1",
    "idx_procrastinate_jobs_worker_not_null",
)
RUN, LAST = "00000000-0000-7000-8000-000000000001", "ffffffff-ffff-ffff-ffff-ffffffffffff"
BEHIND = {"after": RUN, "until": LAST, "keep_for": "30 days", "limit": 1000}
SOME = {"keep": "90 days", "limit": 1000}

ASKED: dict[str, dict[str, Any]] = {
    "retention.look_at_state": {**BEHIND, "state": "COMPLETED", "others": ["x"]},
    "retention.look_at_type": {**BEHIND, "state": "COMPLETED", "type": "one"},
    "retention.nth": {"type": "one", "state": "COMPLETED", "last": 10, "most": 1000},
    "retention.remove": {"ids": [RUN, LAST]},
    "retention.horizon": {"keep_for": "30 days"},
    "retention.forget_ticks": SOME,
    "retention.forget_rollups": SOME,
    "retention.forget_attempt_rollups": SOME,
    "retention.idle_places": {"after": "a", "limit": 500},
    "retention.forget_places": {"keys": ["limit:a", "limit:b"]},
    "rollups.next_hour": {},
    "rollups.next_hour_of_attempts": {},
    "rollups.count": {"hour": "2026-01-31T06:00:00Z", "low": RUN, "high": RUN},
    "chores.stalled": {"silent": "30 s", "limit": 100},
    "chores.in_hand": {"worker": 1},
    "chores.share": {"lock": "retention"},
    "chores.forget_workers": {"silent": "30 s"},
    "chores.sweep": {"limit": 100},
    "chores.forget_failed": {"life": "90 days", "limit": 100, "server": "x"},
    "chores.forget_history": {"life": "14 days", "limit": 100},
    "chores.due": {"chores": ["retention"]},
    "notifications.forget": {"limit": 1000},
}


@pytest.fixture(scope="module")
async def seeded(databases: Any, anyio_backend: str) -> AsyncIterator[str]:
    with databases.cloned() as dsn:
        async with await connections.connect(dsn, name="test") as conn:
            await publish(conn, chain("one", ""))
            await start_many(conn, "one", MANY)
            for statement in SEEDS.split(";"):
                await conn.execute(statement.encode())
        yield dsn


@pytest.fixture
async def conn(seeded: str) -> AsyncIterator[Conn]:
    async with await connections.connect(seeded, name="test") as conn:
        yield conn


@pytest.mark.parametrize("name", ASKED)
async def test_a_chore_reads_no_more_than_it_asks_for(conn: Conn, name: str) -> None:
    """Each scan has a condition, or ends with what a limit above it wants, in the index's order."""
    table, statement = name.split(".")
    await conn.execute("set plan_cache_mode = force_generic_plan")
    plan = await plan_of(conn, table, statement, ASKED[name])
    for node in nodes(plan):
        if node.get("Relation Name") in GROWING and "Scan" in node["Node Type"]:
            if node.get("Index Name") in WANTED:
                continue
            conditioned = {"Index Cond", "Recheck Cond", "TID Cond"} & node.keys()
            assert conditioned or is_bounded(plan, node), node
