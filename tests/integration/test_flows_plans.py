"""What steps cost while there are many: of those that are over only what is asked is read."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from scheduler.domain.calls import FIRST
from scheduler.services import flows as service
from scheduler.store import boards, flows, tasks
from scheduler.store.flows import Done
from sql.statements import statements
from tests.integration.test_explain import nodes
from tests.support.builders import EVERYWHERE, Conn, a_holder, engine, publish, start_many
from tests.support.postgres import Databases

pytestmark = pytest.mark.anyio

TYPE = "name: order\ntasks:\n  - {name: order, workflow: order}\n"
RUNS, STEPS = 20, 1_500
# The planner may go by those in hand or by those asked for: who reads what is over of a single one
# reads more than this.
FEW = STEPS // 5
FIRST_TASK = "select id, attempt, run_id from tasks where kind = 'workflow' order by id"


@pytest.fixture(scope="module")
async def seeded(databases: Databases, anyio_backend: str) -> AsyncIterator[str]:
    """Twenty workflows in hand, each with 1,500 steps behind it."""
    with databases.cloned() as dsn:
        async with await engine(dsn) as conn:
            await publish(conn, TYPE)
            await start_many(conn, "order", RUNS)
            holder = await a_holder(conn)
            await claim(conn, holder)
            for task, attempt, _ in await mine(conn):
                for begin in range(1, STEPS, 500):
                    async with conn.transaction():
                        seqs = range(begin, begin + 500)
                        await flows.record(conn, [done(task, attempt, holder, n) for n in seqs])
            await conn.execute("vacuum analyze tasks")
            await conn.execute("analyze")
        yield dsn


@pytest.fixture
async def conn(seeded: str) -> AsyncIterator[Conn]:
    async with await engine(seeded) as conn:
        yield conn


async def claim(conn: Conn, holder: int) -> None:

    await tasks.claim(conn, "workflow:order", holder=holder, floors=EVERYWHERE, limit=RUNS)
    rows = await mine(conn)
    await service.begin(conn, [service.Claim(task, attempt, run) for task, attempt, run in rows])


async def mine(conn: Conn) -> list[tuple[int, int, UUID]]:
    return await (await conn.execute(FIRST_TASK)).fetchall()


def done(task: int, attempt: int, holder: int, seq: int) -> Done:
    return Done(task, attempt, holder, seq, "step", "s", True, "1", None, None, None, 1, None, None)


async def rows_read(conn: Conn, name: str, values: dict[str, Any], table: str = "flows") -> int:
    """How many rows of tasks are looked at; nothing is changed."""
    text = statements(table)[name].as_string(None)
    async with conn.transaction(force_rollback=True):
        cursor = await conn.execute(
            f"explain (analyze, format json) {text}".encode(), values, prepare=False
        )
        row = await cursor.fetchone()
    assert row is not None
    return sum(
        int((node["Actual Rows"] + node.get("Rows Removed by Filter", 0)) * node["Actual Loops"])
        for node in nodes(row[0][0]["Plan"])
        if node.get("Relation Name") == "tasks" and "Scan" in node["Node Type"]
    )


async def test_a_board_is_laid_out_without_what_is_over(conn: Conn) -> None:
    [(_, _, run), *_] = await mine(conn)
    assert await rows_read(conn, "lock_of_runs", {"runs": [run]}, "tasks") < FEW
    async with conn.transaction():
        [(_, rows)] = await boards.load(conn, [run])
    assert [row.position for row in rows] == [0]


async def test_a_step_is_recorded_without_a_look_at_those_before(conn: Conn) -> None:
    rows = (await mine(conn))[:10]
    holder = await one(conn, "select holder from tasks where kind = 'workflow' limit 1")
    async with conn.transaction(force_rollback=True):
        next = [done(task, attempt, holder, STEPS + 1) for task, attempt, _ in rows]
        values = arguments(next)
        assert await rows_read(conn, "lock", {n: values[n] for n in HANDS}) < FEW
        assert await rows_read(conn, "record", values) < FEW


HANDS = ("tasks", "attempts", "holders")


def arguments(next: list[Done]) -> dict[str, Any]:
    columns = {
        "tasks": "task",
        "attempts": "attempt",
        "holders": "holder",
        "seqs": "seq",
        "kinds": "kind",
        "names": "name",
        "oks": "ok",
        "outputs": "output",
        "errors": "error",
        "notes": "note",
        "inputs": "input",
        "tries": "tries",
        "began": "began",
        "over": "over",
    }
    return {name: [getattr(each, of) for each in next] for name, of in columns.items()}


async def test_what_is_over_elsewhere_is_found_without_the_steps(conn: Conn) -> None:
    holder = await one(conn, "select holder from tasks where kind = 'workflow' limit 1")
    await conn.execute("update workflows set told = 0")
    assert await rows_read(conn, "news", {"holder": holder, "limit": 500}) < FEW


async def test_a_page_of_history_or_of_calls_reads_the_calls_of_one_workflow(conn: Conn) -> None:
    [(_, _, run), *_] = await mine(conn)
    values = {"run": run, "base": FIRST, "after_order": 0, "after_position": 0, "limit": 100}
    assert await rows_read(conn, "history", values) <= STEPS * 1.1
    page = {"run": run, "of": 0, "after": FIRST, "limit": 101}
    assert await rows_read(conn, "calls", page, "run_screens") < FEW
    seen = {"run": run, "after": -1, "limit": 101, "of": None, "state": None}
    assert await rows_read(conn, "tasks", seen, "run_screens") < FEW


async def one(conn: Conn, query: str) -> Any:
    row = await (await conn.execute(query.encode())).fetchone()
    return row[0] if row else None
