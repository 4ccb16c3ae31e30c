"""The example of two workstations: an order goes from one to the other without their server."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scheduler.domain.ids import new_id
from tests.support.agents import Station, a_station
from tests.support.edge_plant import Server, a_system_at
from tests.support.postgres import Databases
from tests.support.system import PROCESSION, ROOT, Asking, free_port
from tests.support.waiting import patience

pytestmark = pytest.mark.anyio

EXAMPLE = ROOT / "examples/two-stations/two-stations.yaml"


@dataclass
class Office(Server):
    port: int = 0

    @property
    def argv(self) -> list[str]:
        return [*PROCESSION, "serve", "--port", str(self.port)]


@dataclass
class Floor:
    office: Office
    api: Asking
    saw: Station
    press: Station


@pytest.fixture
async def floor(databases: Databases, tmp_path: Path) -> AsyncIterator[Floor]:
    """As the page of the example says it is set up, but that the server calls the press."""
    port = free_port()
    async with AsyncExitStack() as stack:
        dsn = stack.enter_context(databases.cloned())
        system = a_system_at(f"http://127.0.0.1:{port}", dsn, tmp_path, {})
        office = Office(system, port=port)
        stack.push_async_callback(office.end)
        await office.start()
        api = await stack.enter_async_context(system.asking())
        saw = await stack.enter_async_context(a_station(system, api, "saw"))
        press = await stack.enter_async_context(a_station(system, api, "press"))
        at = listens(press)
        for words in (
            ("apply", str(EXAMPLE)),
            ("workstation", "address", "press", at, "--dial"),
            ("workstation", "allow", "saw", "press", "--type", "press-job"),
        ):
            done = await asyncio.to_thread(system.cli, *words)
            assert done.returncode == 0, done.stderr
        await press.run()
        await saw.run()
        yield Floor(office, api, saw, press)


def listens(station: Station) -> str:
    """As `edge run --listen … --called` would, in its settings."""
    config, place = station.home / "config.json", f"127.0.0.1:{free_port()}"
    given = {"listen": place, "carrier": "called"}
    config.write_text(json.dumps({**json.loads(config.read_text()), **given}))
    return f"wss://{place}"


async def comes(look: Callable[[], Awaitable[Any]], within: float = 60.0) -> Any:
    async with asyncio.timeout(patience(within)):
        while not (found := await look()):  # noqa: ASYNC110 - what is awaited is elsewhere
            await asyncio.sleep(0.05)
        return found


async def prepared(floor: Floor) -> None:
    """Both have heard all that they need to be alone."""

    async def may_call() -> bool:
        peers = (await floor.saw.ask("orders"))["peers"]
        return bool([each for each in peers if each["granted_until"]])

    async def has_type() -> bool:
        return "press-job" in [each["name"] for each in await floor.press.ask("types")]

    await comes(may_call)
    await comes(has_type)


async def running(station: Station, type: str, *states: str) -> dict[str, Any]:
    async def look() -> dict[str, Any] | None:
        found = [each for each in await station.ask("runs") if each["type"] == type]
        assert all(each["state"] != "FAILED" for each in found), found
        return next((dict(each) for each in found if each["state"] in states), None)

    found: dict[str, Any] = await comes(look, within=90)
    return found


async def question(station: Station) -> int:
    async def look() -> list[Any]:
        return list(await station.ask("questions"))

    return int((await comes(look, within=90))[0]["id"])


async def approves(station: Station) -> None:
    asked = await question(station)
    done = await station.edge("answer", str(asked), "approve", "--by", "anna")
    assert done.returncode == 0, done.stderr


async def test_an_order_goes_from_station_to_station_while_the_server_is_down(
    floor: Floor,
) -> None:
    await prepared(floor)
    order = {"number": "AB-1", "boards": 40}
    run = str((await floor.api.post("/runs", {"type": "shelf-order", "input": order}))["id"])
    await running(floor.saw, "saw-job", "IN_PROGRESS")
    await floor.office.end()

    await running(floor.press, "press-job", "IN_PROGRESS")
    await approves(floor.press)
    pressed = await running(floor.press, "press-job", "COMPLETED")
    sawn = await running(floor.saw, "saw-job", "COMPLETED")
    assert floor.office.process is None, "all of that was without the server"

    await floor.office.start()
    ended = await floor.api.ended(run, within=90)
    result = {"cut": 40, "pressed": 40, "checked_by": "anna"}
    assert (ended["status"], ended["output"]) == ("COMPLETED", result)
    for type, local in (("saw-job", sawn), ("press-job", pressed)):

        async def told(local: dict[str, Any] = local) -> bool:
            answer = await floor.api.http.get(f"/runs/{local['run']}")
            return answer.is_success and answer.json()["status"] == "COMPLETED"

        await comes(told)
        shown = (await floor.api.get("/runs", type=type))["items"]
        assert [(each["id"], each["status"]) for each in shown] == [(local["run"], "COMPLETED")]
    shown = await floor.api.get(f"/runs/{pressed['run']}")
    assert shown["output"] == {"pressed": 40, "checked_by": "anna"}


async def test_a_program_at_one_station_starts_a_run_at_the_other_and_is_told_its_result(
    floor: Floor,
) -> None:
    await prepared(floor)
    await floor.office.end()
    run = str(new_id())
    given = ("--input", "number=AB-2", "--input", "boards:=3")
    words = ("start", "press-job", "--on", "press", "--run", run, "--by", "ben", *given, "--wait")
    waiting = asyncio.create_task(floor.saw.edge(*words))
    await running(floor.press, "press-job", "IN_PROGRESS")
    again = await floor.saw.edge(*words[:-1])
    assert (again.returncode, again.stdout.strip()) == (0, run)
    await floor.press.killed()
    await floor.saw.killed()
    await waiting  # whoever asked is told that the agent has gone
    await floor.press.start()
    await floor.saw.start()
    await floor.press.shows(state="away")
    await floor.saw.shows(state="away")
    waiting = asyncio.create_task(floor.saw.edge(*words))
    await approves(floor.press)
    done = await waiting
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["output"] == {
        "pressed": 3,
        "checked_by": "anna",
    }
    assert len(await floor.press.ask("runs")) == 1

    refused = await floor.saw.edge("start", "saw-job", "--on", "press")
    assert refused.returncode == 2
    assert "this workstation may start press-job at 'press', and not 'saw-job'" in refused.stderr
