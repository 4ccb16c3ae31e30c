"""What runs bring about: their type says what of, and it is there when they have ended."""

from collections.abc import AsyncIterator

import pytest

from executor.base import Ending, Outcome
from tests.support.builders import (
    Conn,
    a_holder,
    carry_out,
    engine,
    one,
    publish,
    start,
    state_of,
)

pytestmark = pytest.mark.anyio

SUM = """
name: sum
hooks: {exit: {noop: true}}
tasks: [{name: add, run: add}, {name: tell, noop: true}]
result:
  total: ${{ tasks.add.output.n }}
  all: ["${{ tasks.add.output }}", {was: "${{ run.type }}"}]
"""
WRONG = """
name: wrong
tasks: [{name: add, run: add}]
result: ${{ tasks.add.output.gone }}
"""
ADDED = Outcome(ending=Ending.SUCCEEDED, exit_code=0, output='{"n": 3}')


@pytest.fixture
async def conn(dsn: str) -> AsyncIterator[Conn]:
    async with await engine(dsn) as conn:
        await publish(conn, SUM, WRONG)
        yield conn


async def test_a_run_ends_with_the_result_that_its_type_says(conn: Conn) -> None:
    run, holder = await start(conn, "sum"), await a_holder(conn)
    assert await carry_out(conn, holder, ADDED) == ["add"]
    assert await carry_out(conn, holder) == ["tell"]
    assert await carry_out(conn, holder) == ["hook:exit"]
    assert await state_of(conn, run) == "COMPLETED"
    found = await one(conn, "select output from runs where id = %s", run)
    assert found == {"total": 3, "all": [{"n": 3}, {"was": "sum"}]}


async def test_a_run_whose_result_cannot_be_worked_out_has_failed(conn: Conn) -> None:
    run, holder = await start(conn, "wrong"), await a_holder(conn)
    await carry_out(conn, holder, ADDED)
    assert await state_of(conn, run) == "FAILED"
    assert "there is no 'gone'" in await one(conn, "select error from runs where id = %s", run)
