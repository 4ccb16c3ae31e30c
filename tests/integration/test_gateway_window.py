"""An agent of a version that is given no work ends what it has, and everybody sees why."""

from uuid import UUID

import pytest

from tests.support.gateways import Served, a_line, a_machine, a_server
from tests.support.publishing import publish, start

pytestmark = pytest.mark.anyio

TYPE = """
name: cut-NAME
tasks: [{name: saw, run: [saw], on: {workstation: NAME}}]
"""
COMPLETED = "select 1 from runs where id = %s and state = 'COMPLETED'"
WHY = "its agent is of version unknown, and 99.1 is due: install a newer one"


async def order(served: Served, name: str) -> UUID:
    return await start(served, f"cut-{name}")


async def test_who_is_outside_the_window_ends_what_it_has_and_is_given_nothing_more(
    served: Served,
) -> None:
    saw = await a_machine(served, "saw-1")
    await publish(served, TYPE.replace("NAME", saw.name))
    async with a_line(served, saw):
        first = await order(served, saw.name)
        offer = await saw.has_begun()
    async with (
        a_server(served.dsn, served.folder, oldest_agent="99.1") as strict,
        a_line(strict, saw),
    ):
        await saw.has_session()
        assert saw.agent.unfit == WHY
        second = await order(strict, saw.name)
        saw.end(offer.attempt)
        await strict.becomes(COMPLETED, first)
        found = (await strict.api.get(f"/workstations/{saw.name}")).json()
        assert (found["unfit"], found["told_drain"]) == (WHY, False)
        reasons = (await strict.api.get(f"/runs/{second}/why")).json()["reasons"]
        assert WHY in " ".join(reasons)
        assert len(saw.begun) == 1
    async with a_line(served, saw):
        await saw.has_begun(2)
        assert saw.agent.unfit == ""
