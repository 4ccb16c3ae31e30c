"""How much of its machine an agent takes: one that does all that an agent alone may have to do.

Memory is no timing: what is measured here is what a workstation of this size will see.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.agents import SHELL, Station, a_station, script
from tests.support.system import Asking, System
from tests.support.waiting import patience, until

pytestmark = pytest.mark.anyio

MOST = 45.0  # MiB resident, in every state
WITH_KEYS = 58.0  # once it has opened a secret or met a peer: what computes with keys is 10 MiB
FORM = {
    "type": "object",
    "required": ["diameter"],
    "properties": {"diameter": {"type": "number", "title": "Diameter", "maximum": 90}},
}
PRESSING = {
    "name": "pressing",
    "input": {
        "type": "object",
        "required": ["order"],
        "properties": {"order": {"type": "string", "pattern": "^[0-9]+$"}},
    },
    "tasks": [
        {"name": "press", "run": [SHELL, "-c", "echo ${{ input.order }}"], "retries": 2},
        {"name": "quality", "needs": ["press"], "approval": {"message": "Good?", "form": FORM}},
        {"name": "tidy", "needs": ["quality"], "run": [SHELL, "-c", "echo tidy"]},
    ],
}


@pytest.fixture
async def api(system: System) -> AsyncIterator[Asking]:
    async with system.asking() as api:
        yield api


def resident(pid: int) -> float:
    """MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


class Size:
    def __init__(self, station: Station) -> None:
        self.station = station
        self.found: dict[str, float] = {}

    def note(self, state: str) -> None:
        self.found[state] = round(resident(self.station.pid), 1)


async def page_of(station: Station) -> str:
    """Where the agent shows its page: the port is any that was free, and its log says which."""
    found: list[str] = []

    def said() -> bool:
        found[:] = re.findall(r"the page is there address='([^']+)'", station.log.read_text())
        return bool(found)

    await until(said)
    return f"http://{found[-1]}"


HAND_OVER = {
    "name": "hand-over",
    "tasks": [
        {
            "name": "make",
            "process": {"type": "pressing", "input": {"order": "1"}},
            "on": {"workstation": "press-1"},
        }
    ],
}
NIGHTLY = {
    "name": "nightly",
    "cron": "0 3 * * *",
    "workstation": "press-1",
    "input": {"order": "2"},
}


async def test_an_agent_that_does_everything_fits_into_its_memory(
    system: System, api: Asking
) -> None:
    await api.publish(PRESSING)
    await api.publish(HAND_OVER)
    async with a_station(system, api, "press-1") as station:
        policy = station.home / "policy.toml"
        policy.write_text('page = "127.0.0.1:0"\nenv = ["WORD"]\n' + policy.read_text())
        size = Size(station)
        await station.run()
        size.note("connected, with stock")
        await api.ended(await script(api, "press-1", "command", "echo here"))
        size.note("has carried out a command")
        await api.post("/schedules", {"type": "pressing", "spec": NIGHTLY})
        handed = (await api.post("/runs", {"type": "hand-over"}))["id"]
        await answered(station)
        assert (await api.ended(handed))["status"] == "COMPLETED"
        size.note("has stock and a schedule, has decided about a run")
        await looked_at(await page_of(station), 20)
        size.note("serves its page")
        for number in range(20):
            await station.ask("start", type="pressing", input={"order": str(number)})
            await answered(station)
        await station.delivered()
        size.note("has had twenty runs more")
        assert {state: each for state, each in size.found.items() if each > MOST} == {}
        answer = await api.http.put("/secrets/word", json={"value": "hidden", "grants": ["*"]})
        assert answer.is_success, answer.text
        opened = await script(api, "press-1", "secret", "echo $WORD", secrets={"WORD": "word"})
        assert (await api.ended(opened))["status"] == "COMPLETED"
        size.note("has opened a secret")
        assert size.found["has opened a secret"] <= WITH_KEYS


async def looked_at(page: str, times: int) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=patience(30)) as browser:
        for _ in range(times):
            assert (await browser.get(page)).status_code == 200


async def answered(station: Station) -> None:
    """The one question that is open, as somebody at the machine answers it."""
    asked: list[Any] = []

    async def look() -> bool:
        asked[:] = await station.ask("questions")
        return bool(asked)

    async with asyncio.timeout(patience(60)):
        while not await look():  # noqa: ASYNC110 - it is in another process
            await asyncio.sleep(0.05)
    await station.ask("answer", id=asked[0]["id"], approve=True, data={"diameter": 80})
