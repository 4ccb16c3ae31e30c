"""A server that has less than a workstation told it; a workstation whose book is another one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from edge.messages import Bye, Done, Ended, Lane
from tests.integration.test_gateway import order
from tests.support.gateways import Machine, Served, a_line, a_machine, a_server, poll

pytestmark = pytest.mark.anyio


@pytest.fixture
async def served(dsn: str, tmp_path: Path) -> AsyncIterator[Served]:
    async with a_server(dsn, tmp_path) as served:
        yield served


def again(machine: Machine, lineage: str) -> Machine:
    """The same key, and another book."""
    return Machine(machine.name, machine.token, machine.key, machine.sealing_key, lineage=lineage)


async def test_a_book_that_another_one_has_replaced_begins_no_session(served: Served) -> None:
    old = await a_machine(served, "saw-1", lineage="old")
    async with a_line(served, old):
        await old.until(lambda: old.agent.link and old.agent.link.session)
    new = again(old, "new")
    async with a_line(served, new):
        await new.until(lambda: new.agent.link and new.agent.link.session)
        async with a_line(served, old) as late:
            await old.until(lambda: late.closed)
            [bye] = [each for each in late.got if isinstance(each, Bye)]
            assert bye.fenced
        run = await order(served, new)
        offer = await new.has_begun()
        new.end(offer.attempt)
        await served.becomes("select 1 from runs where id = %s and state = 'COMPLETED'", run)
    assert await served.one("select lineage from workstations") == "new"


async def test_a_result_that_a_restored_server_has_lost_is_told_again(served: Served) -> None:
    machine = await a_machine(served, "saw-1")
    async with a_line(served, machine):
        run = await order(served, machine)
        attempt = (await machine.has_begun()).attempt
    delivered(machine, Ended(attempt, "SUCCEEDED", 1.0, exit_code=0, output={"pieces": 4}))

    await poll(served, machine, fresh=True)
    assert await served.one("select doubts from workstations") == {attempt: 2}
    async with a_line(served, machine):
        await served.becomes("select 1 from runs where id = %s and state = 'COMPLETED'", run)
    assert await served.one("select output from tasks where run_id = %s", run) == {"pieces": 4}
    assert await served.one("select doubts from workstations") == {}


def delivered(machine: Machine, ended: Ended) -> None:
    """As the machine has it once the server has said that it has this; the server knows nothing."""
    machine.book.add(Lane.RESULTS, Done(999, None, applied=True))
    machine.book.drop_job(ended.attempt)
    machine.book.put_have(Lane.RESULTS, machine.book.add(Lane.RESULTS, ended))
