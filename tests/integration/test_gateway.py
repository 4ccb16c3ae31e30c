"""What a workstation says over its connection counts once, whatever becomes of the connection."""

from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.gateways import Served, a_line, a_machine, a_server

pytestmark = pytest.mark.anyio

TYPE = """
name: cut
tasks:
  - name: saw
    run: [saw, --fast]
    on: {workstation: saw-1}
"""


@pytest.fixture
async def served(dsn: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with a_server(dsn, tmp_path) as served:
        yield served


async def order(served: Served, text: str = TYPE) -> UUID:
    answer = await served.api.post(
        "/process-types", content=text, headers={"Content-Type": "application/yaml"}
    )
    assert answer.status_code == 200, answer.text
    name = text.split("name: ", 1)[1].split("\n", 1)[0]
    answer = await served.api.post("/runs", json={"type": name})
    assert answer.status_code == 201, answer.text
    return UUID(answer.json()["id"])


async def test_a_task_is_carried_out_by_the_workstation_that_it_names(served: Served) -> None:
    machine = await a_machine(served, "saw-1")
    async with a_line(served, machine):
        run = await order(served)
        offer = await machine.has_begun()
        assert offer.invocation["argv"] == ["saw", "--fast"]
        machine.print(offer.attempt, b"half way\n")
        machine.end(offer.attempt, output={"pieces": 4})
        await served.becomes("select 1 from runs where id = %s and state = 'COMPLETED'", run)
        await served.becomes("select 1 from output_chunks where data = 'half way\n'::bytea")
        assert await served.one("select output from tasks where run_id = %s", run) == {"pieces": 4}
        await machine.until(lambda: not machine.book.jobs)
    assert await served.one("select count(*) from attempts where run_id = %s", run) == 1
