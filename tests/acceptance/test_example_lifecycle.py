"""The story of employees who come, move and go, through a whole system."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from tests.acceptance.test_examples import a_story
from tests.support.postgres import Databases
from tests.support.system import Asking, System, a_system

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def system(databases: Databases, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with a_system(databases, tmp_path_factory.mktemp("lifecycle")) as system:
        yield system


def happened(id: str, what: str, **payload: Any) -> dict[str, Any]:
    data = {"employeeId": "e7", "organizationId": "acme", "payload": payload}
    return {"source": "hr", "id": id, "type": f"employee.{what}", "key": "e7", "data": data}


async def decided(ask: Asking, count: int) -> list[dict[str, Any]]:
    """What became of all that was sent, once nothing waits any more."""
    async with asyncio.timeout(60):
        while True:
            events = (await ask.get("/events"))["items"]
            found = [
                each
                for event in sorted(events, key=lambda event: event["number"])
                for each in await ask.get(f"/events/{event['number']}/decisions")
            ]
            if len(found) == count and all(each["fate"] != "WAITING" for each in found):
                return found
            await asyncio.sleep(0.1)


async def test_employees_come_once_and_many_updates_are_one(system: System) -> None:
    async with a_story(system, "lifecycle") as ask:
        sent = [
            happened("1", "onboard", department="press"),
            happened("2", "onboard"),
            happened("3", "update", phone="1"),
            happened("4", "update", phone="2"),
        ]
        await ask.post("/events", {"events": sent})
        found = await decided(ask, 4)
        assert [each["fate"] for each in found] == ["STARTED", "DEDUPED", "MERGED", "STARTED"]
        run = await ask.ended(found[0]["run"])
        assert (run["status"], run["input"]["what"]) == ("COMPLETED", "onboard")
        assert run["input"]["details"] == {"department": "press"}
        moved = await ask.ended(found[3]["run"])
        assert (moved["status"], moved["input"]["what"]) == ("COMPLETED", "transfer")
